/**
 * What a restore that was cut short has reached, seen from the server and the disk. Each mark is written down before
 * what it speaks of can be seen, so that the next attempt knows its own work whatever it is called by then: a
 * database by its oid, which a rename leaves alone; a folder by the name that only a whole one bears; what Redis
 * copied by the replication id it was copied from. Without this a kill between a swap and the note of it would make
 * the next attempt swap once more, and lose what was written in between.
 */
import { stat } from 'node:fs/promises';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import { withMaintenance } from '../../source/postgres/server/maintenance.ts';
import { findUnfinishedRestores } from '../../source/postgres/restore/unfinished.ts';
import type { RedisConnection } from '../../source/redis/connection.ts';
import { readInfo } from '../../source/redis/server-info.ts';
import type { RestoreRequest } from './request.ts';

export interface DatabaseMark {
  readonly kind: 'database';
  /** Its name in the backup. */
  readonly name: string;
  readonly oid: string;
  /** The oid of what was live then. */
  readonly replaced?: string | undefined;
}

export interface FolderMark {
  readonly kind: 'files';
  /** Where it belongs. */
  readonly root: string;
  /** Where it is made; only a whole one bears this name. */
  readonly beside: string;
  /** Where the replaced one is put; undefined: nothing was there. */
  readonly kept?: string | undefined;
  /** It was whole under that name: if the name is free now, it has taken its place. */
  readonly whole: boolean;
}

export interface RedisMark {
  readonly kind: 'redis';
  readonly replicationId: string;
}

export type RestoreMark = DatabaseMark | FolderMark | RedisMark;

export interface RestoreMarks {
  /** Of earlier attempts, oldest first. */
  readonly earlier: readonly RestoreMark[];
  /** Resolves once it is written down. */
  note(mark: RestoreMark): Promise<void>;
}

/** A restore that may be an attempt of several. */
export interface MarkedRestoreRequest extends RestoreRequest {
  /** Undefined: it stands alone. */
  readonly marks?: RestoreMarks | undefined;
}

export type FoundDatabase =
  | { readonly is: 'in-place'; readonly kept: string | undefined }
  | { readonly is: 'beside'; readonly name: string; readonly oid: string };

/** The copy that an earlier attempt has made of a database. Undefined: none that is whole. */
export async function findDatabase(
  url: PostgresUrl,
  marks: RestoreMarks | undefined,
  name: string,
  live: string,
  signal: AbortSignal,
): Promise<FoundDatabase | undefined> {
  const ours = (marks?.earlier ?? []).filter(
    (mark): mark is DatabaseMark => mark.kind === 'database' && mark.name === name,
  );
  if (ours.length === 0) return undefined;
  return withMaintenance({ url, except: [live], signal }, async (client) => {
    const unfinished = new Set((await findUnfinishedRestores(client)).map(({ database }) => database));
    const named = async (oid: string | undefined): Promise<string | undefined> =>
      oid === undefined
        ? undefined
        : ((await client.query('SELECT datname FROM pg_database WHERE oid = $1', [oid]))[0]?.['datname'] ?? undefined);
    for (const { oid, replaced } of ours.toReversed()) {
      const called = await named(oid);
      if (called === undefined || unfinished.has(called)) continue;
      return called === live
        ? { is: 'in-place' as const, kept: await named(replaced) }
        : { is: 'beside' as const, name: called, oid };
    }
    return undefined;
  });
}

/** Notes a copy with its oid, and what is live now under the name that it will have. */
export async function noteDatabase(
  marks: RestoreMarks | undefined,
  url: PostgresUrl,
  name: string,
  { live }: { readonly live: string },
  oid: string,
  signal: AbortSignal,
): Promise<void> {
  if (marks === undefined) return;
  const replaced = await withMaintenance(
    { url, except: [live], signal },
    async (client) =>
      (await client.query('SELECT oid FROM pg_database WHERE datname = $1', [live]))[0]?.['oid'] ?? undefined,
  );
  await marks.note({ kind: 'database', name, oid, replaced });
}

export interface FoundFolder {
  /** Whole, but not in its place yet; undefined: it is. */
  readonly beside: string | undefined;
  readonly kept: string | undefined;
}

/** The same for a folder. */
export async function findFolder(marks: RestoreMarks | undefined, root: string): Promise<FoundFolder | undefined> {
  const ours = (marks?.earlier ?? []).filter((mark): mark is FolderMark => mark.kind === 'files' && mark.root === root);
  for (const { beside, kept, whole } of ours.toReversed()) {
    if (beside !== root && (await exists(beside))) return { beside, kept };
    if (whole && (await exists(root)) && (kept === undefined || (await exists(kept)))) {
      return { beside: undefined, kept };
    }
  }
  return undefined;
}

/** True if the server has copied all of what an earlier attempt gave it. */
export async function hasCopied(marks: RestoreMarks | undefined, connection: RedisConnection): Promise<boolean> {
  const ours = (marks?.earlier ?? []).flatMap((mark) =>
    mark.kind === 'redis' && mark.replicationId !== '' ? [mark.replicationId] : [],
  );
  if (ours.length === 0) return false;
  const info = await readInfo(connection, 'replication');
  return (
    info.get('role') === 'master' &&
    ours.some((id) => id === info.get('master_replid') || id === info.get('master_replid2'))
  );
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
