/**
 * Throwaway Redis servers for tests: each in a temporary folder, on a Unix socket and a free port of
 * 127.0.0.1, with or without TLS and ACL users; and sample data of every type.
 */
import { spawn, execFileSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { LifeboatEvent, RunContext } from '../../../src/lib/events.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { RedisAddress } from '../../../src/source/redis/endpoint.ts';
import type { RedisFacts } from '../../../src/source/redis/facts.ts';
import { redisFacts } from '../../../src/source/redis/facts.ts';
import { redisSource } from '../../../src/source/redis/snapshot.ts';
import type { ArtifactReader } from '../../../src/source/source.ts';
import { parseVersion, programsOf, versionUnderTest } from '../versions/server-versions.ts';

export interface RedisOptions {
  /**
   * Lines of redis.conf, e.g. {appendonly: 'yes'}; they win over the defaults here (no persistence, DEBUG allowed, no
   * sync delay).
   */
  readonly config?: Readonly<Record<string, string>>;
  /** requirepass. */
  readonly password?: string;
  /** TLS on the TCP port (no plain port then); 'required': clients must show a certificate. */
  readonly tls?: 'optional' | 'required';
  /** ACL lines without the word "user", e.g. ['limited on >secret ~* +@read']. */
  readonly aclUsers?: readonly string[];
  /** Reuse a folder (a restart); it is not removed by stop(). */
  readonly dir?: string;
  /** One that setup fetches, such as "valkey-9"; default: the one under test, else the installed Redis. */
  readonly version?: string;
}

export interface TestRedis {
  readonly pid: number;
  readonly dir: string;
  readonly port: number;
  readonly socket: string;
  /** PEM files, only with TLS. */
  readonly tlsFiles: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  /** redis://… or rediss://… over TCP; user and password of the options unless others are given. */
  url(user?: string, password?: string): string;
  /** unix://… */
  socketUrl(user?: string, password?: string): string;
  /** Runs redis-cli over the socket, as the default user; its output without the final newline. */
  cli(args: readonly string[], input?: string | Buffer): string;
  /** A connected client over the socket (default user); closed by stop(). */
  client(db?: number): Redis;
  /** Ends the server by SHUTDOWN NOSAVE-like SIGTERM and removes the folder. */
  stop(): Promise<void>;
  /** kill -9; the folder stays until stop(). */
  kill(): Promise<void>;
  /** Starts again on the same folder, ports and configuration, after kill() or an end of its own. */
  restart(): Promise<TestRedis>;
}

/** A free port of 127.0.0.1. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Starts redis-server and waits until it answers (or has loaded what it found). */
export async function startRedis(options: RedisOptions = {}): Promise<TestRedis> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'lbtest-redis-'));
  const port = await freePort();
  const socket = join(dir, 'redis.sock');
  const tlsFiles = options.tls === undefined ? undefined : makeCertificates(dir);
  const config: Record<string, string> = {
    bind: '127.0.0.1',
    port: options.tls === undefined ? String(port) : '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir,
    save: '""',
    appendonly: 'no',
    daemonize: 'no',
    'enable-debug-command': 'yes',
    'repl-diskless-sync-delay': '0',
    loglevel: 'notice',
    logfile: join(dir, 'redis.log'),
    ...(options.password === undefined ? {} : { requirepass: options.password }),
    ...(tlsFiles === undefined
      ? {}
      : {
          'tls-port': String(port),
          'tls-cert-file': tlsFiles.cert,
          'tls-key-file': tlsFiles.key,
          'tls-ca-cert-file': tlsFiles.ca,
          'tls-auth-clients': options.tls === 'required' ? 'yes' : 'optional',
        }),
    ...options.config,
  };
  const lines = Object.entries(config).map(([name, value]) => `${name} ${value}`);
  lines.push(...(options.aclUsers ?? []).map((user) => `user ${user}`));
  const file = join(dir, 'redis.conf');
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  return launch({
    dir,
    port,
    socket,
    tlsFiles,
    file,
    password: options.password,
    keepDir: options.dir !== undefined,
    ...programs(options.version),
  });
}

/** Server and command line of a version: names in PATH, or paths. */
function programs(version = versionUnderTest('redis') ?? versionUnderTest('valkey')): Programs {
  if (version === undefined) return { serverFile: 'redis-server', cliFile: 'redis-cli' };
  const file = (name: string): string => join(programsOf(version), `${parseVersion(version).kind}-${name}`);
  return { serverFile: file('server'), cliFile: file('cli') };
}

interface Programs {
  readonly serverFile: string;
  readonly cliFile: string;
}

interface Launch extends Programs {
  readonly dir: string;
  readonly port: number;
  readonly socket: string;
  readonly tlsFiles: TestRedis['tlsFiles'];
  readonly file: string;
  readonly password: string | undefined;
  readonly keepDir: boolean;
}

