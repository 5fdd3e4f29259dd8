/** Warnings of a run, for its result: also where nobody listens to events. */
import type { RunContext } from '../lib/events.ts';

/** The same context, and a list that grows with each warning. */
export function noteWarnings(context: RunContext): {
  readonly context: RunContext;
  readonly warnings: readonly string[];
} {
  const warnings: string[] = [];
  const emit: RunContext['emit'] = (event) => {
    if (event.type === 'warning') warnings.push(event.message);
    context.emit(event);
  };
  return { context: { ...context, emit }, warnings };
}
