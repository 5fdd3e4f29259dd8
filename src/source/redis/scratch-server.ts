/**
 * A throwaway server that holds an RDB file: the other end of the replica trick, and what drills load a
 * backup into. The file is others' (and so are the functions in it), so the server runs isolated, and nothing that we
 * write or connect to lies where it can put something else. Random password, no persistence; ended with its scope, or
 * by the next run if this one is killed.
 */
import { randomBytes } from 'node:crypto';
import { link, lstat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { runTool, ToolError, type RunningTool } from '../../lib/exec.ts';
import { startIsolated, type Isolation } from '../../lib/isolation.ts';
import { programFolders } from '../../lib/program-folders.ts';
import { Secret } from '../../lib/secret.ts';
import type { RedisConnection } from './connection.ts';
import { connectRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { makeRooms, type ScratchRooms, writeConfig } from './scratch-rooms.ts';
import { readInfo, serverVersion } from './server-info.ts';
import type { ServerVersion } from './server-info.ts';

export interface ScratchServerOptions {
  /** redis-server or valkey-server, see findServerBinaries. */
  readonly binary: ServerBinary;
  /** A private folder with the file to load. */
  readonly folder: string;
  /** Name of the RDB file in it. */
  readonly fileName: string;
  /** How many databases there must be. */
  readonly databases: number;
  /** Address to listen on, e.g. "0.0.0.0"; default: none, only a socket. */
  readonly bind?: string | undefined;
  readonly isolation: Isolation;
}

export interface ScratchServer extends AsyncDisposable {
  readonly endpoint: RedisEndpoint;
  /** 0 for one without an address. */
  readonly port: number;
  readonly password: Secret;
  readonly pid: number;
  readonly version: ServerVersion;
  /** Open as long as the server. */
  readonly connection: RedisConnection;
  /** Keys that it loaded, and those that had expired by then; together what the file holds. */
  readonly loadedKeys: number;
  readonly expiredKeys: number;
}

export interface ServerBinary {
  readonly file: string;
  readonly version: ServerVersion;
}

/** The servers in the folder that the operator names, and in PATH, with their versions; may be none. */
export async function findServerBinaries(context: RunContext): Promise<ServerBinary[]> {
  const found: ServerBinary[] = [];
  const folder = programFolders().redis;
  const names = ['redis-server', 'valkey-server'];
  // By its path, so that a sandbox shows the program that may lie outside of the system's folders.
  const named = folder === undefined ? [] : names.map((name) => join(folder, name));
  for (const file of [...named, ...names]) {
    try {
      const { stdout } = await runTool({ file, args: ['--version'], signal: context.signal });
      const match = /^(Redis|Valkey) server v=(\S+)/m.exec(stdout);
      if (match?.[2] !== undefined) {
        found.push({ file, version: serverVersion(match[1] === 'Valkey' ? 'valkey' : 'redis', match[2]) });
      }
    } catch (error) {
      if (!(error instanceof LifeboatError) || (error.code !== 'tool' && !(error instanceof ToolError))) throw error;
    }
  }
  return found;
}

/**
 * Starts one and waits until it has loaded the file. Throws LifeboatError: integrity if it does not take the file,
 * tool.
 */
export async function startScratchServer(
  { isolation, ...rest }: ScratchServerOptions,
  context: RunContext,
): Promise<ScratchServer> {
  // Without isolation it runs as we do: Redis takes root, and another user may have no way to the folder.
  const options = { ...rest, isolation: isolation.kind === 'none' ? { ...isolation, owner: undefined } : isolation };
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options, await makeRooms(options, attempt), context);
    } catch (error) {
      // Somebody else took the port in between.
      if (attempt === 5 || !messageOf(error).includes('Address already in use')) throw error;
    }
  }
}

