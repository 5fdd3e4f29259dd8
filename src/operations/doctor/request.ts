/** What doctor is asked and what it answers. */
import type { ErrorCode } from '../../lib/errors.ts';

export interface DoctorCheck {
  readonly name: string;
  readonly ok: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string | undefined;
  /** Decides the exit code of a failed check; default: usage (2). */
  readonly code?: ErrorCode | undefined;
}

export interface DoctorRequest {
  /** Undefined: every target. */
  readonly target?: string | undefined;
}

export interface DoctorResult {
  readonly checks: readonly DoctorCheck[];
}
