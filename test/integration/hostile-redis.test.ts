/**
 * A server that answers as nobody should, under every command that speaks with Redis: each ends by itself with one
 * clear error, in bounded memory and time, and leaves nothing.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { Secret } from '../../src/lib/secret.ts';
import { connectRedis } from '../../src/source/redis/connection.ts';
import { parseRedisUrl } from '../../src/source/redis/endpoint.ts';
import { redisSource } from '../../src/source/redis/snapshot.ts';
import { peakOf } from '../helpers/cli/built-program.ts';
import { assertFailed, makeBench, namesBelow, type Bench } from '../helpers/cli/command-run.ts';
import { collectingContext, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import {
  endless,
  once,
  startHostileRedis,
  trickle,
  type Attack,
  type HostileRedis,
} from '../helpers/servers/hostile-redis.ts';

const mostBytes = 300 * 1024 * 1024;
/** What a command takes that does nothing. */
const restBytes = 150 * 1024 * 1024;

let hostile: HostileRedis;
let honest: TestRedis;
let bench: Bench;

before(async () => {
  [hostile, honest] = await Promise.all([startHostileRedis(), startRedis()]);
  bench = makeBench({ REDIS_URL: honest.url() });
  honest.cli(['SET', 'k', 'v']);
  await bench.json('init');
  await bench.backup('backup redis');
  bench.env = { ...bench.env, REDIS_URL: hostile.url };
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', bench.tmp]);
});

after(async () => {
  execFileSync('umount', [bench.tmp]);
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([hostile?.[Symbol.asyncDispose](), honest?.stop()]);
});

/** What may be sent in place of any answer. */
const anywhere: Readonly<Record<string, Attack>> = {
  garbage: once('\u0000\u0001\u00ffgarbage\r\n'),
  'a length of 99 GB': endless('$99999999999\r\n', 'x'),
  'a list of a thousand million': endless('*1000000000\r\n', '$1\r\nx\r\n'),
  'a negative length': once('$-5\r\n'),
  'a negative count': once('*-7\r\n'),
  'a length that is none': once('$1e9\r\n'),
  'a line without end': endless('+', 'x'),
  'an error without end': endless('-ERR ', 'x'),
  'lists in lists': endless('', '*1\r\n'),
  'an error that drives terminals': once('-ERR \u001b]0;x\u0007\u001b[2J\u009b31m\r\n'),
  'half an answer': once('$100\r\nabc', 'close'),
  'nothing at all': once('', 'close'),
  'a push of RESP3': once('>2\r\n+message\r\n+x\r\n'),
  'a map of RESP3': once('%1\r\n+a\r\n+b\r\n'),
};

/** Whatever is thrown: an error with a code, and no more memory than it may take. */
async function refused(what: string, work: () => Promise<unknown>, codes = ['source']): Promise<LifeboatError> {
  const before = process.memoryUsage.rss();
  const error = await work().then(
    () => assert.fail(`${what} was taken`),
    (thrown: unknown) => thrown,
  );
  const grown = process.memoryUsage.rss() - before;
  assert.ok(grown < mostBytes, `${what}: memory grew by ${grown} bytes`);
  assert.ok(error instanceof LifeboatError && codes.includes(error.code), `${what}: ${String(error)}`);
  assert.ok(error.message.length < 1000, what);
  assert.deepEqual(namesBelow(bench.tmp), [], what);
  return error;
}

function snapshot(method: 'replication' | 'scan', hangTimeoutMs?: number): () => Promise<unknown> {
  const source = redisSource({ url: new Secret(hostile.url), method, scratchDir: bench.tmp, hangTimeoutMs });
  return async () => {
    for await (const artifact of source.dump(collectingContext())) assert.ok(artifact);
  };
}

test('no answer costs memory, time or sense by what it claims', async () => {
  for (const command of ['PING', 'INFO', 'SCAN', 'EXEC']) {
    for (const [what, attack] of Object.entries(anywhere)) {
      hostile.attack(command, attack);
      await refused(`${what} for ${command}`, snapshot('scan'));
    }
  }
});

test('answers of another kind than asked for are no bugs', async () => {
  for (const command of ['PING', 'INFO', 'SCAN', 'EXEC']) {
    for (const answer of [':1\r\n', '$-1\r\n', '*0\r\n', '*2\r\n:1\r\n:2\r\n', '*1\r\n-ERR x\r\n']) {
      hostile.attack(command, answer);
      await refused(`${answer} for ${command}`, snapshot('scan'));
    }
  }
  hostile.attack('EXEC', '*2\r\n:-1\r\n$5\r\nshort\r\n');
  await refused('a value too short to be one', snapshot('scan'));
});

