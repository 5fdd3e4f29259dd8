/** What a server says of itself: the fields of INFO, its version and make, and whether it has a command. */
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

/** Several sections of INFO in one map. */
export async function readInfo(connection: RedisConnection, ...sections: readonly string[]): Promise<InfoFields> {
  const fields = new Map<string, string>();
  for (const section of sections) {
    const text = String(await connection.call('INFO', section));
    for (const [, name, value] of text.matchAll(/^([^#:\r\n]+):(.*?)\r?$/gm)) fields.set(name ?? '', value ?? '');
  }
  return fields;
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
    const replies = (await connection.call('COMMAND', 'INFO', ...names)) as readonly unknown[];
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
    const db = /^db(\d+)$/.exec(name)?.[1];
    const counts = /^keys=(\d+),expires=(\d+)/.exec(value);
    if (db !== undefined && counts !== null) {
      found.set(Number(db), { keys: Number(counts[1]), expires: Number(counts[2]) });
    }
  }
  return found;
}

/** One CONFIG parameter; undefined where CONFIG is refused or the parameter unknown. */
export async function readConfig(connection: RedisConnection, name: string): Promise<string | undefined> {
  try {
    const reply = (await connection.call('CONFIG', 'GET', name)) as readonly string[];
    return reply[1];
  } catch {
    return undefined;
  }
}