async function launch(how: Launch): Promise<TestRedis> {
  const child = spawn(how.serverFile, [how.file], { stdio: 'ignore', cwd: how.dir });
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  const clients: Redis[] = [];
  const login = (user?: string, password?: string): string => {
    const word = password ?? how.password;
    return word === undefined ? '' : `${encodeURIComponent(user ?? '')}:${encodeURIComponent(word)}@`;
  };
  const cli = (args: readonly string[], input?: string | Buffer): string =>
    execFileSync(how.cliFile, ['-s', how.socket, ...args], {
      env: { ...process.env, ...(how.password === undefined ? {} : { REDISCLI_AUTH: how.password }) },
      stdio: ['pipe', 'pipe', 'pipe'],
      maxBuffer: 1 << 28,
      input: input ?? '',
    })
      .toString()
      .replace(/\n$/, '');
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    for (const client of clients.splice(0)) client.disconnect();
    await endChild(child, signal);
    process.removeListener('exit', onExit);
  };
  await waitUntilReady(child, cli, how.dir);
  return {
    pid: child.pid ?? 0,
    dir: how.dir,
    port: how.port,
    socket: how.socket,
    tlsFiles: how.tlsFiles,
    url: (user, password) =>
      `${how.tlsFiles === undefined ? 'redis' : 'rediss'}://${login(user, password)}127.0.0.1:${how.port}`,
    socketUrl: (user, password) => `unix://${login(user, password)}${how.socket}`,
    cli,
    client: (db = 0) => {
      const client = new Redis({
        path: how.socket,
        db,
        ...(how.password === undefined ? {} : { password: how.password }),
        retryStrategy: () => null,
      });
      client.on('error', () => {});
      clients.push(client);
      return client;
    },
    stop: async () => {
      await end('SIGTERM');
      if (!how.keepDir) rmSync(how.dir, { recursive: true, force: true });
    },
    kill: () => end('SIGKILL'),
    restart: () => launch(how),
  };
}

async function waitUntilReady(child: ChildProcess, cli: TestRedis['cli'], dir: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (child.exitCode !== null) throw new Error(`redis-server exited with ${child.exitCode}, see ${dir}/redis.log`);
    try {
      if (cli(['ping']) === 'PONG') return;
    } catch {
      // not there yet
    }
    await sleep(20);
  }
  throw new Error('redis-server did not answer within 12 s');
}

async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(timer);
}

/** A CA and one certificate for 127.0.0.1, used by server and clients alike. */
export function makeCertificates(dir: string): { ca: string; cert: string; key: string } {
  const path = (name: string): string => join(dir, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=test ca',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
  );
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    '/CN=localhost',
    '-keyout',
    'tls.key',
    '-out',
    'tls.csr',
  );
  writeFileSync(path('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  openssl(
    'x509',
    '-req',
    '-in',
    'tls.csr',
    '-CA',
    'ca.crt',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    'ext',
    '-out',
    'tls.crt',
  );
  return { ca: path('ca.crt'), cert: path('tls.crt'), key: path('tls.key') };
}

/** One name for everything that counts as content: DEBUG DIGEST covers values, expiry and all databases. */
export function digestOf(server: TestRedis): string {
  return server.cli(['DEBUG', 'DIGEST']);
}

/**
 * Data of every type and encoding, in databases 0, 3 and 15, with expiry far ahead, binary keys, values
 * of several MiB, consumer groups with pending entries, and two function libraries.
 */