test('INFO of millions of lines, and cursors without end', async () => {
  const lines = 'a:1\r\n'.repeat(5_000_000);
  hostile.attack('INFO', once(`$${lines.length}\r\n${lines}\r\n`));
  await refused('INFO', snapshot('scan'));
  hostile.attack('SCAN', '*2\r\n$1\r\n5\r\n*0\r\n');
  assert.match((await refused('empty pages', snapshot('scan'))).message, /does not come to an end: 0 keys/);
  hostile.attack('SCAN', `*2\r\n$1\r\n5\r\n*1000\r\n${'$1\r\nk\r\n'.repeat(1000)}`);
  assert.match((await refused('the same keys', snapshot('scan'))).message, /does not come to an end: 1001000 keys/);
});

test('a value is refused by its length, before the disk is full of it', async () => {
  hostile.attack('EXEC', endless('*2\r\n:-1\r\n$10000000000\r\n', 'x'));
  assert.match((await refused('a value', snapshot('scan'), ['space'])).message, /more than/);
});

test('replication: without end, of odd lengths, or never beginning', async () => {
  const streams: Readonly<Record<string, readonly [string, Attack]>> = {
    'of known size': ['space', endless('$99999999999\r\n', 'x')],
    'with a delimiter': ['space', endless(`$EOF:${'d'.repeat(40)}\r\n`, 'x')],
    garbage: ['source', once('\u0000\u0001garbage\r\n', 'close')],
    'a line without end': ['source', endless('$', '9')],
    'no snapshot at all': ['integrity', once(`$EOF:${'d'.repeat(40)}\r\nhello${'d'.repeat(40)}`)],
    'half of it': ['source', once('$1000\r\nREDIS0011', 'close')],
    'an error that drives terminals': ['source', once('-ERR \u001b]0;x\u0007\u001b[2J\r\n', 'close')],
    'slow, line ends for ever': ['source', trickle('', '\n')],
    'slow, a byte now and then': ['source', trickle('$1000000\r\n', 'x')],
  };
  for (const [what, [code, attack]] of Object.entries(streams)) {
    hostile.attack('SYNC', attack);
    // Only what does not move must wait for it: the others may be slow on a busy machine.
    const hangTimeoutMs = what.startsWith('slow') ? 1000 : 60_000;
    await refused(`a stream: ${what}`, snapshot('replication', hangTimeoutMs), [code]);
  }
  hostile.attack('REPLCONF', endless('$99999999999\r\n', 'x'));
  await refused('an answer to redis-cli that does not end', snapshot('replication', 3000));
});

test('who answers by a byte now and then is given up', async () => {
  const endpoint = parseRedisUrl({ url: new Secret(hostile.url) });
  hostile.attack('INFO', trickle('$1000\r\n', 'x'));
  await using connection = await connectRedis(endpoint, undefined, 500);
  const error = await refused('slow', () => connection.call('INFO'));
  assert.match(error.message, /has not answered for/);
  hostile.attack('PING', trickle('', '+'));
  assert.match((await refused('slow', () => connectRedis(endpoint))).message, /has not answered for 10 s/);
});

test('every command ends with one clear error, and leaves nothing', async () => {
  const address = hostile.url.slice('redis://'.length);
  const commands: readonly (readonly [string, number])[] = [
    ['backup redis', 13],
    [`restore latest --only redis --into-live --no-backup --confirm ${address}`, 13],
    ['emergency-restore restore -q --no-backup --confirm main', 13],
    ['doctor', 13],
  ];
  for (const what of ['a length of 99 GB', 'lists in lists', 'an error that drives terminals', 'half an answer']) {
    hostile.attack('INFO', anywhere[what] ?? assert.fail(what));
    for (const [line, exitCode] of commands) await ends(line, exitCode, what);
  }
  hostile.attack('SYNC', endless(`$EOF:${'d'.repeat(40)}\r\n`, 'x'));
  await ends('backup redis', 15, 'a stream without end');
  // A service user, to whom all of it belongs.
  chmodSync(bench.folder, 0o755);
  execFileSync('chown', ['-R', '33:33', bench.folder]);
  const wrapper = ['/usr/bin/setpriv', '--reuid=33', '--regid=33', '--clear-groups'];
  await ends('backup redis', 15, 'a stream without end', wrapper);
  hostile.attack('INFO', anywhere['a length of 99 GB'] ?? assert.fail());
  for (const [line, exitCode] of commands) await ends(line, exitCode, 'a length of 99 GB, a service user', wrapper);
});

async function ends(line: string, exitCode: number, what: string, wrapper: readonly string[] = []): Promise<void> {
  const running = await bench.start(line, { wrapper: [...wrapper] });
  let peakBytes = 0;
  const watch = setInterval(() => (peakBytes = Math.max(peakBytes, peakOf(running.pid))), 10);
  const result = await running.result;
  clearInterval(watch);
  const all = `${line}, ${what}: ${JSON.stringify(result)}`;
  assert.ok(peakBytes < mostBytes + restBytes, `${peakBytes} bytes of memory, ${all}`);
  assert.equal(result.exitCode, exitCode, all);
  assert.doesNotMatch(result.stdout + result.stderr, /\bbug\b|[^\P{Cc}\n]/u, all);
  if (line !== 'doctor') assertFailed({ ...result, stdout: '' }, exitCode, /Redis/);
  await bench.nothingLeft();
}
