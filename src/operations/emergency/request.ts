/** What an emergency restore is asked and what it answers. Times RFC 3339 in UTC. */
import type { JournalStep } from './journal.ts';
import type { EmergencyPlan } from './plan.ts';
import type { ComponentName, Confirm } from '../operation.ts';
import type { Some } from '../complete.ts';

export interface EmergencyRequest {
  /** Undefined: the newest that is whole. */
  readonly id?: string | undefined;
  readonly target?: string | undefined;
  /** Empty: all that are in the backup. */
  readonly only: readonly ComponentName[];
  /** Do not ask for the target's name, and take a backup that is not whole; wants the full id. */
  readonly force: boolean;
  readonly safetyBackup: boolean;
  /** Only plan. */
  readonly dryRun: boolean;
  /** Absolute path of a new file: only plan, and write the plan there. */
  readonly planOut?: string | undefined;
  /** Absolute path of such a file: carry it out. */
  readonly apply?: string | undefined;
  /** Go on with the run that was interrupted. */
  readonly resume: boolean;
  readonly confirm: Confirm;
}

/** Default: all of the newest whole backup, after a question and a safety backup. */
export type EmergencyOptions = Some<EmergencyRequest>;

export type EmergencyResult =
  | {
      readonly outcome: 'planned';
      readonly id: string;
      readonly target: string;
      readonly plan: EmergencyPlan;
      readonly lines: readonly string[];
      readonly planFile?: string | undefined;
      readonly warnings: readonly string[];
    }
  | {
      readonly outcome: 'done';
      readonly id: string;
      readonly target: string;
      readonly startedAt: string;
      readonly durationMs: number;
      readonly steps: readonly Readonly<Omit<JournalStep, 'marks'>>[];
      readonly safetyBackupId?: string | undefined;
      /** File with all of it. */
      readonly journal: string;
      readonly warnings: readonly string[];
    };
