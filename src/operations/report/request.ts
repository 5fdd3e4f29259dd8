/** What a report is asked and what it answers. Times RFC 3339 in UTC, sizes bytes. */
import type { StatusReason, StatusTarget } from '../status/request.ts';
import type { ReportFormat } from '../../config/schedule-options.ts';
import type { Some } from '../complete.ts';

export interface ReportRequest {
  /** How far back. */
  readonly days: number;
  /** Undefined: every target. */
  readonly target?: string | undefined;
  readonly format: ReportFormat;
  /** Absolute; one that is there is replaced. Undefined: nothing is written. */
  readonly output?: string | undefined;
  /** A ZIP file with the records that it is made of; absolute. */
  readonly bundle?: string | undefined;
}

/** By default a month, of all targets. */
export type ReportOptions = Some<ReportRequest>;

export const reportDefaults = { days: 30, format: 'text' } as const satisfies ReportOptions;

/** What became of a schedule's moments. */
export interface ReportedSchedule {
  readonly id: string;
  /** Undefined: of all. */
  readonly target?: string | undefined;
  readonly type?: string | undefined;
  readonly cronExpression?: string | undefined;
  /** Moments that were run, or were settled otherwise; by how the last attempt at each ended. */
  readonly done: number;
  readonly failed: number;
  readonly hung: number;
  readonly aborted: number;
  readonly skipped: number;
  /** Attempts, more than one of a moment among them. */
  readonly attempts: number;
  /** Moments that passed without a run, and that a later one stands for. */
  readonly caughtUp: number;
  /** Moments that were never run, and for which none stands yet. */
  readonly missed: number;
}

/** Proofs of one kind. */
export interface ReportedProof {
  /** quick, sample, stored, deep, drill, pitr or restore. */
  readonly level: string;
  readonly ok: number;
  readonly failed: number;
  /** Of the good ones. */
  readonly lastAt?: string | undefined;
  /** Of the good ones: how long the longest took. */
  readonly longestMs?: number | undefined;
}

export interface ReportedTarget {
  readonly name: string;
  /** Made in the time, and still there. */
  readonly backups: number;
  /** Runs that failed, as far as the audit log has them. */
  readonly failedRuns: number;
  readonly readBytes: number;
  readonly newBytes: number;
  readonly storedBytes: number;
  readonly newest?: { readonly id: string; readonly at: string; readonly state?: string | undefined } | undefined;
  readonly newestProven?: { readonly id: string; readonly provenAt: string } | undefined;
  readonly proofs: readonly ReportedProof[];
  readonly restoreTime?: StatusTarget['restoreTime'];
  /** In words, by component. */
  readonly retention: readonly string[];
}

/** A run that restored, took out, deleted or changed who can read. */
export interface ReportedAct {
  readonly at: string;
  readonly host: string;
  readonly user: string;
  readonly command: string;
  readonly target?: string | undefined;
  readonly outcome: 'ok' | 'failed';
  readonly backups: readonly string[];
  /** Deleted for good. */
  readonly deleted: readonly string[];
}

export interface ReportedKey {
  readonly id: string;
  readonly createdAt: string;
  readonly ageDays: number;
  readonly recipients: readonly string[];
  readonly current: boolean;
}

export interface ReportDocument {
  readonly repository: string;
  readonly at: string;
  readonly from: string;
  readonly to: string;
  readonly days: number;
  readonly verdict: 'healthy' | 'degraded' | 'unhealthy';
  /** What is not as it should be now, acknowledged or not. */
  readonly incidents: readonly StatusReason[];
  readonly targets: readonly ReportedTarget[];
  readonly schedules: readonly ReportedSchedule[];
  /** What the plan for emergencies promises, by scenario. */
  readonly promises: readonly {
    readonly scenario: string;
    readonly rtoMinutes?: number | undefined;
    readonly rpoMinutes?: number | undefined;
  }[];
  /** In words: what keeps backups from being deleted. */
  readonly immutability: string;
  /** Newest first. */
  readonly acts: readonly ReportedAct[];
  /** What is wrong with the audit log itself. */
  readonly auditFindings: readonly string[];
  readonly keys: readonly ReportedKey[];
  readonly storedBytes: number;
}

export interface ReportResult extends ReportDocument {
  /** Files that were written. */
  readonly written: readonly string[];
}
