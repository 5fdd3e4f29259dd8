import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { GetObjectRetentionCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { Secret } from '../../../../src/lib/secret.ts';
import { openStorage } from '../../../../src/storage/open.ts';
import { openS3Storage } from '../../../../src/storage/s3/s3.ts';
import { withRetry } from '../../../../src/storage/retry.ts';
import { AlreadyExistsError, StorageError, type Storage } from '../../../../src/storage/storage.ts';
import type { S3Location } from '../../../../src/config/config.ts';
import { keysOf } from '../../../contract/storage-suite.ts';
import { startFaultProxy, type FaultProxy, type ProxiedRequest } from '../../../helpers/storage/fault-proxy.ts';
import { startS3Server, type TestS3Server } from '../../../helpers/servers/rgw.ts';
import { killWriterAndCheck } from '../../../helpers/storage/kill.ts';

let server: TestS3Server;
let proxy: FaultProxy;
before(async () => {
  server = await startS3Server();
  proxy = await startFaultProxy(server.endpoint);
});
after(async () => {
  await proxy?.stop();
  await server?.stop();
});
beforeEach(() => void proxy.clear());

const isMethod =
  (method: string, path = '') =>
  (request: ProxiedRequest): boolean =>
    request.method === method && request.url.includes(path);
const quick = { budgetMs: 5000, firstPauseMs: 2, maxPauseMs: 20 };
/** Through the proxy; `patient`: with the retry wrapper. */
const open = async (patient: boolean, change: Partial<S3Location> = {}): Promise<Storage> => {
  const storage = await openS3Storage(await server.location({ endpoint: proxy.endpoint, ...change }), {
    idleTimeoutMs: 2000,
  });
  return patient ? withRetry(storage, quick) : storage;
};
const failsForGood =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof StorageError &&
    error.exitCode === 20 &&
    !error.retryable &&
    pattern.test(error.message) &&
    error.hint !== undefined;

const gone = (error: unknown): boolean =>
  error instanceof StorageError && error.exitCode === 20 && error.retryable && error.hint !== undefined;

describe('a PUT without a clear answer', () => {
  test('that was carried out is done: the object has our bytes', async () => {
    const storage = await open(false);
    proxy.inject({ kind: 'drop', when: 'after' }, isMethod('PUT'));
    await storage.put('a', [Buffer.from('ours')]);
    assert.equal(String(await storage.get('a')), 'ours');
  });

  test('and without an answer to the question either is settled by the next try', async () => {
    const storage = await open(true);
    proxy.inject({ kind: 'drop', when: 'after' }, isMethod('PUT'));
    proxy.inject({ kind: 'status', status: 503 }, isMethod('GET'));
    await storage.put('a', [Buffer.from('ours')]);
    assert.equal(proxy.requests.filter(isMethod('PUT', `${storage.location.slice(5)}/a`)).length, 1);
    assert.equal(String(await storage.get('a')), 'ours');
    // A second put of the same bytes is another writer's.
    await assert.rejects(storage.put('a', [Buffer.from('ours')]), AlreadyExistsError);
  });

  test('that was not carried out is repeated', async () => {
    const storage = await open(true);
    proxy.inject({ kind: 'drop', when: 'before' }, isMethod('PUT'), 2);
    await storage.put('b', [Buffer.from('ours')]);
    assert.equal(proxy.requests.filter(isMethod('PUT', `${storage.location.slice(5)}/b`)).length, 3);
    assert.equal(String(await storage.get('b')), 'ours');
  });

  test('loses against another writer who came between', async () => {
    const location = await server.location();
    const [ours, theirs] = [await open(true, { bucket: location.bucket }), await openS3Storage(location)];
    proxy.inject({ kind: 'delay', delayMs: 300 }, isMethod('PUT'));
    const losing = assert.rejects(ours.put('a', [Buffer.from('ours')]), AlreadyExistsError);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await theirs.put('a', [Buffer.from('theirs')]);
    await losing;
    assert.equal(String(await theirs.get('a')), 'theirs');
  });
});

describe('poorer servers', () => {
  test('one without conditional writes is written to all the same', async () => {
    const storage = await open(false);
    proxy.inject(
      { kind: 'status', status: 501, code: 'NotImplemented' },
      ({ method, headers }) => method === 'PUT' && headers['if-none-match'] !== undefined,
      100,
    );
    await storage.put('a', [Buffer.from('1')]);
    await storage.put('b', [Buffer.from('2')]);
    await assert.rejects(storage.put('a', [Buffer.from('3')]), AlreadyExistsError);
    assert.equal(proxy.clear(), 99, 'asked for it only once');
    assert.deepEqual(await keysOf(storage, ''), ['a', 'b']);
  });

  for (const [status, code] of [
    [501, 'NotImplemented'],
    [405, undefined],
    [400, 'MalformedXML'],
  ] as const) {
    test(`one that answers ${status} to DeleteObjects gets single deletes`, async () => {
      const storage = await open(false);
      for (const key of ['a', 'b', 'c/d']) await storage.put(key, []);
      proxy.inject({ kind: 'status', status, ...(code === undefined ? {} : { code }) }, isMethod('POST'), 100);
      await storage.remove(['a', 'absent', 'c/d']);
      assert.deepEqual(await keysOf(storage, ''), ['b']);
      await storage.remove(['b']);
      assert.equal(proxy.clear(), 99, 'asked for it only once');
      assert.deepEqual(await keysOf(storage, ''), []);
    });
  }

  test('one that ignores Range is found out', async () => {
    const storage = await open(false);
    await storage.put('a', [Buffer.from('0123456789')]);
    proxy.inject({ kind: 'status', status: 200 }, isMethod('GET'), 2);
    await assert.rejects(storage.get('a', { start: 2, end: 4 }), StorageError);
    await assert.rejects(storage.get('a', { start: 0, end: 4 }), StorageError);
  });
});

test('a body that is cut midway is an error, and ridden out by a new try', async () => {
  const content = Buffer.alloc(500_000, 'x');
  const location = await server.location({ endpoint: proxy.endpoint });
  const hasty = await openS3Storage(location);
  await hasty.put('a', [content]);
  proxy.inject({ kind: 'cut', afterBytes: 200_000 }, isMethod('GET'), 2);
  await assert.rejects(hasty.get('a'), (error) => error instanceof StorageError && error.retryable);
  assert.ok((await withRetry(hasty, quick).get('a')).equals(content));
  assert.equal(proxy.clear(), 0);
});

test('a listing that is cut midway is not the end of the list', async () => {
  const storage = await open(true);
  for (const key of ['a', 'b', 'c']) await storage.put(key, []);
  proxy.inject({ kind: 'cut', afterBytes: 300 }, isMethod('GET', 'list-type=2'), 2);
  assert.deepEqual(await keysOf(storage, ''), ['a', 'b', 'c']);
  assert.equal(proxy.clear(), 0);
});

test('a server that takes requests and says nothing is given up in time, and tried anew', async () => {
  const storage = await open(true);
  await storage.put('a', [Buffer.from('x')]);
  proxy.inject({ kind: 'hang' }, isMethod('GET'), 2);
  const started = performance.now();
  assert.equal(String(await storage.get('a')), 'x');
  const tookMs = performance.now() - started;
  assert.ok(tookMs >= 800 && tookMs < 30_000, `${tookMs} ms`);
});

test('a server that stays silent for good is exit code 20 after the budget', async () => {
  const storage = withRetry(await open(false), { ...quick, budgetMs: 1000 });
  proxy.inject({ kind: 'hang' }, undefined, 1000);
  const started = performance.now();
  await Promise.all([
    assert.rejects(storage.get('a'), gone),
    assert.rejects(storage.put('a', [Buffer.alloc(2_000_000)], { randomName: true }), gone),
  ]);
  const tookMs = performance.now() - started;
  assert.ok(tookMs > 1000 && tookMs < 30_000, `${tookMs} ms`);
});

describe('what does not pass fails at once, with exit code 20 and a hint', () => {
  const atOnce = { retryBudgetMs: 60_000 };

  test('refused credentials', async () => {
    const location = await server.location();
    await assert.rejects(
      openStorage({ ...location, secretKey: new Secret('wrong') }, atOnce),
      failsForGood(/credentials were refused \(SignatureDoesNotMatch/),
    );
    await assert.rejects(
      openStorage({ ...location, accessKey: new Secret('nobody') }, atOnce),
      failsForGood(/credentials were refused \(InvalidAccessKeyId/),
    );
    const expired = await openStorage({ ...location, endpoint: proxy.endpoint }, atOnce);
    proxy.inject({ kind: 'status', status: 400, code: 'ExpiredToken' }, undefined, 3);
    await assert.rejects(expired.get('a'), failsForGood(/ExpiredToken/));
  });

  test('a user without rights', async () => {
    const user = await server.makeUser();
    const location = await server.location();
    await (await openStorage(location)).put('a', []);
    const storage = await openStorage(
      { ...location, accessKey: new Secret(user.accessKey), secretKey: new Secret(user.secretKey) },
      atOnce,
    );
    for (const work of [
      () => storage.get('a'),
      () => storage.stat('a'),
      () => storage.put('b', []),
      () => storage.remove(['a']),
      () => keysOf(storage, ''),
    ]) {
      await assert.rejects(work, failsForGood(/may not do that/));
    }
  });

  test('a bucket that is not there is not an absent object', async () => {
    const location = await server.location({ bucket: 'no-such-bucket' });
    await assert.rejects(openStorage(location, atOnce), failsForGood(/the bucket does not exist/));
    // Also for credentials that could not ask when the bucket was opened.
    const proxied = { ...location, endpoint: proxy.endpoint };
    proxy.inject({ kind: 'status', status: 403, code: 'AccessDenied' }, undefined, 2);
    const storage = await openStorage(proxied, atOnce);
    for (const work of [
      () => storage.get('a'),
      () => storage.stat('a'),
      () => keysOf(storage, ''),
      () => storage.put('a', []),
    ]) {
      await assert.rejects(work, failsForGood(/the bucket does not exist/));
    }
  });
});

test('versions and object lock are told as the bucket has them; retention is set', async () => {
  const abilities = async (bucket: string) => (await openStorage(await server.location({ bucket }))).capabilities;
  assert.deepEqual(await abilities(await server.makeBucket()), {
    versions: false,
    objectLock: false,
    freeSpace: false,
    defaultRetention: undefined,
  });
  assert.deepEqual(await abilities(await server.makeBucket({ versions: true })), {
    versions: true,
    objectLock: false,
    freeSpace: false,
    defaultRetention: undefined,
  });
  const locked = await server.makeBucket({ objectLock: true });
  assert.deepEqual(await abilities(locked), {
    versions: true,
    objectLock: true,
    freeSpace: false,
    defaultRetention: undefined,
  });
  const untilMs = Math.ceil(Date.now() / 1000 + 3600) * 1000;
  await (
    await openStorage(await server.location({ bucket: locked }))
  ).put('a', [Buffer.from('x')], { retainUntilMs: untilMs });
  const { Retention } = await server.client.send(new GetObjectRetentionCommand({ Bucket: locked, Key: 'a' }));
  assert.equal(Retention?.RetainUntilDate?.getTime(), untilMs);
});

test('server-side encryption and prefix arrive; the body bears its checksums and its SHA-256', async () => {
  const location = await server.location({
    endpoint: proxy.endpoint,
    prefix: 'some/where',
    serverSideEncryption: 'aws:kms',
    kmsKeyId: 'testkey-1',
  });
  const storage = await openS3Storage(location);
  const body = Buffer.alloc(3_000_000, 'b');
  await storage.put('a/b', [body]);
  const head = await server.client.send(new HeadObjectCommand({ Bucket: location.bucket, Key: 'some/where/a/b' }));
  assert.equal(head.ServerSideEncryption, 'aws:kms');
  assert.equal(head.SSEKMSKeyId, 'testkey-1');
  const put = proxy.requests.findLast(isMethod('PUT', '/a/b'));
  assert.equal(put?.headers['content-md5'], createHash('md5').update(body).digest('base64'));
  assert.equal(put.headers['x-amz-checksum-sha256'], createHash('sha256').update(body).digest('base64'));
  assert.equal(put.headers['x-amz-content-sha256'], createHash('sha256').update(body).digest('hex'));
  assert.equal(put.headers.expect, undefined);
});

test('an abort ends a request at once, with its reason', async () => {
  const stop = new AbortController();
  const reason = new Error('stopped by SIGINT');
  const storage = await openStorage(await server.location({ endpoint: proxy.endpoint }), { signal: stop.signal });
  proxy.inject({ kind: 'hang' });
  setTimeout(() => stop.abort(reason), 100);
  const started = performance.now();
  await assert.rejects(storage.get('a'), (error) => error === reason);
  await assert.rejects(storage.put('a', []), (error) => error === reason);
  assert.ok(performance.now() - started < 20_000);
});

test('kill -9 of a writer leaves no object that is not whole, and loses none that was acknowledged', async () => {
  const location = await server.location();
  const plain = JSON.stringify({ ...location, accessKey: server.accessKey, secretKey: server.secretKey });
  assert.ok((await killWriterAndCheck(location, plain, 5)) >= 5);
});

describe('a server in trouble', () => {
  test('stopped for a few seconds: ridden out, whether the silence is noticed or not', async () => {
    const location = await server.location();
    const [noticing, waiting] = [await openStorage(location, { idleTimeoutMs: 700 }), await openStorage(location)];
    await noticing.put('a', [Buffer.from('x')]);
    process.kill(server.pids.gateway, 'SIGSTOP');
    setTimeout(() => process.kill(server.pids.gateway, 'SIGCONT'), 3000);
    const started = performance.now();
    const [body] = await Promise.all([
      waiting.get('a'),
      noticing.put('b', [Buffer.alloc(5_000_000, 'b')]),
      noticing.put('c', [Buffer.from('c')], { replace: true }),
    ]);
    assert.equal(String(body), 'x');
    assert.ok(performance.now() - started > 2500);
    assert.deepEqual(await keysOf(waiting, ''), ['a', 'b', 'c']);
    assert.ok((await waiting.get('b')).equals(Buffer.alloc(5_000_000, 'b')));
  });

  test('killed and started again: ridden out; killed for good: exit code 20 after the budget', async () => {
    const location = await server.location();
    const told: string[] = [];
    const storage = await openStorage(location, { retryBudgetMs: 20_000, onRetry: (message) => told.push(message) });
    await storage.put('a', [Buffer.from('x')]);
    await server.killGateway();
    const reading = storage.get('a');
    await new Promise((resolve) => setTimeout(resolve, 500));
    await server.startGateway();
    assert.equal(String(await reading), 'x');
    assert.ok(told.length >= 1 && /ECONNREFUSED|ECONNRESET|socket hang up/.test(told[0] ?? ''), told.join());
    const hasty = await openStorage(location, { retryBudgetMs: 1500 });
    await server.killGateway();
    const started = performance.now();
    await Promise.all([
      assert.rejects(hasty.put('b', []), gone),
      assert.rejects(hasty.get('a'), gone),
      assert.rejects(keysOf(hasty, ''), gone),
      assert.rejects(hasty.remove(['a']), gone),
      assert.rejects(openStorage(location, { retryBudgetMs: 1000 }), gone),
    ]);
    const tookMs = performance.now() - started;
    assert.ok(tookMs > 700 && tookMs < 30_000, `${tookMs} ms`);
  });
});
