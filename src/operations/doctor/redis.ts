/**
 * What `lifeboat doctor` checks of a Redis: reachability and rights, the programs beside it, and room for the snapshot.
 */
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { RedisConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { runTool } from '../../lib/exec.ts';
import { formatBytes } from '../../lib/units.ts';
import { withRedis } from '../../source/redis/connection.ts';
import { isLoopback, parseRedisUrl, type RedisEndpoint } from '../../source/redis/endpoint.ts';
import { probeRedis } from '../../source/redis/probe.ts';
import { newestRdbVersions } from '../../source/redis/rdb/walk.ts';
import { rdbVersionOf, whatLoads, whyNotLoadable } from '../../source/redis/rdb-versions.ts';
import { findServerBinaries, type ServerBinary } from '../../source/redis/scratch-server.ts';
import { readConfig, readInfo, versionFrom, type ServerVersion } from '../../source/redis/server-info.ts';
import {
  attempt,
  contactLimitMs,
  failed,
  limited,
  passed,
  warned,
  type ComponentFindings,
  type DataFolder,
} from './check.ts';
import type { DoctorCheck } from './request.ts';

export async function checkRedis(target: string, config: RedisConfig, context: RunContext): Promise<ComponentFindings> {
  const name = `${target}: Redis`;
  const contact = limited(context, async ({ signal }) => meet(parseRedisUrl(config), signal), contactLimitMs);
  // Whoever needs it tells its failure.
  contact.catch(() => {});
  const server = contact.then(
    ({ version }) => version,
    () => undefined,
  );
  const folders: DataFolder[] = [];
  const all = await Promise.all([
    attempt(name, context, async (limit) => {
      const { folder } = await contact;
      if (folder !== undefined) folders.push({ what: `the data of ${target}'s Redis`, path: folder });
      return checkServer(name, config, limit);
    }),
    attempt(`${name} tools`, context, async (limit) => checkTools(`${name} tools`, server, limit)),
    attempt(`${name} spool`, context, async () => {
      const met = await contact.catch(() => undefined);
      return met === undefined ? [] : checkSpool(`${name} spool`, met.dataBytes);
    }),
  ]);
  return { checks: all.flat(), folders };
}

interface Met {
  readonly version: ServerVersion;
  readonly dataBytes: number;
  /** The server's folder, if it is on this host. */
  readonly folder: string | undefined;
}

function meet(endpoint: RedisEndpoint, signal: AbortSignal): Promise<Met> {
  return withRedis(endpoint, signal, async (connection) => {
    const info = await readInfo(connection, 'server', 'memory');
    return {
      version: versionFrom(info),
      dataBytes: Number(info.get('used_memory_dataset') ?? 0),
      folder: isLoopback(endpoint) ? await readConfig(connection, 'dir') : undefined,
    };
  });
}

async function checkServer(
  name: string,
  config: RedisConfig,
  context: RunContext,
): Promise<DoctorCheck | DoctorCheck[]> {
  const { identity, estimatedBytes, problems } = await probeRedis(parseRedisUrl(config), config.method, context);
  if (problems.length > 0) {
    return problems.map(({ message, hint, fatal }) =>
      fatal ? failed(name, message, hint, 'source') : warned(name, message, hint),
    );
  }
  const how =
    config.method === 'scan'
      ? 'read key by key, which is not of one moment, as configured'
      : 'snapshots over replication';
  return passed(
    name,
    `${identity['make']} at ${identity['server']}, ${formatBytes(estimatedBytes ?? 0)} of data, ${how}`,
  );
}

async function checkTools(
  name: string,
  met: Promise<ServerVersion | undefined>,
  context: RunContext,
): Promise<DoctorCheck[]> {
  const [binaries, server, ...beside] = await Promise.all([
    findServerBinaries(context),
    met,
    ...besideServers.map((file) => versionOf(file, context)),
  ]);
  const fitting = binaries.find(
    ({ version }) => server === undefined || whyNotLoadable(snapshotOf(server), version) === undefined,
  );
  const faults = [
    ...(server === undefined ? [] : newerFormat(name, server)),
    ...(fitting === undefined ? [noServer(name, binaries, server)] : []),
  ];
  if (faults.length > 0) return faults;
  const parts = [fitting?.version.text, ...beside.filter((each) => each !== undefined)];
  return [passed(name, `${parts.join(', ')}${server === undefined ? '' : `, for ${server.text}`}`)];
}

/** A server that writes what our reader has not been tried on; no data says yet that it cannot read it. */
function newerFormat(name: string, server: ServerVersion): DoctorCheck[] {
  const newest = newestRdbVersions[server.flavour];
  if (rdbVersionOf(server) <= newest) return [];
  const message = `${server.text} writes snapshots of a newer version than ${newest}, the newest that lifeboat knows`;
  return [warned(name, message, 'update lifeboat; a backup that holds what it cannot read fails, and says so (16)')];
}

/** None of the servers that are installed can load what `server` saves. */
function noServer(name: string, binaries: readonly ServerBinary[], server: ServerVersion | undefined): DoctorCheck {
  const versions = binaries.map(({ version }) => version.text).join(' and ');
  const have =
    binaries.length === 0
      ? 'no redis-server is installed here'
      : `the ${versions} here cannot load a snapshot of ${server?.text}`;
  const wanted = server === undefined ? 'the same release or a newer one' : whatLoads(snapshotOf(server));
  return warned(
    name,
    `${have}: restores go key by key, and snapshots cannot be proven`,
    `install the server program of ${wanted}; it need not run (Debian, Ubuntu: apt-get install redis-server, or ` +
      'valkey-server)',
  );
}

function snapshotOf(server: ServerVersion): { version: number; valkey: boolean } {
  const version = rdbVersionOf(server);
  return { version, valkey: version >= 80 };
}

/** Used where they are: to take a snapshot in another way, and to check one besides our own reader. */
const besideServers = ['redis-cli', 'valkey-cli', 'redis-check-rdb', 'valkey-check-rdb'];

/** "redis-cli 7.0.15", or the name alone where it does not tell. Undefined: not installed. */
async function versionOf(file: string, { signal }: RunContext): Promise<string | undefined> {
  try {
    const { stdout } = await runTool({ file, args: ['--version'], signal, okExitCodes: [0, 1] });
    const version = /^\S+ (?:v=)?(\d+\.\d+\S*)/.exec(stdout)?.[1];
    return version === undefined ? file : `${file} ${version}`;
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'tool') return undefined;
    throw error;
  }
}

/** The snapshot is spooled; it is refused where half of what the data takes in memory does not fit. */
async function checkSpool(name: string, dataBytes: number): Promise<DoctorCheck> {
  const folder = tmpdir();
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  const message = `${formatBytes(freeBytes)} free in ${folder} for a snapshot of ${formatBytes(dataBytes)} in memory`;
  const hint = 'free some space there, or name another folder by TMPDIR';
  if (freeBytes < dataBytes / 2) return failed(name, message, hint, 'space');
  return freeBytes < dataBytes * 2 ? warned(name, message, hint) : passed(name, message);
}
