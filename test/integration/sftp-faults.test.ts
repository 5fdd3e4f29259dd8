/** An SFTP server on a bad line, one that is killed, full, unknown, or wants nobody: real sshd, real ssh. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../src/lib/errors.ts';
import { openStorage, type OpenStorageOptions } from '../../src/storage/open.ts';
import { withRetry } from '../../src/storage/retry.ts';
import { openSftpStorage } from '../../src/storage/sftp/sftp.ts';
import { AlreadyExistsError, NotFoundError, StorageError, type Storage } from '../../src/storage/storage.ts';
import { namesBelow } from '../helpers/cli/command-run.ts';
import { randomFrom } from '../helpers/concurrency/random.ts';
import { startSftpServer, type TestSftpServer } from '../helpers/servers/sftp.ts';
import { startTcpProxy, type TcpProxy } from '../helpers/servers/tcp-proxy.ts';

let server: TestSftpServer;
let proxy: TcpProxy;
before(async () => {
  server = await startSftpServer();
  proxy = await startTcpProxy(server.port);
});
after(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.stop();
});

const patient: OpenStorageOptions = { create: true, retryBudgetMs: 30_000, idleTimeoutMs: 1500 };
/** Tries again soon, through the proxy. */
async function openPatiently(path: string): Promise<Storage> {
  const location = server.location({ path, port: proxy.port });
  const options = { budgetMs: 60_000, firstPauseMs: 5, maxPauseMs: 50 };
  return withRetry(await openSftpStorage(location, { create: true, idleTimeoutMs: 5000 }), options);
}

const keysOf = async (storage: Storage): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of storage.list('')) keys.push(key);
  return keys;
};

test('cut at random moments: each object is whole or not there, none is taken for another’s', async () => {
  const place = server.location().path;
  const storage = await openPatiently(place);
  const random = randomFrom(20);
  proxy.cutAfter(() => 4000 + Math.floor(random() ** 2 * 900_000));
  proxy.dropAll();
  const written = new Map<string, Buffer>();
  for (let round = 0; round < 20; round++) {
    const bodies = Array.from({ length: 3 }, () => randomBytes(Math.floor(random() * 150_000)));
    await Promise.all(
      bodies.map(async (body, n) => {
        const key = `packs/${round % 4}/${round}-${n}`;
        await storage.put(key, [body.subarray(0, 10), body.subarray(10)], n === 2 ? { randomName: true } : {});
        written.set(key, body);
        assert.deepEqual(await storage.get(key), body);
      }),
    );
    await storage.put('lease', [Buffer.alloc(2000, round)], { replace: true });
    await assert.rejects(storage.put(`packs/${round % 4}/${round}-0`, [Buffer.from('another')]), AlreadyExistsError);
    if (round % 5 === 4) await storage.remove([`packs/${round % 4}/${round}-1`]);
    if (round % 5 === 4) written.delete(`packs/${round % 4}/${round}-1`);
  }
  assert.ok(proxy.accepted > 10, `${proxy.accepted} connections`);
  proxy.cutAfter(undefined);
  proxy.dropAll();
  assert.deepEqual(await keysOf(storage), ['lease', ...[...written.keys()].toSorted()]);
  for (const [key, body] of written) assert.ok(readFileSync(join(place, key)).equals(body), key);
  await storage.removeStaleTemporaries(-60_000);
  assert.deepEqual(
    namesBelow(place).filter((name) => name.includes('.tmp-')),
    [],
  );
  await storage.close();
});

test('a server that is killed and comes back, and a line that falls silent, are waited for', async () => {
  const told: string[] = [];
  const location = server.location({ port: proxy.port });
  const storage = await openStorage(location, { ...patient, onRetry: (message) => told.push(message) });
  await storage.put('a', [Buffer.from('1')]);
  await server.kill();
  const writing = storage.put('b', [randomBytes(100_000)]);
  await sleep(700);
  await server.start();
  await writing;
  proxy.silence(true);
  const reading = storage.get('a');
  await sleep(2500);
  proxy.silence(false);
  proxy.dropAll();
  assert.equal(String(await reading), '1');
  assert.deepEqual(await keysOf(storage), ['a', 'b']);
  assert.match(told.join('\n'), /connection was lost|cannot reach/);
  await storage.close();
});

