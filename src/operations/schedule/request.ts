/** What the commands around schedules are asked and what they answer. Times, sizes and secrets: as in operation.ts. */
import type { Schedule } from '../../config/config.ts';
import type { ScheduleType } from '../../config/schedule-options.ts';
import type { SlotOutcome } from '../../repository/slots/records.ts';
import type { Confirm } from '../operation.ts';
import type { PreparedRun } from './prepare.ts';
import type { SlotTimes } from './slot-times.ts';
import type { UnitScope } from './unit.ts';

export interface ScheduleRunOptions {
  readonly schedule: Schedule;
  /** Only the slot that is due, and only where nobody has run it. */
  readonly slot?: boolean | undefined;
  /** For tests. */
  readonly times?: SlotTimes | undefined;
  /** Of a daemon: each slot is tried once, and only when its pause is over. */
  readonly watch?: SlotWatch | undefined;
}

/** What is told of a slot while it runs. */
export interface SlotWatch {
  /** `due`: RFC 3339. */
  readonly begun: (due: string, attempt: number) => void;
  readonly ended: (slot: RanSlot) => void;
  /** There is more to do at that moment, milliseconds since 1970. */
  readonly again: (atMs: number) => void;
}

export interface ScheduleRunRequest extends ScheduleRunOptions {
  readonly slot: boolean;
  readonly prepared: PreparedRun;
}

/** One attempt at a slot. */
export interface RanSlot {
  readonly due: string;
  /** From 1. */
  readonly attempt: number;
  readonly outcome: Exclude<SlotOutcome, 'skipped'>;
  readonly exitCode: number;
  readonly code?: string | undefined;
  readonly backupId?: string | undefined;
  /** Moments before it that were missed, and that it stands for. */
  readonly covers: number;
  /** No other attempt followed. */
  readonly isFinal: boolean;
}

/** What became of what was due. */
export interface RanSlots {
  /**
   * - done, failed: it ran; failed: the command has an answer, and it is none that one wants (damage, an unhealthy
   *   status)
   * - skipped: what was due was missed, and stays so
   * - nothing-due: all moments are settled
   * - elsewhere: somebody else runs it
   */
  readonly outcome: 'done' | 'failed' | 'skipped' | 'nothing-due' | 'elsewhere';
  readonly reason?: string | undefined;
  readonly slots: readonly RanSlot[];
  /** That of the command the schedule stands for. */
  readonly exitCode: number;
  readonly backupId?: string | undefined;
  /** The command's own answer: shown to people. */
  readonly answer?: object | undefined;
}

export interface ScheduleRunResult extends RanSlots {
  readonly id: string;
  readonly name: string;
  readonly type: ScheduleType;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly warnings: readonly string[];
}

export interface SchedulePublishRequest {
  /** One that is in force, of whichever host, and is to be no more. */
  readonly withdraw?: string | undefined;
  /** Of those that this host has published and that are there no more only these are withdrawn; default: all. */
  readonly gone?: readonly string[] | undefined;
}

export interface SchedulePublishResult {
  /** What is in force now, and was not, or otherwise. */
  readonly published: readonly string[];
  /** What is in force no more. */
  readonly withdrawn: readonly string[];
  readonly warnings: readonly string[];
}

/** One schedule, and when it runs. */
export interface ListedSchedule {
  readonly id: string;
  readonly name: string;
  readonly type: ScheduleType;
  readonly target?: string | undefined;
  readonly cronExpression: string;
  /** IANA name. */
  readonly timezone: string;
  readonly enabled: boolean;
  readonly missed: Schedule['missed'];
  readonly graceMinutes: number;
  readonly timeoutSeconds?: number | undefined;
  readonly attempts: number;
  readonly options: Readonly<Record<string, unknown>>;
  /** The soonest first; none of one that is switched off. */
  readonly next: readonly string[];
  /** The latest first. */
  readonly last: readonly string[];
}

export interface ScheduleListResult {
  /** The configuration file that they stand in; undefined: none was read. */
  readonly file?: string | undefined;
  readonly schedules: readonly ListedSchedule[];
  readonly warnings: readonly string[];
}

