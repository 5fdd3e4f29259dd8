/**
 * What is live where an emergency restore would write: can it be reached, does it hold anything, which server is it,
 * when was it last written to. Nothing is changed to learn it.
 */
import { readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config, TargetConfig } from '../../config/config.ts';
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { DatabaseFacts } from '../../source/postgres/facts/facts.ts';
import { withMaintenance } from '../../source/postgres/server/maintenance.ts';
import { withConnection, type Connection } from '../../source/postgres/server/connection.ts';
import { readSystemId } from '../../source/postgres/server/control.ts';
import { withRedis } from '../../source/redis/connection.ts';
import { parseRedisUrl } from '../../source/redis/endpoint.ts';
import { readInfo } from '../../source/redis/server-info.ts';
import { recoverTarget } from '../../source/redis/target-note.ts';
import { inspectTarget } from '../../source/redis/target.ts';
import type { ComponentName } from '../operation.ts';
import { redisNotesDir } from '../restore/step.ts';
import { counted } from '../../lib/units.ts';

export interface LiveComponent {
  readonly component: ComponentName;
  /** Server or folders; no credentials. */
  readonly where: string;
  readonly reachable: boolean;
  /** Why it is not. */
  readonly problem?: string | undefined;
  /** In a few words. */
  readonly holds: string;
  /** Something would be replaced. */
  readonly hasData: boolean;
  /** PostgreSQL's system identifier. */
  readonly systemIdentifier?: string | undefined;
  readonly bytes?: number | undefined;
  /** RFC 3339; undefined where the server does not tell. */
  readonly lastWriteAt?: string | undefined;
  /** On the disk that would be written to; undefined where that is not this machine's. */
  readonly freeBytes?: number | undefined;
}

/** One component by what a plan says of it. Undefined for what is not looked at. */
export async function lookAt(
  component: ComponentName,
  target: TargetConfig,
  {
    databases = [],
    roots = [],
  }: { readonly databases?: readonly string[] | undefined; readonly roots?: readonly string[] | undefined },
  context: RunContext,
): Promise<LiveComponent | undefined> {
  if (component === 'database') {
    return lookAtDatabase(
      target,
      databases.map((name) => ({ name })),
      context,
    );
  }
  if (component === 'redis') return lookAtRedis(target, context);
  return component === 'files' ? lookAtFiles(roots) : undefined;
}

export async function lookAtDatabase(
  target: TargetConfig,
  databases: readonly Pick<DatabaseFacts, 'name'>[],
  { signal }: RunContext,
): Promise<LiveComponent> {
  const url = target.postgres?.url;
  if (url === undefined) return unreachable('database', 'no PostgreSQL', 'none is configured');
  const where = url.describe();
  try {
    return await withMaintenance({ url, except: [], signal }, async (client) => {
      const rows = await client.query(
        'SELECT datname AS name, pg_database_size(oid) AS bytes FROM pg_database WHERE datallowconn',
      );
      const there = rows.filter((row) => databases.some(({ name }) => name === row['name']));
      const bytes = there.reduce((sum, row) => sum + Number(row['bytes']), 0);
      const writes: string[] = [];
      for (const { name } of there) {
        const at = await withConnection(url, { database: name ?? '', signal }, lastWrite).catch(() => undefined);
        if (at !== undefined) writes.push(at);
      }
      const isLocal = url.address.startsWith('/') || ['localhost', '127.0.0.1', '::1'].includes(url.address);
      const folder = isLocal ? await dataFolder(client) : undefined;
      return {
        component: 'database' as const,
        where,
        reachable: true,
        holds: there.length === 0 ? 'none of its databases' : there.map(({ name }) => name).join(', '),
        hasData: there.length > 0,
        systemIdentifier: await readSystemId(client),
        bytes,
        lastWriteAt: writes.toSorted().at(-1),
        freeBytes: folder === undefined ? undefined : await freeBytes(folder),
      };
    });
  } catch (error) {
    return unreachable('database', where, messageOf(error));
  }
}

