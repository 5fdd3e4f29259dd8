/** A lock that is a file: one at a time, and whoever is proven gone holds it no more. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withFileLock } from '../../../src/lib/file-lock.ts';
import { ownIdentity } from '../../../src/lib/process-identity.ts';

let folder: string;
let path: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
  path = join(folder, 'x.lock');
});
after(() => rmSync(folder, { recursive: true }));

const held = (more: object = {}): void => writeFileSync(path, JSON.stringify({ ...ownIdentity(), ...more }));
const take = async () => withFileLock(path, 0, async () => Promise.resolve('done'));

test('only one works at a time, and all of them do', async () => {
  let [inside, most, done] = [0, 0, 0];
  const work = async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await sleep(5);
    inside--;
    done++;
  };
  await Promise.all(Array.from({ length: 8 }, async () => withFileLock(path, 60_000, work)));
  assert.deepEqual([most, done, existsSync(path)], [1, 8, false]);
});

test('one that is held is not waited for longer than is said; a failure gives it back', async () => {
  held();
  assert.equal(await take(), undefined);
  rmSync(path);
  await assert.rejects(
    withFileLock(path, 0, async () => Promise.reject(new Error('x'))),
    /x/,
  );
  assert.deepEqual([existsSync(path), await take()], [false, { value: 'done' }]);
});

test('a process that is gone, a start of the machine before this one, and a torn file hold nothing', async () => {
  held({ processStart: '1' });
  assert.deepEqual(await take(), { value: 'done' });
  held({ bootId: 'before' });
  assert.deepEqual(await take(), { value: 'done' });
  writeFileSync(path, '');
  assert.equal(await take(), undefined);
  utimesSync(path, new Date(0), new Date(0));
  assert.deepEqual(await take(), { value: 'done' });
  held({ host: 'elsewhere' });
  assert.equal(await take(), undefined);
  utimesSync(path, new Date(0), new Date(0));
  assert.deepEqual([await take(), existsSync(path)], [{ value: 'done' }, false]);
});
