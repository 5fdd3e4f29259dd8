/** What a server says of itself: the fields of INFO, its version and make, and whether it has a command. */
import { LifeboatError } from '../../lib/errors.ts';
import { listIn, textIn, textsIn } from './replies.ts';
import type { RedisConnection } from './connection.ts';

export interface ServerVersion {
  readonly flavour: 'redis' | 'valkey';
  readonly major: number;
  readonly minor: number;
  /** "7.0.15" */
  readonly version: string;
  /** "Redis 7.0.15" */
  readonly text: string;
}

export type InfoFields = ReadonlyMap<string, string>;

/** A section has tens of lines, and one for each database, of which a snapshot may have 100,000. */
const maxFields = 110_000;

/** Several sections of INFO in one map. Throws LifeboatError (source), also when they are longer than any. */
export async function readInfo(connection: RedisConnection, ...sections: readonly string[]): Promise<InfoFields> {
  const fields = new Map<string, string>();
  for (const section of sections) {
    const text = textIn(await connection.call('INFO', section));
    let lines = 0;
    for (const [, name, value] of text.matchAll(/^([^#:\r\n]+):(.*?)\r?$/gm)) {
      if (++lines > maxFields) throw endlessInfo(connection);
      fields.set(name ?? '', value ?? '');
    }
  }
  return fields;
}

function endlessInfo({ endpoint }: RedisConnection): LifeboatError {
  return new LifeboatError('source', `Redis at ${endpoint.text} says more of itself than any server`, {
    hint: 'see that a Redis server listens there, and that nobody stands between',
  });
}

/** A field that is a number; undefined where it is missing or is none. */
export function numberIn(info: InfoFields, name: string): number | undefined {
  const value = info.get(name);
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** The server's version from INFO's section "server". */
export function versionFrom(info: InfoFields): ServerVersion {
  const valkey = info.get('valkey_version');
  const version = valkey ?? info.get('redis_version') ?? '0.0.0';
  return serverVersion(valkey === undefined && info.get('server_name') !== 'valkey' ? 'redis' : 'valkey', version);
}

/** From a make and a version such as "7.0.15". */
export function serverVersion(flavour: ServerVersion['flavour'], version: string): ServerVersion {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return { flavour, major, minor, version, text: `${flavour === 'valkey' ? 'Valkey' : 'Redis'} ${version}` };
}

/** True if the server knows the commands (managed servers remove some); a refusal to say counts as no. */
export async function hasCommands(connection: RedisConnection, ...names: readonly string[]): Promise<boolean> {
  try {
    const replies = listIn(await connection.call('COMMAND', 'INFO', ...names));
    return replies.every((reply) => reply !== null);
  } catch {
    return false;
  }
}

/** Keys and expires for each database that has any, from INFO keyspace. */
export async function readKeyspace(
  connection: RedisConnection,
): Promise<Map<number, { keys: number; expires: number }>> {
  const found = new Map<number, { keys: number; expires: number }>();
  for (const [name, value] of await readInfo(connection, 'keyspace')) {
    const db = /^db(\d{1,9})$/.exec(name)?.[1];
    const counts = /^keys=(\d{1,15}),expires=(\d{1,15})/.exec(value);
    if (db !== undefined && counts !== null) {
      found.set(Number(db), { keys: Number(counts[1]), expires: Number(counts[2]) });
    }
  }
  return found;
}

/** One CONFIG parameter; undefined where CONFIG is refused or the parameter unknown. */
export async function readConfig(connection: RedisConnection, name: string): Promise<string | undefined> {
  try {
    return textsIn(await connection.call('CONFIG', 'GET', name))[1];
  } catch {
    return undefined;
  }
}