/** Undefined where this user may not see it. */
async function dataFolder(client: Pick<Connection, 'query'>): Promise<string | undefined> {
  try {
    const [row] = await client.query('SHOW data_directory');
    return row?.['data_directory'] ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * The last commit where the server keeps their times, else when a table's file was last written to; undefined where
 * neither may be seen.
 */
async function lastWrite(connection: Connection): Promise<string | undefined> {
  const asTime = (column: string): string =>
    `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at`;
  const commits = await connection.query(`SELECT ${asTime('timestamp')} FROM pg_last_committed_xact()`).catch(() => []);
  if (commits[0]?.['at'] !== null && commits[0]?.['at'] !== undefined) return commits[0]['at'];
  const files = await connection
    .query(
      `SELECT ${asTime('max((pg_stat_file(pg_relation_filepath(c.oid), true)).modification)')} FROM pg_class c ` +
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ " +
        "'^(pg_|information_schema$)'",
    )
    .catch(() => []);
  return files[0]?.['at'] ?? undefined;
}

export async function lookAtRedis(target: TargetConfig, { signal }: RunContext): Promise<LiveComponent> {
  if (target.redis === undefined) return unreachable('redis', 'no Redis', 'none is configured');
  const endpoint = parseRedisUrl(target.redis);
  try {
    return await withRedis(endpoint, signal, async (connection) => {
      const { keys } = await inspectTarget(connection);
      const info = await readInfo(connection, 'persistence', 'memory').catch(() => new Map<string, string>());
      const isSaved = info.get('rdb_changes_since_last_save') === '0';
      const savedMs = Number(info.get('rdb_last_save_time') ?? 0) * 1000;
      return {
        component: 'redis' as const,
        where: endpoint.text,
        reachable: true,
        holds: counted(keys, 'key'),
        hasData: keys > 0,
        bytes: Number(info.get('used_memory_dataset') ?? 0),
        lastWriteAt: keys > 0 && savedMs > 0 ? new Date(isSaved ? savedMs : Date.now()).toISOString() : undefined,
      };
    });
  } catch (error) {
    return unreachable('redis', endpoint.text, messageOf(error));
  }
}

/**
 * A restore that was killed in the middle may have left the target's Redis a replica of a server that is gone: it could
 * neither be looked at nor saved.
 */
export async function freeRedis({ targets, stateDir }: Config, target: string, context: RunContext): Promise<void> {
  const address = targets.get(target)?.redis;
  if (address === undefined) return;
  // One that cannot be reached is told of by the plan.
  await recoverTarget(redisNotesDir(stateDir), parseRedisUrl(address), context).catch(() =>
    context.signal.throwIfAborted(),
  );
}

/** So many files are looked at for the newest. */
const filesLookedAt = 20_000;

export async function lookAtFiles(roots: readonly string[]): Promise<LiveComponent> {
  const where = roots.join(', ');
  try {
    const newest = { ms: 0, left: filesLookedAt, files: 0 };
    for (const root of roots) await walk(root, newest);
    const [first = '/'] = roots;
    return {
      component: 'files',
      where,
      reachable: true,
      holds: newest.left > 0 ? counted(newest.files, 'file') : `over ${counted(newest.files, 'file')}`,
      hasData: newest.files > 0,
      lastWriteAt: newest.ms === 0 ? undefined : new Date(newest.ms).toISOString(),
      freeBytes: await freeBytes(first),
    };
  } catch (error) {
    return unreachable('files', where, messageOf(error));
  }
}

async function walk(path: string, newest: { ms: number; left: number; files: number }): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (newest.left-- <= 0) return;
    const inner = join(path, entry.name);
    if (entry.isDirectory()) await walk(inner, newest);
    else {
      newest.files++;
      const info = await stat(inner).catch(() => undefined);
      newest.ms = Math.max(newest.ms, info?.mtimeMs ?? 0);
    }
  }
}

/** Of the disk that holds a path, or will hold it. */
async function freeBytes(path: string): Promise<number | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await statfs(folder).catch(() => undefined);
    if (found !== undefined) return found.bavail * found.bsize;
    if (folder === dirname(folder)) return undefined;
  }
}

function unreachable(component: ComponentName, where: string, problem: string): LiveComponent {
  return { component, where, reachable: false, problem, holds: 'cannot be told', hasData: false };
}
