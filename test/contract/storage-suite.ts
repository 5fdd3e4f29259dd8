/** The rules of the Storage interface, run against every implementation and the wrappers around it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, describe, test } from 'node:test';
import {
  AlreadyExistsError,
  maxObjectBytes,
  NotFoundError,
  StorageError,
  type ObjectInfo,
  type Storage,
} from '../../src/storage/storage.ts';

/** `open` gives a storage over a new, empty place each time; the suite closes it. */
export function storageContract(name: string, open: () => Promise<Storage>): void {
  describe(`storage contract: ${name}`, () => {
    const opened: Storage[] = [];
    const fresh = async (): Promise<Storage> => {
      const storage = await open();
      opened.push(storage);
      return storage;
    };
    afterEach(async () => {
      for (const storage of opened.splice(0)) await storage.close();
    });
    writing(fresh);
    reading(fresh);
    listing(fresh);
    removing(fresh);
    racing(fresh);
  });
}

type Open = () => Promise<Storage>;

const refused = (error: unknown): boolean => error instanceof StorageError && !error.retryable;

function writing(open: Open): void {
  test('an object is the bytes of its parts, whatever their number and size', async () => {
    const storage = await open();
    const parts = [
      randomBytes(1),
      Buffer.alloc(0),
      randomBytes(70_000),
      ...Array.from({ length: 3000 }, () => randomBytes(3)),
      Buffer.alloc(0),
    ];
    await storage.put('manifests/one.json', parts);
    assert.deepEqual(await storage.get('manifests/one.json'), Buffer.concat(parts));
    const view = randomBytes(100).subarray(10, 20);
    await storage.put('packs/ab/view.pack', [new Uint8Array(view.buffer, view.byteOffset, view.length)], {
      randomName: true,
    });
    assert.deepEqual(await storage.get('packs/ab/view.pack'), Buffer.from(view));
  });

  test('an empty object is an object', async () => {
    const storage = await open();
    await storage.put('no-parts', []);
    await storage.put('empty-part', [Buffer.alloc(0)]);
    for (const key of ['no-parts', 'empty-part']) {
      assert.equal((await storage.get(key)).length, 0);
      assert.equal((await storage.stat(key)).sizeBytes, 0);
    }
    assert.deepEqual(await keysOf(storage, ''), ['empty-part', 'no-parts']);
  });

  test('an existing object is left as it is, unless it is to be replaced', async () => {
    const storage = await open();
    await storage.put('a/b', [Buffer.from('first')]);
    await assert.rejects(
      storage.put('a/b', [Buffer.from('second')]),
      (error) => error instanceof AlreadyExistsError && error.key === 'a/b' && error.exitCode === 20,
    );
    // The same bytes again are a second writer too, as far as the caller can know.
    await assert.rejects(storage.put('a/b', [Buffer.from('first')]), AlreadyExistsError);
    assert.equal(String(await storage.get('a/b')), 'first');
    await storage.put('a/b', [Buffer.from('a longer third')], { replace: true });
    assert.equal(String(await storage.get('a/b')), 'a longer third');
    await storage.put('a/b', [Buffer.from('4')], { replace: true });
    assert.equal(String(await storage.get('a/b')), '4');
    await storage.put('a/new', [Buffer.from('new')], { replace: true });
    assert.deepEqual(await keysOf(storage, ''), ['a/b', 'a/new']);
  });

  test('64 MiB pass, one byte more is refused and leaves nothing', async () => {
    const storage = await open();
    const body = randomBytes(maxObjectBytes);
    await storage.put('large', [body.subarray(0, 1_000_001), body.subarray(1_000_001)]);
    assert.equal((await storage.stat('large')).sizeBytes, maxObjectBytes);
    assert.ok((await storage.get('large')).equals(body));
    assert.ok(
      (await storage.get('large', { start: maxObjectBytes - 5, end: maxObjectBytes })).equals(body.subarray(-5)),
    );
    await assert.rejects(
      storage.put('too-large', [body, Buffer.alloc(1)]),
      (error) => error instanceof StorageError && !error.retryable,
    );
    assert.deepEqual(await keysOf(storage, ''), ['large']);
  });

  test('keys that lead out of the repository, or are no names of objects, are refused by every method', async () => {
    const storage = await open();
    for (const key of [
      '',
      '/',
      '/a',
      'a/',
      'a//b',
      '.',
      '..',
      '../a',
      'a/../../b',
      'a/./b',
      '.hidden',
      'a/.tmp-0',
      'a\0b',
    ]) {
      await assert.rejects(storage.put(key, []), refused, key);
      await assert.rejects(storage.get(key), refused, key);
      await assert.rejects(storage.stat(key), refused, key);
      await assert.rejects(storage.remove([key]), refused, key);
    }
    await assert.rejects(keysOf(storage, '../'), StorageError);
    await assert.rejects(keysOf(storage, '/etc/'), StorageError);
    assert.deepEqual(await keysOf(storage, ''), []);
  });
}

