/**
 * What a restore and its undoing are asked and what they answer. Times, sizes and secrets: as in
 * operation.ts.
 */
import type { PostgresUrl } from '../../config/postgres-url.ts';
import type { Secret } from '../../lib/secret.ts';
import type { ComponentName, Confirm } from '../operation.ts';
import type { Some } from '../complete.ts';

export interface RestoreRequest {
  /** Full id, unique prefix, `latest`, `latest~1`. */
  readonly id: string;
  readonly target?: string | undefined;
  /** Empty: all that are in the backup. */
  readonly only: readonly ComponentName[];
  readonly postgres: {
    /** Which databases of the backup; empty: all. */
    readonly databases: readonly string[];
    /** Name of the new database (one database only). Undefined: a name is made. */
    readonly toDatabase?: string | undefined;
    /** Server to restore into; undefined: the configured one. */
    readonly toUrl?: PostgresUrl | undefined;
    /** `schema.table` or `table`, * allowed; empty: all. */
    readonly tables: readonly string[];
    readonly content: 'all' | 'schema' | 'data';
    /** Swap with the live database once verified. */
    readonly intoLive: boolean;
    /** Replay roles and tablespaces too. */
    readonly globals: boolean;
    /** Work as this role, to which everything belongs then; owners and grants of the backup are left out. */
    readonly asRole?: string | undefined;
    /** Objects belong to the restoring user; grants are left out. */
    readonly noOwner?: boolean | undefined;
    readonly noAcl?: boolean | undefined;
    /** Keep what a failed restore made, under a name that tells so. */
    readonly keepFailed?: boolean | undefined;
    /** Restore subscriptions too: they take over the production ones at the publisher. */
    readonly subscriptions?: boolean | undefined;
  };
  readonly redis: {
    readonly toUrl?: Secret | undefined;
    /** Key patterns; empty: all keys. */
    readonly keys: readonly string[];
    readonly method: 'auto' | 'replica' | 'commands' | 'file';
    /** host:port under which the target reaches this machine. */
    readonly replicaAddress?: string | undefined;
    /** Data folder of a stopped server, for `file`. */
    readonly dataDir?: string | undefined;
    readonly intoLive: boolean;
  };
  readonly files: {
    /** Sub-trees or files as they stand in the backup; empty: all. */
    readonly paths: readonly string[];
    /** Absolute. Undefined: a folder's name is made. */
    readonly toDir?: string | undefined;
    /** Back to where they were taken from. */
    readonly intoLive: boolean;
  };
  /** Take a backup of what is overwritten first. */
  readonly safetyBackup: boolean;
  /** Restore what is unsigned or untrusted; only with a full id. */
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly confirm: Confirm;
}

/** Which backup to restore, and where to; `{ id: 'latest' }` puts everything beside what is there. */
export interface RestoreOptions
  extends Some<Omit<RestoreRequest, 'id' | keyof RestorePartOptions>>, RestorePartOptions {
  /** Full id, unique prefix, `latest`, `latest~1`. */
  readonly id: string;
}

/** How each part is restored. Plain texts are fine for URLs, and folders may be relative. */
export interface RestorePartOptions {
  readonly postgres?: UrlAsText<RestoreRequest['postgres']> | undefined;
  readonly redis?: UrlAsText<RestoreRequest['redis']> | undefined;
  readonly files?: Some<RestoreRequest['files']> | undefined;
}

type UrlAsText<T> = Some<Omit<T, 'toUrl'>> & { readonly toUrl?: string | Secret | undefined };

/** All of it, beside what is there. */
export const postgresDefaults = {
  databases: [],
  tables: [],
  content: 'all',
  intoLive: false,
  globals: false,
} as const satisfies RestoreRequest['postgres'];
export const redisDefaults = { keys: [], method: 'auto', intoLive: false } as const satisfies RestoreRequest['redis'];
export const filesDefaults = { paths: [], intoLive: false } as const satisfies RestoreRequest['files'];

export interface RestoredComponent {
  readonly name: string;
  readonly kind: string;
  /** Database name, server or folder; no credentials. */
  readonly to: string;
  readonly bytes: number;
  readonly durationMs: number;
  /** `equal`: counts and fingerprints are those recorded; `partial`: what could be compared was equal. */
  readonly verified: 'equal' | 'partial' | 'not-checked';
  readonly summary?: string | undefined;
  /** Name under which the old database or folder was kept. */
  readonly kept?: string | undefined;
  /** Command that takes the restore back. */
  readonly undo?: string | undefined;
  /** Roles and tablespaces that were made; they stay where a later part fails. */
  readonly created?: readonly string[] | undefined;
}

export type RestoreResult =
  | {
      readonly outcome: 'done';
      readonly id: string;
      readonly target: string;
      readonly startedAt: string;
      readonly durationMs: number;
      readonly components: readonly RestoredComponent[];
      readonly safetyBackupId?: string | undefined;
      readonly warnings: readonly string[];
    }
  | {
      readonly outcome: 'planned';
      readonly id: string;
      readonly target: string;
      /** What would be done, in order. */
      readonly steps: readonly {
        readonly component: string;
        readonly to: string;
        readonly action: string;
        readonly bytes: number;
      }[];
      readonly warnings: readonly string[];
    };

/** Takes a swap back: the kept database gets its name again. */
export interface UndoRestoreRequest {
  /** The name the old database was kept under (`app_before_20260102T030405`). */
  readonly kept: string;
  readonly target?: string | undefined;
  readonly dryRun: boolean;
  readonly confirm: Confirm;
}

/** Which swap of a database to take back; `kept` is in the result of the restore. */
export type UndoRestoreOptions = Some<UndoRestoreRequest> & Pick<UndoRestoreRequest, 'kept'>;

export interface UndoRestoreResult {
  readonly outcome: 'done' | 'planned';
  readonly database: string;
  /** Name that the restored database now has. */
  readonly setAside: string;
}
