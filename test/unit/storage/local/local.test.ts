import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { LifeboatError } from '../../../../src/lib/errors.ts';
import { runTool } from '../../../../src/lib/exec.ts';
import { openLocalStorage } from '../../../../src/storage/local/local.ts';
import { AlreadyExistsError, NotFoundError, StorageError } from '../../../../src/storage/storage.ts';
import { keysOf } from '../../../contract/storage-suite.ts';
import { killWriterAndCheck } from '../../../helpers/storage/kill.ts';

const dir = mkdtempSync(join(tmpdir(), 'lifeboat-local-'));
after(() => rmSync(dir, { recursive: true, force: true }));
let count = 0;
const newRoot = (): string => {
  const path = join(dir, String(count++));
  mkdirSync(path);
  return path;
};
/** Every file below, temporaries too. */
const filesOf = (root: string): string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(root, path)).isFile())
    .toSorted();
const ageFile = (path: string, seconds: number): void =>
  utimesSync(path, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);

const failsAtOnce =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof StorageError &&
    error.exitCode === 20 &&
    !error.retryable &&
    pattern.test(error.message) &&
    error.hint !== undefined;
/** On a file system of its own with 2 MiB. */
const mounted = async (work: (root: string) => Promise<void>): Promise<void> => {
  const root = newRoot();
  await runTool({ file: 'mount', args: ['-t', 'tmpfs', '-o', 'size=2m,mode=700', 'lifeboat-test', root] });
  try {
    await work(root);
  } finally {
    await runTool({ file: 'umount', args: [root] });
  }
};

describe('the root folder', () => {
  test('a missing one (a disk that is not mounted) is never made by a put, nor read as empty', async () => {
    const root = join(dir, 'absent', 'repo');
    const storage = openLocalStorage(root);
    await assert.rejects(storage.put('a', []), failsAtOnce(/is not there/));
    await assert.rejects(keysOf(storage, ''), failsAtOnce(/is not there/));
    await assert.rejects(storage.remove(['a']), failsAtOnce(/is not there/));
    await assert.rejects(storage.get('repository.json'), NotFoundError);
    await assert.rejects(storage.stat('repository.json'), NotFoundError);
    assert.equal(existsSync(join(dir, 'absent')), false);
  });

  test('with `create` it is made by the first put, not before, for its owner only', async () => {
    const root = join(dir, 'new', 'deep', 'repo');
    const storage = openLocalStorage(`${root}/`, { create: true });
    assert.deepEqual(await keysOf(storage, ''), []);
    assert.equal(existsSync(join(dir, 'new')), false);
    await storage.put('packs/ab/x.pack', [Buffer.from('x')]);
    for (const folder of [root, join(root, 'packs'), join(root, 'packs/ab')]) {
      assert.equal(statSync(folder).mode & 0o777, 0o700, folder);
    }
    assert.equal(statSync(join(root, 'packs/ab/x.pack')).mode & 0o777, 0o600);
    assert.deepEqual(filesOf(root), ['packs/ab/x.pack']);
  });

  test('one that is exchanged in the middle of a run is not written to', async () => {
    const root = newRoot();
    const storage = openLocalStorage(root);
    await storage.put('a/b', []);
    renameSync(root, `${root}-unmounted`);
    mkdirSync(root);
    await assert.rejects(storage.put('a/c', []), /no longer the one/);
    assert.deepEqual(readdirSync(root), []);
  });

  test('a file in its place is an error', async () => {
    const root = join(dir, 'a-file');
    writeFileSync(root, '');
    await assert.rejects(openLocalStorage(root, { create: true }).put('a', []), StorageError);
  });
});

test('names with a leading dot and links that lead nowhere are no objects; linked folders are folders', async () => {
  const root = newRoot();
  const storage = openLocalStorage(root);
  await storage.put('a/b', []);
  writeFileSync(join(root, 'a/.tmp-0123'), 'half');
  mkdirSync(join(root, '.git'));
  writeFileSync(join(root, '.git/x'), 'x');
  symlinkSync('/nonexistent', join(root, 'dangling'));
  const elsewhere = newRoot();
  writeFileSync(join(elsewhere, 'moved'), 'm');
  symlinkSync(elsewhere, join(root, 'packs'));
  assert.deepEqual(await keysOf(storage, ''), ['a/b', 'packs/moved']);
  assert.deepEqual(await keysOf(storage, '.'), []);
});

test("only temporaries older than asked for are removed, by the disk's clock", async () => {
  const root = newRoot();
  const storage = openLocalStorage(root);
  await storage.put('a/b/object', []);
  for (const [name, ageSeconds] of [
    ['a/b/.tmp-old', 90_000],
    ['.tmp-old', 90_000],
    ['a/.lock-x', 90_000],
    ['a/b/.tmp-young', 80_000],
    ['a/.other', 90_000],
  ] as const) {
    writeFileSync(join(root, name), 'half');
    ageFile(join(root, name), ageSeconds);
  }
  ageFile(join(root, 'a/b/object'), 900_000);
  assert.deepEqual([...(await storage.removeStaleTemporaries(86_400_000))].toSorted(), [
    '.tmp-old',
    'a/.lock-x',
    'a/b/.tmp-old',
  ]);
  assert.deepEqual(filesOf(root), ['a/.other', 'a/b/.tmp-young', 'a/b/object']);
});