/** What a schedule may say of itself besides its id; units as in the configuration. */
export interface ScheduleMembers {
  readonly name?: string;
  readonly type?: ScheduleType;
  readonly cronExpression?: string;
  readonly timezone?: string;
  readonly missed?: Schedule['missed'];
  readonly graceMinutes?: number;
  readonly timeoutSeconds?: number;
  readonly attempts?: number;
}

/** One change of the schedules in the configuration file. */
export interface ScheduleChange {
  readonly act: 'add' | 'update' | 'remove' | 'enable' | 'disable';
  readonly id: string;
  /** add, update. */
  readonly members?: ScheduleMembers;
  /** add, update: `name=value`, or the name of what is true. */
  readonly options?: readonly string[];
  /** update: names of members and options that are to go back to their defaults. */
  readonly unset?: readonly string[];
}

export interface ScheduleEditResult {
  readonly file: string;
  readonly id: string;
  readonly act: ScheduleChange['act'];
  /** As it is now, or would be; absent: it is gone. */
  readonly schedule?: ListedSchedule;
  /** Lines of "schedules" with `-`, `+` or a blank before each; none: nothing is new. */
  readonly diff: readonly string[];
  readonly dryRun: boolean;
  readonly warnings: readonly string[];
}

export interface ScheduleShowOptions {
  readonly id: string;
  /** So many moments each way. */
  readonly count?: number | undefined;
  /** Why the repository cannot be asked. */
  readonly unreadable?: string | undefined;
}

export interface ScheduleShowRequest extends ScheduleShowOptions {
  readonly count: number;
}

/** What became of a moment that was due. */
export interface ShownSlot {
  readonly due: string;
  /**
   * - caught-up: a later run stands for it
   * - waiting: it is still on time
   * - never: nothing is known of a run
   * - not-in-force: the schedule was not published yet, or has got another time since
   */
  readonly outcome: SlotOutcome | 'caught-up' | 'waiting' | 'never' | 'not-in-force';
  readonly backupId?: string;
  readonly exitCode?: number;
  readonly code?: string;
  readonly message?: string;
  readonly attempt?: number;
  readonly host?: string;
  readonly finishedAt?: string;
  /** The moment whose run stands for it. */
  readonly by?: string;
}

export interface ShownSchedule extends ListedSchedule {
  /** Of the moments in `last`, in that order. */
  readonly slots?: readonly ShownSlot[];
  /** Why they are not known. */
  readonly slotsUnknown?: string;
}

/** A file as it would be put in place. */
export interface PrintedFile {
  readonly name: string;
  readonly text: string;
}

export interface SchedulePrintResult {
  readonly kind: 'cron' | 'systemd' | 'kubernetes';
  /** None: no schedule can be called so. */
  readonly files: readonly PrintedFile[];
  readonly warnings: readonly string[];
}

export interface ScheduleInstallOptions {
  readonly kind: 'cron' | 'systemd';
  /** Take out what is in place. */
  readonly remove?: boolean | undefined;
  /** Only say what would be changed. */
  readonly dryRun?: boolean | undefined;
  /** Of another system: what lies at its root, absolute. */
  readonly root?: string | undefined;
  /** Absolute path of the program. */
  readonly program: string;
  /** --env-file, absolute. */
  readonly envFile?: string | undefined;
  /** Where programs of this user keep their configuration; undefined: there is no home. */
  readonly userFolder: string | undefined;
}

export interface ScheduleInstallRequest extends ScheduleInstallOptions {
  readonly remove: boolean;
  readonly dryRun: boolean;
  readonly confirm: Confirm;
}

export interface ScheduleInstallResult {
  readonly kind: 'cron' | 'systemd';
  /** system: for the whole host, as root; user: in the crontab or the service manager of the user. */
  readonly scope: UnitScope;
  readonly remove: boolean;
  readonly dryRun: boolean;
  /** None: all is as it is to be. */
  readonly changes: readonly InstalledChange[];
  readonly warnings: readonly string[];
}

export interface InstalledChange {
  /** Of the file, or `the crontab of <user>`. */
  readonly path: string;
  readonly change: 'added' | 'changed' | 'removed';
  /** Lines with `-`, `+` or a blank before each. */
  readonly diff: readonly string[];
}
