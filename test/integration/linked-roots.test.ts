/** Roots that are symlinks (current -> releases/1): a restore swaps what they lead to, where that lies. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';

let bench: Bench;
const at = (...parts: string[]): string => join(bench.folder, ...parts);

/** Each root, the link on it, what that says, and the folder that is meant. */
const roots = [
  { root: 'app/current', link: 'app/current', says: 'releases/1', real: 'app/releases/1' },
  { root: 'chain/first', link: 'chain/first', says: '../far/second', real: 'elsewhere/deep/real' },
  { root: 'disk', link: 'disk', says: 'mnt/data', real: 'mnt/data' },
  { root: 'way/below', link: 'way', says: 'elsewhere/way', real: 'elsewhere/way/below' },
];
const intoLive = 'restore latest --only files --into-live --no-backup --confirm main';

before(() => {
  bench = makeBench();
  mkdirSync(at('mnt'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', at('mnt')]);
  for (const { link, says, real, root } of roots) {
    mkdirSync(at(real, 'sub'), { recursive: true });
    writeFileSync(at(real, 'sub', 'file'), `${root} as it was`);
    mkdirSync(dirname(at(link)), { recursive: true });
    symlinkSync(says, at(link));
  }
  mkdirSync(at('far'));
  symlinkSync(at('elsewhere/deep/real'), at('far/second'));
});
after(async () => {
  execFileSync('umount', [at('mnt')]);
  await bench[Symbol.asyncDispose]();
});
beforeEach(() => configure(...roots.map(({ root }) => root)));

function configure(...paths: string[]): void {
  const targets = { main: { files: { paths: paths.map((path) => at(path)) } } };
  writeFileSync(at('lifeboat.config.json'), JSON.stringify({ targets }));
}

test('each link stays, its folder is swapped where it lies, the old one is kept and can be put back', async () => {
  await bench.json('init');
  await bench.backup();
  for (const { real } of roots) writeFileSync(at(real, 'sub', 'file'), 'destroyed');
  const { components } = await bench.restore(intoLive);
  assert.deepEqual(components.map(({ to }) => to).toSorted(), roots.map(({ real }) => at(real)).toSorted());
  for (const { root, link, says, real } of roots) {
    assert.equal(readlinkSync(at(link)), says);
    assert.equal(readFileSync(at(root, 'sub', 'file'), 'utf8'), `${root} as it was`);
    const { kept = '', undo = '' } = components.find(({ to }) => to === at(real)) ?? {};
    assert.equal(dirname(kept), dirname(at(real)));
    assert.equal(readFileSync(join(kept, 'sub', 'file'), 'utf8'), 'destroyed');
    execFileSync('sh', ['-c', undo]);
    assert.equal(readFileSync(at(root, 'sub', 'file'), 'utf8'), 'destroyed');
    assert.equal(readlinkSync(at(link)), says);
  }
});

test('a link whose folder is gone gets that folder again, with and without --into-live', async () => {
  for (const line of [intoLive, 'restore latest --only files']) {
    for (const { real } of roots) rmSync(at(real), { recursive: true });
    await bench.restore(line);
    for (const { root, link, says } of roots) {
      assert.equal(readlinkSync(at(link)), says);
      assert.equal(readFileSync(at(root, 'sub', 'file'), 'utf8'), `${root} as it was`);
    }
  }
});

test('chosen paths below such roots, and beside, are replaced where they lie', async () => {
  for (const { real } of roots) {
    writeFileSync(at(real, 'sub', 'file'), 'destroyed');
    writeFileSync(at(real, 'sub', 'other'), 'stays');
  }
  const paths = roots.map(({ root }, n) => at(root, ...(n === 0 ? [] : ['sub', 'file'])));
  await bench.restore(`${intoLive} ${paths.map((path) => `--path ${path}`).join(' ')}`);
  for (const { root, link, says } of roots) {
    assert.equal(readlinkSync(at(link)), says);
    assert.equal(readFileSync(at(root, 'sub', 'file'), 'utf8'), `${root} as it was`);
    assert.equal(readFileSync(at(root, 'sub', 'other'), 'utf8'), 'stays');
  }
});

test("another user's link is followed by no restore: refused, with nothing changed; beside it goes", async () => {
  mkdirSync(at('theirs/releases/1'), { recursive: true });
  writeFileSync(at('theirs/releases/1/file'), 'as it was');
  symlinkSync('releases/1', at('theirs/current'));
  for (const each of ['theirs', 'theirs/releases', 'theirs/releases/1']) chownSync(at(each), 1234, 1234);
  lchownSync(at('theirs/current'), 1234, 1234);
  configure('theirs/current');
  await bench.backup();
  unlinkSync(at('theirs/current'));
  symlinkSync(at('app'), at('theirs/current'));
  lchownSync(at('theirs/current'), 1234, 1234);
  const before = readdirSync(bench.folder).toSorted();
  assertFailed(await bench.run(intoLive), 2, /another user may have put there/, /--to-dir/);
  assert.deepEqual(readdirSync(bench.folder).toSorted(), before);
  assert.deepEqual(readdirSync(at('app')).toSorted(), ['current', 'releases']);
  const { components } = await bench.restore(`restore latest --only files --to-dir ${at('aside')}`);
  assert.equal(components.length, 1);
  assert.equal(
    execFileSync('find', [at('aside'), '-name', 'file', '-type', 'f'])
      .toString()
      .split('\n').length,
    2,
  );
});
