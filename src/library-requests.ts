/**
 * What a program may leave out: requests of the library, and their completion to those of the
 * operations. The defaults are those of the command line.
 */
import { resolve } from 'node:path';
import { Secret } from './lib/secret.ts';
import type { PitrRequest } from './operations/pitr/request.ts';
import type { BackupRequest } from './operations/backup/request.ts';
import type { CleanupRequest, HoldRequest, ReleaseRequest, UndeleteRequest } from './operations/cleanup/request.ts';
import type { DrillRequest } from './operations/integrity/request.ts';
import type { Confirm } from './operations/operation.ts';
import type { ExportRequest, RestoreRequest, UndoRestoreRequest } from './operations/restore/request.ts';
import type { InitRequest, UnlockRequest } from './operations/setup/request.ts';
import type { AcknowledgeRequest } from './operations/status/request.ts';
import type { ValidateRequest } from './operations/validate/request.ts';
import type { WalFetchRequest, WalPushRequest } from './operations/wal/request.ts';

/** Where a method resolves paths, and whom it asks. */
export interface Defaults {
  /** Absolute. */
  readonly cwd: string;
  readonly confirm: Confirm;
}

/** What to back up; `{}` is everything that is configured. Default of `ifRunning`: fail. */
export type BackupOptions = Partial<BackupRequest>;

/** Which backup to restore, and where to; `{ id: 'latest' }` puts everything beside what is there. */
export interface RestoreOptions extends Partial<Omit<RestoreRequest, 'id' | 'postgres' | 'redis' | 'files'>> {
  /** Full id, unique prefix, `latest`, `latest~1`. */
  readonly id: string;
  /** `toUrl` as a plain text is fine. */
  readonly postgres?: Partial<Omit<RestoreRequest['postgres'], 'toUrl'>> & {
    readonly toUrl?: string | Secret | undefined;
  };
  readonly redis?: Partial<Omit<RestoreRequest['redis'], 'toUrl'>> & { readonly toUrl?: string | Secret | undefined };
  /** `toDir` may be relative. */
  readonly files?: Partial<RestoreRequest['files']>;
}

/** Which swap of a database to take back; `kept` is in the result of the restore. */
export type UndoRestoreOptions = Partial<UndoRestoreRequest> & Pick<UndoRestoreRequest, 'kept'>;

/** Which backup to write as plain files, and where to; `folder` may be relative. */
export type ExportOptions = Partial<ExportRequest> & Pick<ExportRequest, 'id' | 'folder'>;

/**
 * Where `init` writes. Default: lifeboat.config.json and lifeboat.key in the working directory; with an inline
 * configuration no file.
 */
export type InitOptions = Partial<InitRequest>;

/** What to delete by the retention policy; `{}` deletes, `{ dryRun: true }` tells. */
export type CleanupOptions = Partial<CleanupRequest>;

/** Which deleted backup to take back; by default it is put on hold, or the next cleanup would delete it again. */
export type UndeleteOptions = Partial<UndeleteRequest> & Pick<UndeleteRequest, 'id'>;

/** Which backup to keep, why, and tags to add. */
export type HoldOptions = Partial<HoldRequest> & Pick<HoldRequest, 'id'>;

/** Which backup to let go, and tags to take off. */
export type ReleaseOptions = Partial<ReleaseRequest> & Pick<ReleaseRequest, 'id'>;

/** Which backups to restore into throwaway servers; by default the newest of each target. */
export type DrillOptions = Partial<DrillRequest>;

/** Which warning is meant to be; its id is in the result of status(). */
export type AcknowledgeOptions = Partial<AcknowledgeRequest> & Pick<AcknowledgeRequest, 'warning'>;

/** To which moment; `dataDir` may be relative. Defaults: behind the moment, promoted and shut down. */
export type PitrOptions = Partial<PitrRequest> & Pick<PitrRequest, 'to'>;