test('a stopped run ends at once; what is to be done after it still is', async () => {
  const stop = new AbortController();
  const storage = await openStorage(server.location({ port: proxy.port }), { ...patient, signal: stop.signal });
  await storage.put('locks/a', [Buffer.from('lease')]);
  proxy.silence(true);
  const writing = storage.put('b', [randomBytes(1000)]);
  setTimeout(() => stop.abort(new Error('by the operator')), 50);
  await assert.rejects(writing, /by the operator/);
  proxy.silence(false);
  proxy.dropAll();
  await storage.remove(['locks/a'], { afterAbort: true });
  await assert.rejects(storage.get('locks/a'), /by the operator/);
  await storage.close();
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  const names = children.map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
  assert.ok(!names.includes('ssh'), names.join());
});

test('what no later try mends is told at once, with what to do', async () => {
  const config = (name: string, change: (text: string) => string): string => {
    const file = join(server.folder, name);
    writeFileSync(file, change(readFileSync(server.configFile, 'utf8')));
    return file;
  };
  const unknown = config('unknown', (text) => text.replace(/UserKnownHostsFile .*/, 'UserKnownHostsFile /dev/null'));
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(server.folder, 'stranger')]);
  const stranger = config('as-stranger', (text) =>
    text.replace(/IdentityFile .*/, `IdentityFile ${join(server.folder, 'stranger')}`),
  );
  const open = async (change: Parameters<TestSftpServer['location']>[0]): Promise<unknown> =>
    openStorage(server.location(change), { ...patient, retryBudgetMs: 0 }).then(
      async (storage) => {
        await storage.close();
        return assert.fail('it opened');
      },
      (error: unknown) => error,
    );
  const cases: readonly [Parameters<TestSftpServer['location']>[0], RegExp, RegExp, boolean][] = [
    [{ configFile: unknown }, /Host key verification failed|host key is known/, /known_hosts/, false],
    [{ configFile: stranger }, /Permission denied/, /agent/, false],
    [{ configFile: join(server.folder, 'none') }, /Can't open user config/, /correct that file/, false],
    [{ port: 1 }, /Connection refused/, /ssh -v/, true],
    [{ host: 'no-such-host.invalid', configFile: undefined }, /Could not resolve/, /ssh -v/, true],
  ];
  for (const [change, message, hint, retryable] of cases) {
    const error = await open(change);
    assert.ok(error instanceof StorageError, String(error));
    assert.match(error.message, message);
    assert.match(error.hint ?? '', hint);
    assert.equal(error.retryable, retryable, error.message);
    assert.equal(error.exitCode, 20);
  }
});

test('a server that cannot replace in one step is refused', async () => {
  const weak = await startSftpServer({ without: ['posix-rename'] });
  try {
    await assert.rejects(openStorage(weak.location(), patient), /cannot replace a file in one step/);
  } finally {
    await weak.stop();
  }
});

test('a root that is not there is no empty repository; nothing absent is proven without it', async () => {
  const location = server.location();
  const storage = await openStorage(location, { retryBudgetMs: 0 });
  const missing = (error: unknown): boolean => error instanceof StorageError && /is not there/.test(error.message);
  await assert.rejects(keysOf(storage), missing);
  await assert.rejects(storage.get('a'), missing);
  await assert.rejects(storage.put('a', []), missing);
  await assert.rejects(storage.remove(['a']), missing);
  mkdirSync(location.path, { recursive: true });
  await storage.put('a', [Buffer.from('1')]);
  await assert.rejects(storage.get('b'), NotFoundError);
  execFileSync('mv', [location.path, `${location.path}-away`]);
  await assert.rejects(storage.get('a'), missing);
  await assert.rejects(keysOf(storage), missing);
  await storage.close();
});

test('a full disk is told as that, and nothing half-written can be seen', async () => {
  const location = server.location();
  mkdirSync(location.path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', location.path]);
  try {
    const storage = await openStorage(location, { retryBudgetMs: 0 });
    await storage.put('small', [Buffer.from('1')]);
    await assert.rejects(
      storage.put('large', [randomBytes(3_000_000)]),
      (error) => error instanceof LifeboatError && error.code === 'space' && error.exitCode === 15,
    );
    assert.deepEqual(readdirSync(location.path), ['small']);
    await storage.put('large', [randomBytes(300_000)]);
    await storage.close();
  } finally {
    execFileSync('umount', ['-l', location.path]);
  }
});
