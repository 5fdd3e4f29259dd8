/**
 * Errors and exit codes, in one place. An operator's error says what failed, on what, what state
 * things are in now and what to run next; it carries no stack. Anything that is not a LifeboatError
 * is a bug (exit code 1).
 */

/** Exit code for each kind of failure; unknown codes mean failure. */
export const exitCodeOf = {
  usage: 2,
  not_found: 10,
  locked: 11,
  key: 12,
  source: 13,
  integrity: 14,
  space: 15,
  tool: 16,
  window: 17,
  confirmation: 18,
  stale: 19,
  storage: 20,
} as const;

/** Exit code of a run that finished, but has something to tell. */
export const exitCodeWarnings = 3;

export type ErrorCode = keyof typeof exitCodeOf;

export interface ErrorDetails {
  /** What to run or change next; a whole sentence or a command. */
  readonly hint?: string | undefined;
  /** The state things are in now, e.g. "nothing was changed". */
  readonly state?: string | undefined;
  /** True if the same call may succeed later without a change by the operator. */
  readonly retryable?: boolean | undefined;
  readonly cause?: unknown;
  /** More facts for --json: never secrets. */
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
}

/** A failure that an operator can act on. Messages are lower case: act, object, reason. */
export class LifeboatError extends Error {
  override readonly name: string = 'LifeboatError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly state: string | undefined;
  readonly retryable: boolean;
  readonly facts: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.state = details.state;
    this.retryable = details.retryable ?? false;
    this.facts = details.facts;
  }

  get exitCode(): number {
    return exitCodeOf[this.code];
  }

  /**
   * The same failure, telling this state instead of its own. What is told is kept; the class is not, so judge it
   * before.
   */
  withState(state: string): LifeboatError {
    const { hint, retryable, facts } = this;
    return new LifeboatError(this.code, this.message, { hint, state, retryable, facts, cause: this });
  }
}

/** What was thrown; an operator's error tells this state after its own. */
export function addState(error: unknown, state: string): unknown {
  if (!(error instanceof LifeboatError)) return error;
  return error.withState(error.state === undefined ? state : `${error.state}; ${state}`);
}

/** The run was ended by a signal; exit code is 128 + the signal's number. */
export class AbortedError extends Error {
  override readonly name: string = 'AbortedError';
  readonly signalName: 'SIGINT' | 'SIGTERM' | 'SIGHUP';

  constructor(signalName: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`stopped by ${signalName}`);
    this.signalName = signalName;
  }

  get exitCode(): number {
    return { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[this.signalName];
  }
}

/** The exit code that anything that was thrown ends a run with; 1 for a bug. */
export function exitCodeOfError(error: unknown): number {
  return error instanceof LifeboatError || error instanceof AbortedError ? error.exitCode : 1;
}

/** The message of anything that was thrown, on one line. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' ');
}

/** The `code` property that Node's system errors bear, e.g. ENOENT; undefined for others. */
export function systemCodeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