function reading(open: Open): void {
  test('a range is exact or an error', async () => {
    const storage = await open();
    const body = randomBytes(100_000);
    await storage.put('x', [body]);
    for (const [start, end] of [
      [0, 1],
      [0, 100_000],
      [1, 99_999],
      [64, 65_600],
      [99_999, 100_000],
      [0, 0],
      [500, 500],
      [100_000, 100_000],
    ] as const) {
      assert.deepEqual(await storage.get('x', { start, end }), body.subarray(start, end), `${start} to ${end}`);
    }
    for (const [start, end] of [
      [0, 100_001],
      [99_999, 100_001],
      [100_000, 100_001],
      [200_000, 200_001],
      [100_001, 100_001],
      [-1, 5],
      [5, 4],
      [0.5, 2],
      [0, Number.NaN],
    ] as const) {
      await assert.rejects(
        storage.get('x', { start, end }),
        (error) => error instanceof StorageError && !error.retryable,
        `${start} to ${end}`,
      );
    }
  });

  test('what is absent is said to be absent', async () => {
    const storage = await open();
    await storage.put('a/b', [Buffer.from('x')]);
    for (const key of ['nothing', 'a', 'a/c', 'a/b/c', 'no/such/folder']) {
      const absent = (error: unknown): boolean =>
        error instanceof NotFoundError && error.key === key && error.exitCode === 10;
      await assert.rejects(storage.get(key), absent, key);
      await assert.rejects(storage.get(key, { start: 0, end: 1 }), absent, key);
      await assert.rejects(storage.get(key, { start: 0, end: 0 }), absent, key);
      await assert.rejects(storage.stat(key), absent, key);
    }
  });

  test('size and stamp are told, the same by stat and list', async () => {
    const storage = await open();
    await storage.put('a/b', [randomBytes(1234)]);
    const info = await storage.stat('a/b');
    assert.equal(info.key, 'a/b');
    assert.equal(info.sizeBytes, 1234);
    assert.ok(Math.abs(info.modifiedMs - Date.now()) < 60_000, `stamp ${info.modifiedMs}`);
    const [listed] = await infosOf(storage, 'a/');
    assert.equal(listed?.sizeBytes, 1234);
    // HEAD tells whole seconds.
    assert.ok(Math.abs((listed?.modifiedMs ?? 0) - info.modifiedMs) < 1000);
  });

  test('free space is told as the capabilities say', async () => {
    const storage = await open();
    await storage.put('a', []);
    const space = await storage.space();
    assert.equal(space !== undefined, storage.capabilities.freeSpace);
    if (space !== undefined) assert.ok(space.freeBytes > 0 && space.totalBytes >= space.freeBytes);
    assert.match(storage.location, /^((file|s3):\/\/|sftp:\/\/[^:@]+@)[^@]+$/);
  });
}

const oddNames = [
  'a.b',
  'a/b',
  'a0',
  'a/b.c',
  'a-b/c',
  'a/0/1',
  'a/0.1',
  'a/é',
  'a/\u{10000}',
  'a/\u{ffee}',
  'a b/c d',
  'a+b/c%20d',
  'a/%41',
  "a'q",
  'a"q',
  'a&<b>',
  'a*?[1]',
  'a\\b',
  'A/b',
  'B',
  'b/c/d/e/f',
  'b/c/d.e',
  'z/0000002C.history.wal',
  `z/${'n'.repeat(200)}`,
];

