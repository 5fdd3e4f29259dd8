/** What a backup is asked and what it answers. Times, sizes and secrets: as in operation.ts. */
import type { Problem } from '../../source/source.ts';
import type { BackupType, ComponentName } from '../operation.ts';
import type { Some } from '../complete.ts';
import type { ComponentSizes } from '../component.ts';

export interface BackupRequest {
  /** Undefined: the default or only one. */
  readonly target?: string | undefined;
  /** Empty: all that are configured. */
  readonly components: readonly ComponentName[];
  readonly label?: string | undefined;
  readonly tags: readonly string[];
  /** What to do while another backup of the target runs. */
  readonly ifRunning: { readonly action: 'fail' | 'skip' } | { readonly action: 'wait'; readonly waitMs: number };
  /** Begin anew whenever somebody waits to change a table of the database; default: as the configuration says. */
  readonly yieldToDdl?: boolean | undefined;
  /** Tables of the databases whose rows are left out: schema.table, or database.schema.table. */
  readonly withoutRows?: readonly string[] | undefined;
  /** For the whole backup; undefined: none. */
  readonly timeoutMs?: number | undefined;
  /** From now on this target's PostgreSQL is another cluster. */
  readonly acceptNewSystem?: boolean | undefined;
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

/** What to back up; `{}` is everything that is configured. */
export type BackupOptions = Some<BackupRequest>;

export const backupDefaults = {
  components: [],
  tags: [],
  ifRunning: { action: 'fail' },
  dryRun: false,
} as const satisfies BackupOptions;

export interface BackedUpComponent extends ComponentSizes {
  readonly name: string;
  readonly kind: string;
  readonly serverVersion?: string | undefined;
  readonly durationMs: number;
  /** How much of the source was damaged, or is not in it; undefined: nothing. */
  readonly flaws?: number | undefined;
  /** In a few words: "3 databases, 120 tables"; shown to people. */
  readonly summary?: string | undefined;
}

export type BackupResult =
  | {
      readonly outcome: 'done';
      readonly id: string;
      readonly target: string;
      readonly type: BackupType;
      readonly repository: string;
      readonly startedAt: string;
      readonly finishedAt: string;
      readonly durationMs: number;
      readonly encrypted: boolean;
      /** The backup whose chunks were used again. */
      readonly previousId?: string | undefined;
      readonly components: readonly BackedUpComponent[];
      readonly warnings: readonly string[];
      /** Of a backup before a deployment: kept until then, whatever the policy says. */
      readonly hold?: { readonly reason: string; readonly until: string } | undefined;
      /** Of a backup before a deployment: what brings all of it back. */
      readonly undo?: { readonly command: string; readonly argv: readonly string[] } | undefined;
    }
  /** --if-running=skip and one was running. */
  | { readonly outcome: 'skipped'; readonly target: string; readonly reason: string }
  | {
      readonly outcome: 'planned';
      readonly target: string;
      readonly type: BackupType;
      readonly repository: string;
      readonly components: readonly PlannedComponent[];
    };

export interface PlannedComponent {
  readonly name: string;
  readonly kind: string;
  readonly serverVersion?: string | undefined;
  readonly identity: Readonly<Record<string, string>>;
  readonly estimatedBytes?: number | undefined;
  readonly problems: readonly Problem[];
}