describe('without hard links', () => {
  const lock = '.lock-a.0123456789abcdef';

  test('a lock of a killed run is broken after half an hour', async () => {
    const root = newRoot();
    const storage = openLocalStorage(root, { links: false });
    writeFileSync(join(root, lock), '');
    ageFile(join(root, lock), 1801);
    await storage.put('a', [Buffer.from('x')]);
    assert.deepEqual(filesOf(root), ['a']);
  });

  test('a writer waits for a younger lock, and is told when the other one wins', async () => {
    const root = newRoot();
    const storage = openLocalStorage(root, { links: false });
    writeFileSync(join(root, lock), '');
    ageFile(join(root, lock), 1700);
    const losing = assert.rejects(storage.put('a', [Buffer.from('mine')]), AlreadyExistsError);
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(existsSync(join(root, 'a')), false);
    writeFileSync(join(root, 'a'), 'theirs');
    await losing;
    assert.deepEqual(filesOf(root), [lock, 'a']);
  });
});

describe('trouble with the disk', () => {
  test('a full disk is exit code 15 and leaves neither object nor temporary', () =>
    mounted(async (root) => {
      const storage = openLocalStorage(root);
      await storage.put('packs/first', [Buffer.alloc(1_500_000)]);
      await assert.rejects(
        storage.put('packs/second', [Buffer.alloc(300_000), Buffer.alloc(700_000)]),
        (error) =>
          error instanceof LifeboatError &&
          error.code === 'space' &&
          error.exitCode === 15 &&
          !error.retryable &&
          error.hint !== undefined,
      );
      assert.deepEqual(filesOf(root), ['packs/first']);
      await storage.put('packs/small', [Buffer.alloc(10_000)]);
      assert.deepEqual(await keysOf(storage, ''), ['packs/first', 'packs/small']);
      const space = await storage.space();
      assert.equal(space?.totalBytes, 2 * 1024 * 1024);
      assert.ok(space.freeBytes < 600_000);
      await storage.close();
    }));

  test('a read-only repository is exit code 20 at once, and can be read', () =>
    mounted(async (root) => {
      const storage = openLocalStorage(root);
      await storage.put('a', [Buffer.from('x')]);
      await runTool({ file: 'mount', args: ['-o', 'remount,ro', root] });
      await assert.rejects(storage.put('b', []), failsAtOnce(/read-only/));
      await assert.rejects(storage.put('new/folder', []), failsAtOnce(/read-only/));
      await assert.rejects(storage.put('a', [], { replace: true }), failsAtOnce(/read-only/));
      await assert.rejects(storage.remove(['a']), failsAtOnce(/read-only/));
      assert.equal(String(await storage.get('a')), 'x');
      await storage.close();
    }));

  test('a repository of another user is exit code 20 at once, and not "absent"', async () => {
    const root = newRoot();
    await openLocalStorage(root).put('a', [Buffer.from('x')]);
    chmodSync(root, 0o700);
    chmodSync(dir, 0o755);
    const module = new URL('../../../../src/storage/local/local.ts', import.meta.url).href;
    const script = `
      import { openLocalStorage } from ${JSON.stringify(module)};
      process.setgroups([]);
      process.setgid(65534);
      process.setuid(65534);
      const storage = openLocalStorage(${JSON.stringify(root)});
      const works = [
        () => storage.put('b', []),
        () => storage.get('a'),
        () => storage.stat('a'),
        () => storage.list('').next(),
        () => storage.remove(['a']),
      ];
      for (const work of works) {
        const error = await work().then(() => ({ message: 'done' }), (reason) => reason);
        console.log(error.name, error.exitCode, error.retryable, /permission denied/.test(error.message));
      }`;
    const { stdout } = await runTool({ file: process.execPath, args: ['--input-type=module', '-e', script] });
    assert.deepEqual(
      stdout.trim().split('\n'),
      Array.from({ length: 5 }, () => 'StorageError 20 false true'),
    );
  });
});

test("what root adds to a repository of another user is that user's, and theirs to go on with", async () => {
  const root = newRoot();
  chownSync(root, 65534, 65533);
  for (const links of [true, false]) {
    const storage = openLocalStorage(root, { links });
    await storage.put(`a/${links}/b/object`, [Buffer.from('x')]);
    await storage.put(`a/${links}/b/object`, [Buffer.from('y')], { replace: true });
  }
  const owners = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((path) => [path, statSync(join(root, path)).uid, statSync(join(root, path)).gid]);
  assert.deepEqual(
    owners,
    ['a', 'a/false', 'a/false/b', 'a/false/b/object', 'a/true', 'a/true/b', 'a/true/b/object'].map((path) => [
      path,
      65534,
      65533,
    ]),
  );
});

test('kill -9 of a writer leaves whole objects, all that were acknowledged, and no temporaries', async () => {
  const root = join(dir, 'killed');
  const location = { kind: 'local', path: root } as const;
  const acknowledged = await killWriterAndCheck(location, JSON.stringify(location), 8);
  assert.ok(acknowledged >= 8);
  const storage = openLocalStorage(root);
  const hidden = filesOf(root).filter((path) => path.includes('.tmp-'));
  assert.deepEqual([...(await storage.removeStaleTemporaries(0))].toSorted(), hidden);
  assert.deepEqual(filesOf(root), (await keysOf(storage, '')).toSorted());
});
