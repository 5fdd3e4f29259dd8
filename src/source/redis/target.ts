/** What a restore has to know of the server it goes to, and the refusals that follow from it. */
import { LifeboatError } from '../../lib/errors.ts';
import type { RedisConnection } from './connection.ts';
import { modeRefusal } from './errors.ts';
import { hasCommands, numberIn, readConfig, readInfo, readKeyspace, versionFrom } from './server-info.ts';
import type { ServerVersion } from './server-info.ts';

export interface TargetState {
  readonly version: ServerVersion;
  /** All databases together. */
  readonly keys: number;
  readonly keyspace: ReadonlyMap<number, { readonly keys: number; readonly expires: number }>;
  readonly replicas: number;
  /** A Sentinel watches it: it would take a replica trick for a failure. */
  readonly sentinel: boolean;
  /** How many databases it has; undefined where it does not tell. */
  readonly databases: number | undefined;
  /** CONFIG and REPLICAOF can be used (not on managed servers). */
  readonly controllable: boolean;
  readonly aof: boolean;
  /** The `save` setting, undefined where it does not tell. */
  readonly save: string | undefined;
  /** Bytes; 0: no limit. */
  readonly maxMemory: number;
}

/** Reads it; throws (source) for servers that cannot be a target: replicas, clusters, servers still loading. */
export async function inspectTarget(connection: RedisConnection): Promise<TargetState> {
  const info = await readInfo(connection, 'server', 'replication', 'cluster', 'memory', 'persistence');
  const { endpoint } = connection;
  const refusal = modeRefusal(info, endpoint);
  if (refusal !== undefined) throw refusal;
  if (info.get('role') === 'slave') throw replicaRefusal(endpoint.text, info.get('master_host') ?? '');
  if (info.get('loading') === '1') {
    throw new LifeboatError('source', `Redis at ${endpoint.text} is still loading its data`, {
      state: 'nothing was changed',
      retryable: true,
    });
  }
  const keyspace = await readKeyspace(connection);
  const databases = await readConfig(connection, 'databases');
  return {
    version: versionFrom(info),
    keys: [...keyspace.values()].reduce((sum, { keys }) => sum + keys, 0),
    keyspace,
    replicas: numberIn(info, 'connected_slaves') ?? 0,
    sentinel: await hasSentinel(connection),
    databases: /^\d{1,9}$/.test(databases ?? '') ? Number(databases) : undefined,
    controllable:
      databases !== undefined &&
      (await hasCommands(connection, 'CONFIG', 'REPLICAOF')) &&
      (await mayRun(connection, 'REPLICAOF', 'no', 'one')),
    aof: info.get('aof_enabled') === '1',
    save: await readConfig(connection, 'save'),
    maxMemory: numberIn(info, 'maxmemory') ?? 0,
  };
}

function replicaRefusal(text: string, primary: string): LifeboatError {
  return new LifeboatError('source', `Redis at ${text} is a replica of ${primary}`, {
    state: 'nothing was changed',
    hint: 'restore into the primary; if an interrupted restore left it so, run on it: redis-cli REPLICAOF NO ONE',
  });
}

async function hasSentinel(connection: RedisConnection): Promise<boolean> {
  try {
    return /\sname=sentinel-/.test(String(await connection.call('CLIENT', 'LIST')));
  } catch {
    return false;
  }
}

/** False only where ACL DRYRUN (7.0 on) says so. */
async function mayRun(connection: RedisConnection, ...command: readonly string[]): Promise<boolean> {
  try {
    const user = String(await connection.call('ACL', 'WHOAMI'));
    return String(await connection.call('ACL', 'DRYRUN', user, ...command)) === 'OK';
  } catch {
    return true;
  }
}