/** Which file of write-ahead log to archive; paths may be relative. */
export type WalPushOptions = Partial<WalPushRequest> & Pick<WalPushRequest, 'path'>;

/** Which file of write-ahead log to deliver, and where to; paths may be relative. */
export type WalFetchOptions = Partial<WalFetchRequest> & Pick<WalFetchRequest, 'name' | 'path'>;

/** Which leases to take away. Default: those of dead runs. */
export type UnlockOptions = Partial<UnlockRequest>;

export function backupRequest(options: BackupOptions): BackupRequest {
  return { components: [], tags: [], ifRunning: { action: 'fail' }, dryRun: false, ...given(options) };
}

export function restoreRequest(
  { postgres = {}, redis = {}, files = {}, ...options }: RestoreOptions,
  { cwd, confirm }: Defaults,
): RestoreRequest {
  return {
    only: [],
    safetyBackup: true,
    force: false,
    dryRun: false,
    confirm,
    ...given(options),
    postgres: {
      databases: [],
      tables: [],
      content: 'all',
      intoLive: false,
      globals: false,
      ...given(postgres),
      toUrl: secretOf(postgres.toUrl),
    },
    redis: {
      keys: [],
      method: 'auto',
      intoLive: false,
      ...given(redis),
      toUrl: secretOf(redis.toUrl),
      dataDir: pathOf(redis.dataDir, cwd),
    },
    files: { paths: [], intoLive: false, ...given(files), toDir: pathOf(files.toDir, cwd) },
  };
}

export function undoRestoreRequest(options: UndoRestoreOptions, { confirm }: Defaults): UndoRestoreRequest {
  return { dryRun: false, confirm, ...given(options) };
}

export function exportRequest(options: ExportOptions, { cwd }: Defaults): ExportRequest {
  return { only: [], force: false, ...given(options), folder: resolve(cwd, options.folder) };
}

export function unlockRequest(options: UnlockOptions, { confirm }: Defaults): UnlockRequest {
  return { alive: false, confirm, ...given(options) };
}

export function validateRequest(options: Partial<ValidateRequest>): ValidateRequest {
  return { ids: [], all: false, level: 'stored', ...given(options) };
}

export function cleanupRequest(options: CleanupOptions): CleanupRequest {
  return { dryRun: false, acknowledge: [], ...given(options) };
}

export function undeleteRequest(options: UndeleteOptions): UndeleteRequest {
  return { hold: true, ...given(options) };
}

export function taggedRequest<T extends HoldOptions | ReleaseOptions>(
  options: T,
): T & { readonly tags: readonly string[] } {
  return { ...options, tags: options.tags ?? [] };
}

export function drillRequest(options: DrillOptions): DrillRequest {
  return { ids: [], ...given(options) };
}

export function pitrRequest(options: PitrOptions, { cwd, confirm }: Defaults): PitrRequest {
  return {
    inclusive: true,
    action: 'shutdown',
    check: false,
    dryRun: false,
    ...given({ confirm, ...options }),
    dataDir: pathOf(options.dataDir, cwd),
  };
}

export function walPushRequest(options: WalPushOptions, { cwd }: Defaults): WalPushRequest {
  return {
    cwd,
    acceptNewSystem: false,
    ...given(options),
    path: resolve(cwd, options.path),
    shippedDir: pathOf(options.shippedDir, cwd),
  };
}

export function walFetchRequest(options: WalFetchOptions, { cwd }: Defaults): WalFetchRequest {
  return { cwd, standby: false, force: false, ...given(options), path: resolve(cwd, options.path) };
}

/** Without members that are undefined: those must not hide a default. */
function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function secretOf(value: string | Secret | undefined): Secret | undefined {
  return typeof value === 'string' ? new Secret(value) : value;
}

function pathOf(path: string | undefined, cwd: string): string | undefined {
  return path === undefined ? undefined : resolve(cwd, path);
}