export async function fillSample(server: TestRedis): Promise<void> {
  const zero = server.client(0);
  const far = Date.now() + 86_400_000;
  const pipe = zero.pipeline();
  pipe.set('string:plain', 'hello').set('string:empty', '').set('string:utf8', 'grüße 🚣');
  pipe
    .set('int:8', '12')
    .set('int:16', '-3000')
    .set('int:32', '2000000000')
    .set('int:64', '9007199254740993')
    .set('float', '3.25');
  pipe.set('string:lzf', 'abcdefgh'.repeat(5000)).set('string:big', noise(5 << 20));
  pipe.set(Buffer.from([0, 255, 10, 13, 32, 128]), Buffer.from([1, 0, 2, 255]));
  pipe.set('weird key with "quotes" and\nnewline', 'v').set('k'.repeat(20_000), 'long key');
  pipe.set('expire:string', 'v', 'PXAT', far + 123);
  pipe.rpush('list:small', 'a', 'b', '1', '-7').rpush('list:bigelement', 'x'.repeat(20_000), 'y');
  pipe.rpush('list:long', ...many(5000, (i) => `element ${i} ${'p'.repeat(i % 50)}`));
  pipe.sadd('set:ints', 1, 2, 3, 70_000, '5000000000').sadd('set:small', 'a', 'b', 'c');
  pipe.sadd('set:hashtable', ...many(2000, (i) => `member ${i}`)).sadd('set:manyints', ...many(3000, String));
  pipe.zadd('zset:small', 1, 'a', 2.5, 'b', '-inf', 'low', '+inf', 'high');
  pipe.zadd('zset:skiplist', ...many(3000, (i) => [i / 7, `m${i}`]).flat());
  pipe
    .hset('hash:small', { a: '1', b: 'two' })
    .hset('hash:big', Object.fromEntries(many(2000, (i) => [`field ${i}`, `value ${i}`])));
  pipe.pexpireat('hash:small', far).pexpireat('zset:skiplist', far + 7);
  pipe.pfadd('hll:sparse', 'a', 'b').pfadd('hll:dense', ...many(20_000, String));
  pipe.setbit('bitmap', 1_000_003, 1).geoadd('geo', 13.361389, 38.115556, 'Palermo');
  for (let i = 0; i < 500; i++) pipe.xadd('stream', `${1000 + i}-${i}`, 'field', `value ${i}`, 'n', String(i));
  pipe.xadd('stream:nogroup', '5-5', 'a', 'b').xadd('stream:emptied', '7-7', 'a', 'b').xdel('stream:emptied', '7-7');
  pipe
    .xgroup('CREATE', 'stream', 'workers', '0')
    .xgroup('CREATE', 'stream', 'idle', '$')
    .xgroup('CREATE', 'stream:made', 'only', '0', 'MKSTREAM');
  await checked(pipe);
  await zero.xreadgroup('GROUP', 'workers', 'alice', 'COUNT', 20, 'STREAMS', 'stream', '>');
  await zero.xreadgroup('GROUP', 'workers', 'bob', 'COUNT', 5, 'STREAMS', 'stream', '>');
  await zero.xack('stream', 'workers', '1001-1', '1003-3');
  await zero.xdel('stream', '1100-100');
  await zero.call('FUNCTION', 'LOAD', `#!lua name=libone\nredis.register_function('one', function() return 1 end)`);
  await zero.call(
    'FUNCTION',
    'LOAD',
    `#!lua name=libtwo\nredis.register_function('two', function() return 2 end)\n--${'x'.repeat(500)}`,
  );
  await checked(
    server
      .client(3)
      .pipeline()
      .set('in three', '3')
      .set('expire:three', 'x', 'PXAT', far + 3000)
      .rpush('l3', 'a'),
  );
  await checked(server.client(15).pipeline().set('in fifteen', '15'));
}

/** `count` small keys in database `db`, every tenth with an expiry, made inside the server (fast). */
export function fillMany(server: TestRedis, count: number, db = 0): void {
  const script =
    `for i=1,${count} do redis.call('set','key:'..i,'value '..i..string.rep('x', i%40)) if i%10==0 then ` +
    `redis.call('pexpireat','key:'..i,${Date.now() + 86_400_000}+i) end end`;
  server.cli(['-n', String(db), 'EVAL', script, '0']);
}

async function checked(pipe: ReturnType<Redis['pipeline']>): Promise<void> {
  for (const [error] of (await pipe.exec()) ?? []) if (error !== null) throw error;
}

function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** Bytes that do not compress, the same each time. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 12_345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

/** A run's context that collects what it is told. */
export function collectingContext(
  signal: AbortSignal = new AbortController().signal,
): RunContext & { readonly events: LifeboatEvent[] } {
  const events: LifeboatEvent[] = [];
  return { signal, emit: (event) => void events.push(event), events };
}

/** How the configuration names a test server. */
export function addressOf(server: TestRedis, user?: string, password?: string): RedisAddress {
  const files = server.tlsFiles;
  return {
    url: new Secret(server.url(user, password)),
    ...(files === undefined ? {} : { caFile: files.ca, certFile: files.cert, keyFile: files.key }),
  };
}

/** An artifact as the repository would give it back. */
export function readerOf(bytes: Buffer): ArtifactReader {
  return {
    artifacts: [{ name: 'dump.rdb', mediaType: 'application/x-redis-rdb', bytes: bytes.length }],
    open: async function* (_name, range) {
      const part = bytes.subarray(range?.start ?? 0, range?.end ?? bytes.length);
      for (let at = 0; at < part.length; at += 100_000) yield part.subarray(at, at + 100_000);
    },
  };
}

export interface TakenBackup {
  readonly bytes: Buffer;
  readonly facts: RedisFacts;
}

/** One backup by the source, all in memory. */
export async function backUp(
  address: RedisAddress,
  method: 'auto' | 'replication' | 'scan' = 'auto',
  context: RunContext = collectingContext(),
  scratchDir = tmpdir(),
): Promise<TakenBackup> {
  const source = redisSource({ ...address, method, scratchDir });
  const pieces: Buffer[] = [];
  for await (const artifact of source.dump(context)) {
    if (artifact.body.from !== 'stream') throw new Error('not a stream');
    for await (const bytes of artifact.body.stream) pieces.push(Buffer.from(bytes));
  }
  return { bytes: Buffer.concat(pieces), facts: redisFacts.parse((await source.facts()).facts) };
}
