/**
 * A throwaway server that holds an RDB file: the other end of the replica trick, and what drills load a
 * backup into. Random password, no persistence, in a private folder; ended with its scope, or by the next
 * run if this one is killed.
 */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { runTool, startTool, ToolError } from '../../lib/exec.ts';
import { rememberProcess } from '../../lib/leftovers.ts';
import { Secret } from '../../lib/secret.ts';
import type { RedisConnection } from './connection.ts';
import { connectRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
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
  /** Address to listen on, e.g. "0.0.0.0"; default 127.0.0.1. */
  readonly bind?: string | undefined;
}

export interface ScratchServer extends AsyncDisposable {
  readonly endpoint: RedisEndpoint;
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

/** The servers in PATH with their versions; may be none. */
export async function findServerBinaries(context: RunContext): Promise<ServerBinary[]> {
  const found: ServerBinary[] = [];
  for (const file of ['redis-server', 'valkey-server']) {
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
export async function startScratchServer(options: ScratchServerOptions, context: RunContext): Promise<ScratchServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options, context);
    } catch (error) {
      // Somebody else took the port in between.
      if (attempt === 5 || !messageOf(error).includes('Address already in use')) throw error;
    }
  }
}

async function startOnce(options: ScratchServerOptions, context: RunContext): Promise<ScratchServer> {
  const password = new Secret(randomBytes(24).toString('hex'));
  const port = await freePort();
  const socketPath = join(options.folder, 's');
  const configFile = join(options.folder, 'scratch.conf');
  await writeFile(configFile, configOf(options, { password, port, socketPath }), { mode: 0o600 });
  const ended = new AbortController();
  const tool = await startTool({
    file: options.binary.file,
    args: [configFile],
    cwd: options.folder,
    stdout: 'ignore',
    signal: AbortSignal.any([context.signal, ended.signal]),
  });
  const remembered = rememberProcess(tool.pid);
  const endpoint = endpointOf({ password, port, socketPath });
  let connection: RedisConnection | undefined;
  const stop = async (): Promise<void> => {
    connection?.close();
    tool.kill('SIGKILL');
    await tool.result.catch(() => {});
    remembered[Symbol.dispose]();
  };
  try {
    connection = await waitUntilLoaded(endpoint, tool.result, options.folder, context);
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

/** The password stands in this 0600 file only. */
function configOf(options: ScratchServerOptions, own: OwnAddress): string {
  const lines = [
    `bind ${options.bind ?? '127.0.0.1'}`,
    `port ${own.port}`,
    `unixsocket ${own.socketPath}`,
    'unixsocketperm 700',
    `requirepass ${own.password.reveal()}`,
    `dir ${options.folder}`,
    `dbfilename ${options.fileName}`,
    'save ""',
    'appendonly no',
    `databases ${options.databases}`,
    'daemonize no',
    'logfile scratch.log',
    'maxmemory 0',
    'repl-diskless-sync yes',
    'repl-diskless-sync-delay 0',
    // A slow target must not be cut off while it loads.
    'client-output-buffer-limit replica 0 0 0',
    'repl-timeout 3600',
  ];
  const { flavour, major } = options.binary.version;
  if (flavour === 'valkey' || major >= 7) lines.push('enable-debug-command local');
  return `${lines.join('\n')}\n`;
}

async function waitUntilLoaded(
  endpoint: RedisEndpoint,
  result: Promise<unknown>,
  folder: string,
  context: RunContext,
): Promise<RedisConnection> {
  let exited: unknown;
  const watching = result.then(
    () => (exited = new Error('it exited')),
    (error: unknown) => (exited = error),
  );
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
    if (exited !== undefined) throw await refusedFile(folder, exited);
  }
}

async function refusedFile(folder: string, cause: unknown): Promise<LifeboatError> {
  const log = await readFile(join(folder, 'scratch.log'), 'utf8').catch(() => '');
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