function listing(open: Open): void {
  test('objects come in byte order of their whole keys, under any prefix and after any key', async () => {
    const storage = await open();
    for (const key of oddNames) await storage.put(key, [Buffer.from(key)]);
    const all = oddNames.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const prefix of [
      '',
      'a',
      'a/',
      'a/0',
      'a/0/',
      'a.',
      'a-',
      'b/c/d',
      'b/c/d/',
      'z/0000002C',
      'a/b',
      'nothing',
      'no/such/',
      'a/b/',
    ]) {
      const under = all.filter((key) => key.startsWith(prefix));
      assert.deepEqual(await keysOf(storage, prefix), under, `prefix ${prefix}`);
      for (const after of ['a/b', 'a/', 'a/0', 'a/00', 'zz', 'b/c/d/e/f', '\u{10ffff}']) {
        const rest = under.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
        assert.deepEqual(await keysOf(storage, prefix, after), rest, `prefix ${prefix} after ${after}`);
      }
    }
    for (const key of oddNames) assert.equal(String(await storage.get(key)), key);
  });

  test('1,100 objects in one folder are all listed, once, in order; a listing may be left early', async () => {
    const storage = await open();
    const keys = Array.from({ length: 1100 }, (_, n) => `packs/${String(n).padStart(5, '0')}.pack`);
    await inParallel(keys, 12, (key) => storage.put(key, [Buffer.from('p')], { randomName: true }));
    assert.deepEqual(await keysOf(storage, 'packs/'), keys);
    assert.deepEqual(await keysOf(storage, 'packs/', keys[500]), keys.slice(501));
    let seen = 0;
    for await (const { key } of storage.list('')) {
      assert.equal(key, keys[seen]);
      if (++seen === 1005) break;
    }
    await storage.remove([...keys.slice(0, 1099), 'packs/absent']);
    assert.deepEqual(await keysOf(storage, ''), keys.slice(1099));
  });
}

function removing(open: Open): void {
  test('what is removed is gone, absent keys do not matter, neighbours stay', async () => {
    const storage = await open();
    for (const key of ['a', 'b/c', 'b/d', 'b/e/f', 'b.c', 'bc']) await storage.put(key, [Buffer.from(key)]);
    await storage.remove([]);
    await storage.remove(['a', 'a', 'b/c', 'nothing', 'no/such/folder/x', 'b']);
    await storage.remove(['a']);
    assert.deepEqual(await keysOf(storage, ''), ['b.c', 'b/d', 'b/e/f', 'bc']);
    await assert.rejects(storage.get('a'), NotFoundError);
    await storage.remove(['b/e/f', 'b/d']);
    assert.deepEqual(await keysOf(storage, ''), ['b.c', 'bc']);
    await storage.put('b/c', [Buffer.from('again')]);
    assert.equal(String(await storage.get('b/c')), 'again');
  });
}

function racing(open: Open): void {
  test('of 16 writers of one key exactly one wins, and its bytes are there', async () => {
    const storage = await open();
    for (let round = 0; round < 3; round++) {
      const key = `locks/round-${round}`;
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, (_, n) => storage.put(key, [Buffer.alloc(5000, n)])),
      );
      const winners = results.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
      for (const result of results) {
        if (result.status === 'rejected') assert.ok(result.reason instanceof AlreadyExistsError, String(result.reason));
      }
      assert.equal(winners.length, 1);
      assert.deepEqual(await storage.get(key), Buffer.alloc(5000, winners[0]));
    }
    assert.equal((await keysOf(storage, '')).length, 3);
  });

  test('readers see an object as a whole while it is replaced', async () => {
    const storage = await open();
    await storage.put('lease', [Buffer.alloc(300_000, 1)]);
    const writer = { done: false };
    const read = async (): Promise<void> => {
      while (!writer.done) {
        const body = await storage.get('lease');
        assert.equal(body.length, 300_000);
        assert.ok(body.equals(Buffer.alloc(300_000, body[0])), 'mixed content');
      }
    };
    const readers = Promise.all([read(), read()]);
    for (let n = 2; n < 32; n++) {
      await storage.put('lease', [Buffer.alloc(100_000, n), Buffer.alloc(200_000, n)], { replace: true });
    }
    writer.done = true;
    await readers;
  });

  test('folders that are emptied and filled at once lose nothing', async () => {
    const storage = await open();
    await Promise.all(
      Array.from({ length: 4 }, async (_, worker) => {
        for (let n = 0; n < 25; n++) {
          const key = `locks/scope/deep/${worker}`;
          await storage.put(key, [Buffer.from(`${worker}-${n}`)]);
          assert.equal(String(await storage.get(key)), `${worker}-${n}`);
          await storage.remove([key]);
        }
      }),
    );
    assert.deepEqual(await keysOf(storage, ''), []);
  });
}

/** Keys in the order they are listed. */
export async function keysOf(storage: Storage, prefix: string, after?: string): Promise<string[]> {
  return (await infosOf(storage, prefix, after)).map(({ key }) => key);
}

async function infosOf(storage: Storage, prefix: string, after?: string): Promise<ObjectInfo[]> {
  const infos: ObjectInfo[] = [];
  for await (const info of storage.list(prefix, after)) infos.push(info);
  return infos;
}

async function inParallel<T>(items: readonly T[], width: number, work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
