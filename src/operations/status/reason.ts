/** How a reason of a verdict is written down: its stable name, what is wrong, and the command to run next. */
import type { StatusReason } from './request.ts';

/** Something must be done now. `target` undefined: it concerns the repository as a whole. */
export function unhealthy(id: string, message: string, next: string, target?: string): StatusReason {
  return reason('unhealthy', id, message, next, target);
}

/** Something should be looked at. `target` undefined: it concerns the repository as a whole. */
export function degraded(id: string, message: string, next: string, target?: string): StatusReason {
  return reason('degraded', id, message, next, target);
}

function reason(
  weight: StatusReason['weight'],
  id: string,
  message: string,
  next: string,
  target: string | undefined,
): StatusReason {
  return { id, weight, ...(target === undefined ? {} : { target }), message, next };
}
