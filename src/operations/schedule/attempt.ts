/** One attempt at what a schedule stands for, and what is to be said of it: never rejects. */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { AbortedError, exitCodeWarnings, LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { abortAfter } from '../../lib/long-timer.ts';
import { isBackupId } from '../../repository/manifests/ids.ts';
import { mayPass } from './next-try.ts';
import type { PreparedRun } from './prepare.ts';
import type { RanSlot } from './request.ts';

export interface Attempt {
  readonly outcome: RanSlot['outcome'];
  readonly exitCode: number;
  /** Of the error. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  readonly backupId?: string | undefined;
  /** What it was rejected with. */
  readonly error?: Error | undefined;
  readonly answer?: object | undefined;
  /** The same may go better soon. */
  readonly isWorthAnother: boolean;
}

/** `tags`: put on a backup. `mayTryAgain`: a failure that may pass is not the end of it. */
export async function attempt(
  schedule: Schedule,
  prepared: PreparedRun,
  loaded: LoadedConfig,
  context: RunContext,
  { tags = [], mayTryAgain = false }: { readonly tags?: readonly string[]; readonly mayTryAgain?: boolean } = {},
): Promise<Attempt> {
  const isTriedAgain = (error: unknown): boolean => mayTryAgain && failureOf(error, context).isWorthAnother;
  try {
    const limited = { ...withTimeLimit(schedule, context), isTriedAgain };
    const { answer, exitCode } = await prepared.run(loaded, limited, tags);
    return judge(answer, exitCode);
  } catch (error) {
    const message = messageOf(error);
    return { ...failureOf(error, context), error: error instanceof Error ? error : new Error(message), message };
  }
}

/** What ends a run that takes longer than its schedule allows. */
class TimeLimitError extends LifeboatError {}

function withTimeLimit({ id, timeoutMs }: Schedule, context: RunContext): RunContext {
  if (timeoutMs === undefined) return context;
  const error = new TimeLimitError(
    'source',
    `schedule ${id} took longer than ${Math.round(timeoutMs / 1000)} s, the limit that is set`,
    { hint: 'raise timeoutSeconds, or find out what slows it down', retryable: true },
  );
  return { ...context, signal: AbortSignal.any([context.signal, abortAfter(timeoutMs, error)]) };
}

function judge(answer: object, exitCode: number): Attempt {
  const { outcome, reason, id } = answer as { outcome?: unknown; reason?: unknown; id?: unknown };
  // Somebody else's backup was at work (--if-running=skip): this slot has none.
  if (outcome === 'skipped') {
    return { outcome: 'failed', exitCode, code: 'locked', message: String(reason), answer, isWorthAnother: true };
  }
  const isDone = exitCode === 0 || exitCode === exitCodeWarnings;
  const message = isDone ? undefined : `it ended with exit code ${exitCode}`;
  const backupId = typeof id === 'string' && isBackupId(id) ? id : undefined;
  return { outcome: isDone ? 'done' : 'failed', exitCode, message, backupId, answer, isWorthAnother: false };
}

function failureOf(
  error: unknown,
  { signal }: RunContext,
): Pick<Attempt, 'outcome' | 'exitCode' | 'code' | 'isWorthAnother'> {
  if (error instanceof AbortedError) {
    return { outcome: 'aborted', exitCode: error.exitCode, code: 'aborted', isWorthAnother: false };
  }
  if (!(error instanceof LifeboatError)) return { outcome: 'failed', exitCode: 1, code: 'bug', isWorthAnother: false };
  const { code, exitCode } = error;
  // The lease of the slot is lost: somebody else may be at it.
  if (signal.aborted) return { outcome: 'aborted', exitCode, code, isWorthAnother: false };
  const isHung = error instanceof TimeLimitError || error.message.startsWith('hung');
  const isWorthAnother = error.retryable || mayPass(code);
  return { outcome: isHung ? 'hung' : 'failed', exitCode, code, isWorthAnother };
}
