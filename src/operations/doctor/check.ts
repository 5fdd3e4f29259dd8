/**
 * What the checks of `lifeboat doctor` have in common: how one is told, and that none of them lasts or hides another.
 */
import { LifeboatError, messageOf, type ErrorCode } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { DoctorCheck } from './request.ts';

/** A folder on this machine that holds data which is backed up. */
export interface DataFolder {
  /** In words: "the data of main's PostgreSQL". */
  readonly what: string;
  /** Absolute. */
  readonly path: string;
}

/** What was found out about one component. */
export interface ComponentFindings {
  readonly checks: readonly DoctorCheck[];
  readonly folders: readonly DataFolder[];
}

/** No check lasts longer, whatever hangs. */
export const checkLimitMs = 15_000;
/** For the first contact with a server: what rests on it needs time, too. */
export const contactLimitMs = 10_000;

export function passed(name: string, message: string): DoctorCheck {
  return { name, ok: 'ok', message };
}

export function warned(name: string, message: string, hint: string): DoctorCheck {
  return { name, ok: 'warn', message, hint };
}

export function failed(name: string, message: string, hint: string, code: ErrorCode): DoctorCheck {
  return { name, ok: 'fail', message, hint, code };
}

/** A failed check from what was thrown. */
export function failedBy(name: string, error: unknown): DoctorCheck {
  if (error instanceof LifeboatError) {
    return {
      name,
      ok: 'fail',
      message: error.message,
      hint: error.hint ?? hintFor[error.code] ?? 'lifeboat doctor --debug tells more',
      code: error.code,
    };
  }
  return {
    name,
    ok: 'fail',
    message: `the check itself failed: ${messageOf(error)}`,
    hint: 'run it again with --debug, and report it',
  };
}

/** For errors that have no better one. */
const hintFor: Partial<Readonly<Record<ErrorCode, string>>> = {
  source: 'see whether the server is up, and what its log says',
  storage: 'see whether the repository is mounted, and whether this user may write there',
  integrity: 'lifeboat validate tells what is damaged; an earlier backup may be whole',
};

/**
 * Runs checks; what they throw, or that they take too long, becomes a failed one of that name. Only an aborted context
 * is thrown.
 */
export async function attempt(
  name: string,
  context: RunContext,
  work: (context: RunContext) => Promise<DoctorCheck | readonly DoctorCheck[]>,
  limitMs = checkLimitMs,
): Promise<readonly DoctorCheck[]> {
  try {
    const found = await limited(context, work, limitMs);
    return Array.isArray(found) ? (found as readonly DoctorCheck[]) : [found as DoctorCheck];
  } catch (error) {
    context.signal.throwIfAborted();
    return [failedBy(name, error)];
  }
}

/**
 * Runs `work` with a signal that also ends it after the time limit. Does not wait for work that does not
 * heed it. The signal stays good afterwards: only the limit is lifted.
 */
export async function limited<T>(
  context: RunContext,
  work: (context: RunContext) => Promise<T>,
  limitMs = checkLimitMs,
): Promise<T> {
  const limit = new AbortController();
  const late = new LifeboatError('source', `no answer within ${limitMs / 1000} s`, {
    hint: 'see whether it is up and whether a firewall lets this host through',
    retryable: true,
  });
  const timer = setTimeout(() => limit.abort(late), limitMs);
  const signal = AbortSignal.any([context.signal, limit.signal]);
  const ended = Promise.withResolvers<never>();
  const end = (): void => ended.reject(signal.reason);
  signal.addEventListener('abort', end, { once: true });
  try {
    context.signal.throwIfAborted();
    return await Promise.race([work({ ...context, signal }), ended.promise]);
  } catch (error) {
    throw limit.signal.aborted ? late : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}
