/**
 * The part of the facts that the server itself tells: ACL users, settings, modules, replication. Each is left out where
 * it is not allowed.
 */
import type { RedisConnection } from './connection.ts';
import type { RedisFacts } from './facts.ts';
import { listIn, textsIn } from './replies.ts';
import { readInfo, versionFrom } from './server-info.ts';

export type ServerFacts = Pick<
  RedisFacts,
  'flavour' | 'serverVersion' | 'replication' | 'aclUsers' | 'config' | 'modules'
>;

/** Settings that a new server needs to serve the same data in the same way. No secret is among them. */
const wanted = [
  'maxmemory',
  'maxmemory-policy',
  'appendonly',
  'appendfsync',
  'save',
  'databases',
  'notify-keyspace-events',
  'rdbchecksum',
  'hash-max-listpack-entries',
  'set-max-intset-entries',
  'zset-max-listpack-entries',
  'list-max-listpack-size',
  'stream-node-max-entries',
];

/** Asks for all of it; never fails for a missing right. */
export async function readServerFacts(connection: RedisConnection): Promise<ServerFacts> {
  const info = await readInfo(connection, 'server', 'replication');
  const version = versionFrom(info);
  const id = info.get('master_replid');
  const offset = info.get('master_repl_offset');
  const aclUsers = await optional(() => readAclUsers(connection));
  const config = await readSettings(connection);
  const modules = await optional(() => readModules(connection));
  return {
    flavour: version.flavour,
    serverVersion: version.version,
    ...(id === undefined || offset === undefined ? {} : { replication: { id, offset } }),
    ...(aclUsers === undefined ? {} : { aclUsers }),
    ...(config === undefined ? {} : { config }),
    ...(modules === undefined ? {} : { modules }),
  };
}

/** ACL LIST without what proves a password: hashes (#…) and, on odd servers, clear text (>…). */
async function readAclUsers(connection: RedisConnection): Promise<string[]> {
  const lines = textsIn(await connection.call('ACL', 'LIST'));
  return lines.map((line) =>
    line
      .split(' ')
      .filter((word) => !/^[#>]/.test(word))
      .join(' '),
  );
}

async function readSettings(connection: RedisConnection): Promise<Record<string, string> | undefined> {
  const settings: Record<string, string> = {};
  for (const name of wanted) {
    const reply = await optional(async () => textsIn(await connection.call('CONFIG', 'GET', name)));
    if (reply === undefined) return undefined;
    if (reply[1] !== undefined) settings[name] = reply[1];
  }
  return settings;
}

async function readModules(connection: RedisConnection): Promise<string[]> {
  const modules = listIn(await connection.call('MODULE', 'LIST')).map(listIn);
  return modules.map((fields) => `${String(fields[1])} ${String(fields[3])}`);
}

async function optional<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch {
    return undefined;
  }
}
