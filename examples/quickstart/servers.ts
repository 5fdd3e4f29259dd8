/**
 * A PostgreSQL and a Redis to throw away: on free ports of 127.0.0.1, with passwords made up for this
 * run, their data in the folder that they are given. The servers of this machine are not touched.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Server {
  /** With its password. */
  readonly url: string;
  readonly version: string;
  /** What its own tools (psql, redis-cli) need in their environment to reach it. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder of those tools; empty: they are in PATH. */
  readonly binFolder: string;
  stop(): Promise<void>;
}

/** Starts PostgreSQL with its data in `folder` (made here); superuser postgres. */
export async function startPostgres(folder: string, signal: AbortSignal): Promise<Server> {
  const binFolder = postgresFolder();
  const port = await freePort();
  const password = randomBytes(12).toString('hex');
  // PostgreSQL refuses to run as root.
  const user = process.getuid?.() === 0 ? (idsOf('postgres') ?? idsOf('nobody')) : undefined;
  mkdirSync(folder);
  writeFileSync(join(folder, 'password'), password, { mode: 0o600 });
  if (user !== undefined) for (const path of [folder, join(folder, 'password')]) chownSync(path, user.uid, user.gid);
  const data = join(folder, 'data');
  const initdb = spawnSync(
    join(binFolder, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '--pwfile',
      join(folder, 'password'),
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--no-sync',
    ],
    { cwd: folder, ...user, encoding: 'utf8' },
  );
  if (initdb.status !== 0) throw new Error(`initdb failed: ${initdb.stderr}`);
  const settings = [
    '-c',
    'listen_addresses=127.0.0.1',
    '-p',
    String(port),
    '-k',
    folder,
    '-c',
    'fsync=off',
    '-c',
    'max_wal_size=2GB',
    '-c',
    'autovacuum=off',
  ];
  const server = start(join(binFolder, 'postgres'), ['-D', data, ...settings], { cwd: folder, ...user });
  const env = { PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: 'postgres', PGPASSWORD: password };
  await untilReady(server, signal, () => spawnSync(join(binFolder, 'pg_isready'), ['-q'], { env }).status === 0);
  const version =
    spawnSync(join(binFolder, 'postgres'), ['--version'], { encoding: 'utf8' }).stdout.split(' ')[2]?.trim() ?? '';
  // SIGINT asks PostgreSQL for a fast shutdown: it ends sessions and waits for nobody.
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/shop`,
    version,
    env,
    binFolder,
    stop: async () => server.end('SIGINT'),
  };
}

/** Starts Redis with its data in `folder` (made here). */
export async function startRedis(folder: string, signal: AbortSignal): Promise<Server> {
  const port = await freePort();
  const password = randomBytes(12).toString('hex');
  mkdirSync(folder);
  // In a file: a password on the command line would be seen by everyone on this machine.
  writeFileSync(
    join(folder, 'redis.conf'),
    `requirepass ${password}\nbind 127.0.0.1\nport ${port}\ndir ${folder}\nsave ""\nenable-debug-command ` +
      'local\nrepl-diskless-sync-delay 0\n',
    { mode: 0o600 },
  );
  const server = start('redis-server', [join(folder, 'redis.conf')], { cwd: folder });
  const env = { PATH: systemPath, REDISCLI_AUTH: password, REDIS_PORT: String(port) };
  const ask = (...words: string[]): string =>
    spawnSync('redis-cli', ['-p', String(port), ...words], { env, encoding: 'utf8' }).stdout.trim();
  await untilReady(server, signal, () => ask('PING') === 'PONG');
  const version = /redis_version:(\S+)/.exec(ask('INFO', 'server'))?.[1] ?? '';
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    version,
    env,
    binFolder: '',
    stop: async () => server.end('SIGTERM'),
  };
}

export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

interface Running {
  readonly child: ChildProcess;
  readonly log: () => string;
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
}

function start(
  file: string,
  args: readonly string[],
  how: { readonly cwd: string; readonly uid?: number; readonly gid?: number },
): Running {
  const child = spawn(file, args, {
    ...how,
    env: { PATH: systemPath, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let log = '';
  child.on('error', (error) => (log += error.message));
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-2000)));
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  };
  return { child, log: () => log, end };
}

async function untilReady({ child, log, end }: Running, signal: AbortSignal, isReady: () => boolean): Promise<void> {
  try {
    for (let tries = 0; !isReady(); tries++) {
      signal.throwIfAborted();
      if (child.exitCode !== null || child.pid === undefined || tries > 300) {
        throw new Error(`${child.spawnfile} did not start: ${log()}`);
      }
      await sleep(100);
    }
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
}

/** Debian keeps each major's programs in a folder of its own, not in PATH. Empty: use PATH. */
function postgresFolder(): string {
  const base = '/usr/lib/postgresql';
  const majors = existsSync(base)
    ? readdirSync(base)
        .map(Number)
        .filter((major) => existsSync(join(base, String(major), 'bin/initdb')))
    : [];
  return majors.length === 0 ? '' : join(base, String(Math.max(...majors)), 'bin');
}

function idsOf(name: string): { uid: number; gid: number } | undefined {
  const fields = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((line) => line.startsWith(`${name}:`))
    ?.split(':');
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
