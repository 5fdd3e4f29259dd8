/**
 * Whoever owns a folder that is backed up changes it meanwhile, and would have us read what they may not: nothing of it
 * comes into the backup, nothing hangs, and the exit code tells that there was trouble.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { makeBench } from '../helpers/cli/command-run.ts';
import { dumpFiles, listener } from '../helpers/source/files-dump.ts';
import { intruderId, makeHostileTree, makeSecrets } from '../helpers/source/hostile-tree.ts';

const secret = 'nobody may read this but its owner';
const names = ['one', 'two'];
let work: string;
let number = 0;

before(() => {
  work = mkdtempSync(join(tmpdir(), 'hostile-files-'));
  chmodSync(work, 0o755);
});

after(() => rmSync(work, { recursive: true, force: true }));

function fresh(name: string): string {
  return join(work, `${name}-${++number}`);
}

/** A folder of the intruder's. */
function foreignFolder(): string {
  const path = fresh('home');
  mkdirSync(path);
  lchownSync(path, intruderId, intruderId);
  return path;
}

function foreignLink(target: string, path: string): void {
  symlinkSync(target, path);
  lchownSync(path, intruderId, intruderId);
}

/** The dump of one path: the bytes of its tar. */
async function tarOf(path: string): Promise<string> {
  const into = fresh('dump');
  mkdirSync(into);
  await dumpFiles({ paths: [path] }, into, listener());
  return readFileSync(join(into, 'files.tar'), 'latin1');
}

test('a configured path leads nowhere by a symlink of who owns a folder on the way', async () => {
  const outside = fresh('outside');
  makeSecrets(outside, names, secret);
  const home = foreignFolder();
  foreignLink(outside, join(home, 'data'));
  foreignLink(work, join(home, 'way'));
  foreignLink(join(outside, 'one'), join(home, 'file'));
  foreignLink('way', join(home, 'round'));
  const name = outside.slice(work.length + 1);
  for (const path of ['data', `way/${name}`, 'file', `round/${name}`, `way/${name}/one`]) {
    await assert.rejects(
      tarOf(join(home, path)),
      (error) =>
        error instanceof LifeboatError &&
        error.code === 'source' &&
        /leads to what is not its owner's/.test(error.message),
      path,
    );
  }
});

test('links of root, and links to what belongs to their owner, are followed', async () => {
  const home = foreignFolder();
  mkdirSync(join(home, 'releases'));
  writeFileSync(join(home, 'releases/file'), 'released');
  execFileSync('chown', ['-R', `${intruderId}:${intruderId}`, join(home, 'releases')]);
  foreignLink('releases', join(home, 'current'));
  foreignLink(`../${home.slice(work.length + 1)}/./current/`, join(home, 'again'));
  symlinkSync(home, join(work, 'of-root'));
  for (const path of [join(home, 'current'), join(home, 'again'), join(work, 'of-root/current')]) {
    assert.match(await tarOf(path), /released/, path);
  }
});

test('root reads nothing out of a tree that changes under it, and does not hang', async () => {
  const outside = fresh('outside');
  makeSecrets(outside, [...names, 'big', 'file'], secret);
  const tree = makeHostileTree(fresh('home'), outside, names);
  await using _ = await tree.start();
  let read = 0;
  for (let round = 0; round < 12; round++) {
    for (const path of [tree.path, join(tree.path, 'deep/er')]) {
      const tar = await tarOf(path).catch((error: unknown) => {
        assert.ok(error instanceof LifeboatError && error.code === 'source', String(error));
        return '';
      });
      if (tar.includes('harmless')) read++;
      assert.ok(!tar.includes(secret), `round ${round} of ${path}`);
    }
  }
  assert.ok(read > 0, 'nothing was read at all');
});

test('a service user, by the whole command: what it alone may read stays out, and the trouble is told', async () => {
  const userId = 65_533;
  const outside = fresh('outside');
  makeSecrets(outside, [...names, 'big', 'file'], secret, userId);
  const tree = makeHostileTree(fresh('home'), outside, names);
  await using bench = makeBench({ BACKUP_FILES: tree.path });
  execFileSync('chown', ['-R', `${userId}:${userId}`, bench.folder]);
  chmodSync(bench.folder, 0o755);
  const wrapper = ['/usr/bin/setpriv', `--reuid=${userId}`, `--regid=${userId}`, '--clear-groups'];
  await bench.json('init', { wrapper });
  await bench.json('backup files', { wrapper });
  {
    await using _ = await tree.start();
    for (let round = 0; round < 3; round++) {
      const { exitCode, stderr } = await bench.run('backup files', { wrapper });
      assert.ok([0, 3, 13].includes(exitCode), stderr);
      assert.doesNotMatch(stderr, /\bbug\b/);
    }
  }
  for (const id of bench.recorded()) {
    const into = join(bench.folder, id);
    const { exitCode, stderr } = await bench.run(`restore ${id} --to-dir ${into}`, { wrapper });
    assert.ok([0, 3].includes(exitCode), stderr);
    assert.equal(spawnSync('grep', ['-rl', secret, into], { encoding: 'utf8' }).stdout, '');
    assert.notEqual(spawnSync('grep', ['-rl', 'harmless', into], { encoding: 'utf8' }).stdout, '');
  }
  await bench.nothingLeft();
});