async function startOnce(
  options: ScratchServerOptions,
  rooms: ScratchRooms,
  context: RunContext,
): Promise<ScratchServer> {
  const { isolation, bind } = options;
  const password = new Secret(randomBytes(24).toString('hex'));
  const port = bind === undefined ? 0 : await freePort();
  const { flavour, major } = options.binary.version;
  const hasDebugSetting = flavour === 'valkey' || major >= 7;
  const configFile = await writeConfig(rooms, { ...options, bind, port, password, hasDebugSetting }, isolation);
  const spec = { file: options.binary.file, args: [configFile], stdout: 'pipe' as const };
  const { tool, end } = await startIsolated(isolation, spec, { ...rooms.reach, isOnNetwork: bind !== undefined });
  const log = tailOf(tool);
  let connection: RedisConnection | undefined;
  const stop = async (): Promise<void> => {
    connection?.close();
    await end();
  };
  try {
    const endpoint = endpointOf({ password, port, socketPath: rooms.socketPath });
    await waitForSocket(tool, rooms, log, context);
    connection = await waitUntilLoaded(endpoint, tool, log, context);
    const info = await readInfo(connection, 'persistence');
    return {
      endpoint,
      port,
      password,
      pid: tool.pid,
      version: options.binary.version,
      connection,
      loadedKeys: Number(info.get('rdb_last_load_keys_loaded') ?? Number.NaN),
      expiredKeys: Number(info.get('rdb_last_load_keys_expired') ?? Number.NaN),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What a scratch server is reached by. */
interface OwnAddress {
  readonly password: Secret;
  readonly port: number;
  readonly socketPath: string;
}

function endpointOf(own: OwnAddress): RedisEndpoint {
  return { ...own, host: '127.0.0.1', user: undefined, db: 0, tls: undefined, text: 'the scratch server' };
}

/** The end of what it says. */
function tailOf({ stdout }: RunningTool): () => string {
  let tail = '';
  stdout?.setEncoding('utf8');
  stdout?.on('data', (text: string) => (tail = (tail + text).slice(-10_000)));
  stdout?.on('error', () => {});
  return () => tail;
}

/** Waits for its socket and makes the link to it: to the file, not to its name. */
async function waitForSocket(
  tool: RunningTool,
  { ownSocket, socketPath }: ScratchRooms,
  log: () => string,
  context: RunContext,
): Promise<void> {
  const exited = endOf(tool);
  for (;;) {
    try {
      await link(ownSocket, socketPath);
      break;
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error;
    }
    const ended = await Promise.race([sleep(20), exited]);
    context.signal.throwIfAborted();
    if (ended !== undefined) throw refusedFile(log(), ended);
  }
  if (!(await lstat(socketPath)).isSocket()) throw new LifeboatError('tool', 'a scratch redis-server made no socket');
}

/** Never rejects: why it ended. */
async function endOf({ result }: RunningTool): Promise<unknown> {
  return result.then(
    () => new Error('it exited'),
    (error: unknown) => error,
  );
}

async function waitUntilLoaded(
  endpoint: RedisEndpoint,
  tool: RunningTool,
  log: () => string,
  context: RunContext,
): Promise<RedisConnection> {
  let exited: unknown;
  const watching = endOf(tool).then((why) => (exited = why));
  for (;;) {
    try {
      const connection = await connectRedis(endpoint, context.signal);
      if ((await readInfo(connection, 'persistence')).get('loading') === '0') return connection;
      connection.close();
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof LifeboatError)) throw error;
    }
    await Promise.race([sleep(50), watching]);
    context.signal.throwIfAborted();
    if (exited !== undefined) throw refusedFile(log(), exited);
  }
}

function refusedFile(log: string, cause: unknown): LifeboatError {
  const why = log
    .trim()
    .split('\n')
    .slice(-3)
    .map((line) => line.replace(/^\S+ \d+ \w+ \d+ [\d:.]+ \S /, ''))
    .join('; ');
  const text = why === '' ? messageOf(cause) : why;
  const details = { state: 'nothing was changed', cause };
  if (/rdb|checksum|signature|loading|bad file/i.test(why)) {
    return new LifeboatError('integrity', `a scratch redis-server did not load the snapshot: ${text}`, details);
  }
  return new LifeboatError('tool', `a scratch redis-server did not start: ${text}`, details);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new LifeboatError('tool', 'cannot find a free port');
  return address.port;
}
