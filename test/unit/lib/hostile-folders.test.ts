/**
 * Root works in folders of a user who means harm: with journals, state files and new folders. Whatever that user plants
 * and exchanges there, no other file is written to, removed or given away, and no process is ended.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ensureFolder, makePrivateFolder, withScratchFolder, writeFileAtomic } from '../../../src/lib/fs.ts';
import { appendTo, readTextAt } from '../../../src/lib/held-files.ts';
import { runTool } from '../../../src/lib/exec.ts';
import { openLeftovers, rememberPath, rememberProcess } from '../../../src/lib/leftovers.ts';
import { processStart } from '../../../src/lib/process-identity.ts';
import { merge } from '../../../src/source/files/merge.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import { NotFoundError } from '../../../src/storage/storage.ts';
import { keysOf } from '../../contract/storage-suite.ts';
import { intruder, startWatcher } from '../../helpers/concurrency/intruder.ts';

const top = mkdtempSync(join(tmpdir(), 'hostile-'));
chmodSync(top, 0o755);
const isOwnNew = !existsSync('/var/lib/lifeboat');
after(() => {
  rmSync(top, { recursive: true, force: true });
  if (isOwnNew) for (const path of ['/var/lib/lifeboat/run', '/var/lib/lifeboat']) rmdirSync(path);
});
let count = 0;

/** A folder of the intruder's, and beside it one of root's that may not change. */
function places(): { readonly theirs: string; readonly ours: string; readonly unchanged: () => void } {
  const place = join(top, String(count++));
  const [theirs, ours] = [join(place, 'theirs'), join(place, 'ours')];
  mkdirSync(ours, { recursive: true, mode: 0o755 });
  writeFileSync(join(ours, 'file'), 'of root', { mode: 0o600 });
  mkdirSync(theirs);
  chownSync(theirs, intruder.uid, intruder.gid);
  return {
    theirs,
    ours,
    unchanged() {
      assert.deepEqual(readdirSync(ours), ['file']);
      assert.equal(readFileSync(join(ours, 'file'), 'utf8'), 'of root');
      const [folder, file] = [statSync(ours), statSync(join(ours, 'file'))];
      assert.deepEqual([folder.uid, folder.mode & 0o777, file.uid, file.mode & 0o777], [0, 0o755, 0, 0o600]);
    },
  };
}

function plant(path: string, text: string): void {
  writeFileSync(path, text);
  chownSync(path, intruder.uid, intruder.gid);
}

/** Removes a folder that its owner fills and moves about meanwhile: it may stay for this time. */
function clear(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    assert.ok(code === 'ENOTEMPTY' || code === 'ENOENT' || code === 'ENOTDIR', code);
  }
}

describe('journals of leftovers', () => {
  test('what others wrote there removes nothing and ends nobody', () => {
    const { theirs, ours, unchanged } = places();
    const run = join(theirs, 'run');
    mkdirSync(run, { mode: 0o700 });
    chownSync(run, intruder.uid, intruder.gid);
    const removal = JSON.stringify({ add: { path: ours } });
    // Root owns /proc/<pid>/cmdline of what it starts, whose words anybody can choose (a ping, a mail).
    const named = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', `\n${removal}\n`], { stdio: 'ignore' });
    try {
      const start = processStart(named.pid ?? 0);
      symlinkSync(`/proc/${named.pid}/cmdline`, join(run, '999999-1.ndjson'));
      plant(join(run, '999998-1.ndjson'), `${removal}\n{"add":${JSON.stringify({ pid: named.pid, start })}}\n`);
      linkSync(join(ours, 'file'), join(run, '999997-1.ndjson'));
      rmSync(join(run, '999997-1.ndjson'));
      symlinkSync(join(ours, 'file'), join(run, `${process.pid}-${processStart(process.pid)}.ndjson`));
      openLeftovers(theirs);
      using _ = rememberPath(join(theirs, 'passing'));
      assert.equal(processStart(named.pid ?? 0), start, 'the process goes on');
      unchanged();
    } finally {
      named.kill('SIGKILL');
    }
  });

  test('a link in the place of their folder is not followed', () => {
    const { theirs, ours, unchanged } = places();
    symlinkSync(ours, join(theirs, 'run'));
    openLeftovers(theirs);
    using _ = rememberPath(join(theirs, 'passing'));
    unchanged();
    symlinkSync(ours, join(theirs, 'state'));
    // As the link of a user who owns the folder that it lies in.
    assert.throws(() => openLeftovers(join(theirs, 'state')), /symbolic link that another user may have put/);
    unchanged();
  });

  test('nothing of a living run can be taken for that of a dead one', async () => {
    const { theirs } = places();
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    try {
      openLeftovers(theirs);
      using _ = rememberProcess(child.pid ?? 0);
      const start = processStart(child.pid ?? 0);
      const run = join(theirs, 'run');
      await using __ = await startWatcher(
        `for (const name of fs.readdirSync(${JSON.stringify(run)})) ` +
          `fs.renameSync(${JSON.stringify(`${run}/`)} + name, ${JSON.stringify(join(run, '999999-1.ndjson'))});`,
      );
      for (let n = 0; n < 200; n++) {
        using ___ = rememberPath(join(theirs, `passing-${n}`));
        openLeftovers(theirs);
      }
      assert.equal(processStart(child.pid ?? 0), start);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('a folder that was put in the place of ours is not emptied', async () => {
    const { theirs } = places();
    openLeftovers(theirs);
    const known = join(theirs, 'known');
    mkdirSync(known);
    writeFileSync(join(known, 'file'), 'of root');
    const path = join(theirs, 'private');
    const folder = makePrivateFolder(path);
    renameSync(path, `${path}-away`);
    renameSync(known, path);
    await folder[Symbol.asyncDispose]();
    assert.deepEqual(readFileSync(join(path, 'file'), 'utf8'), 'of root');
  });
});

describe('state files', () => {
  test('are written beside links, and neither links nor second names are read', async () => {
    const { theirs, ours, unchanged } = places();
    symlinkSync(ours, join(theirs, 'emergency'));
    await assert.rejects(ensureFolder(join(theirs, 'emergency/abc')), /symbolic link/);
    await assert.rejects(writeFileAtomic(join(theirs, 'emergency/abc.json'), 'x'), /symbolic link/);
    symlinkSync(join(ours, 'file'), join(theirs, 'runs.ndjson'));
    await assert.rejects(appendTo(join(theirs, 'runs.ndjson'), 'x'), /symbolic link/);
    await assert.rejects(readTextAt(join(theirs, 'runs.ndjson')), /symbolic link/);
    linkSync(join(ours, 'file'), join(theirs, 'second'));
    await assert.rejects(readTextAt(join(theirs, 'second')), /no plain file of its own/);
    await assert.rejects(appendTo(join(theirs, 'second'), 'x'), /no plain file of its own/);
    await writeFileAtomic(join(theirs, 'runs.ndjson'), 'new');
    assert.equal(statSync(join(theirs, 'runs.ndjson')).uid, intruder.uid);
    unchanged();
  });

  test('new folders are given away, and no other folder that is put in their place', async () => {
    const { theirs } = places();
    const known = join(theirs, 'known');
    mkdirSync(known);
    writeFileSync(join(known, 'file'), 'of root');
    const path = join(theirs, 'new');
    const away = join(theirs, 'away');
    {
      await using _ = await startWatcher(
        `fs.renameSync(${JSON.stringify(path)}, ${JSON.stringify(away)}); ` +
          `fs.renameSync(${JSON.stringify(known)}, ${JSON.stringify(path)}); ` +
          `fs.renameSync(${JSON.stringify(path)}, ${JSON.stringify(known)});` +
          `fs.rmdirSync(${JSON.stringify(away)});`,
      );
      for (const until = performance.now() + 4000; performance.now() < until;) {
        await ensureFolder(path).catch(() => {});
        clear(path);
        // It is elsewhere now and then.
        const seen = statSync(join(known, 'file'), { throwIfNoEntry: false });
        if (seen !== undefined) assert.equal(seen.uid, 0);
      }
    }
    const left = [known, path, away].find((each) => existsSync(join(each, 'file')));
    if (left !== undefined) assert.equal(statSync(left).uid, 0);
  });
});

describe('a local repository', () => {
  test('nothing is written or removed behind a link', async () => {
    const { theirs, ours, unchanged } = places();
    const storage = openLocalStorage(theirs);
    mkdirSync(join(theirs, 'evidence'));
    symlinkSync(ours, join(theirs, 'evidence/id'));
    writeFileSync(join(ours, '.tmp-old'), '');
    utimesSync(join(ours, '.tmp-old'), 1, 1);
    symlinkSync(ours, join(theirs, 'packs'));
    await assert.rejects(storage.put('evidence/id/1.json', [Buffer.from('x')]), /symbolic link/);
    await assert.rejects(storage.put('packs/file', [Buffer.from('x')], { replace: true }), /symbolic link/);
    await assert.rejects(storage.remove(['packs/file']), /symbolic link/);
    await assert.rejects(storage.stat('packs/file'), /symbolic link/);
    await storage.removeStaleTemporaries(0);
    assert.equal(existsSync(join(ours, '.tmp-old')), true);
    rmSync(join(ours, '.tmp-old'));
    unchanged();
    await storage.close();
  });

  test('nothing is read behind a link, by a second name or from a pipe, and a listing tells of links', async () => {
    const { theirs, ours } = places();
    const storage = openLocalStorage(theirs);
    symlinkSync(join(ours, 'file'), join(theirs, 'linked'));
    await assert.rejects(storage.get('linked'), /symbolic link/);
    await assert.rejects(keysOf(storage, ''), /symbolic link/);
    rmSync(join(theirs, 'linked'));
    linkSync(join(ours, 'file'), join(theirs, 'second'));
    await assert.rejects(storage.get('second'), /no plain file of its own/);
    await runTool({ file: 'mkfifo', args: [join(theirs, 'pipe')] });
    await assert.rejects(storage.get('pipe'), NotFoundError);
    await storage.close();
  });

  test('goes on while its owner exchanges folders for links', async () => {
    const { theirs, ours, unchanged } = places();
    const storage = openLocalStorage(theirs);
    const [folder, away] = [join(theirs, 'evidence/id'), join(theirs, 'evidence/away')];
    await storage.put('evidence/id/0', []);
    const watcher = await startWatcher(
      `fs.renameSync(${JSON.stringify(folder)}, ${JSON.stringify(away)}); ` +
        `fs.symlinkSync(${JSON.stringify(ours)}, ${JSON.stringify(folder)}); ` +
        `fs.unlinkSync(${JSON.stringify(folder)}); fs.renameSync(${JSON.stringify(away)}, ${JSON.stringify(folder)});`,
    );
    for (let n = 1; n < 300; n++) {
      await storage.put(`evidence/id/${n}`, [Buffer.from('x')]).catch(() => {});
      await storage.remove([`evidence/id/file`]).catch(() => {});
    }
    await watcher[Symbol.asyncDispose]();
    unchanged();
    await storage.close();
  });
});

test('no scratch folder is made where others could put another in its place', async () => {
  const { theirs } = places();
  await assert.rejects(
    withScratchFolder(async () => {}, theirs),
    /other users can exchange/,
  );
  assert.deepEqual(readdirSync(theirs), []);
});

test('a merge changes the mode of what it has moved, not of what is put in its place', async () => {
  const { theirs, ours, unchanged } = places();
  const target = join(theirs, 'target');
  mkdirSync(target);
  chownSync(target, intruder.uid, intruder.gid);
  const [moved, away] = [join(target, 'moved'), join(theirs, 'away')];
  await using _ = await startWatcher(
    `fs.renameSync(${JSON.stringify(moved)}, ${JSON.stringify(away)}); ` +
      `fs.symlinkSync(${JSON.stringify(ours)}, ${JSON.stringify(moved)}); while (!fs.existsSync(` +
      `${JSON.stringify(`${away}-seen`)})); fs.unlinkSync(${JSON.stringify(moved)});`,
  );
  for (let n = 0; n < 40; n++) {
    const from = join(top, `from-${n}`);
    mkdirSync(join(from, 'moved'), { recursive: true });
    chmodSync(join(from, 'moved'), 0o555);
    await merge(from, target, undefined, new Set());
    writeFileSync(`${away}-seen`, '');
    for (const until = performance.now() + 200; existsSync(moved) && performance.now() < until;) await pause(1);
    for (const path of [moved, away, `${away}-seen`]) rmSync(path, { recursive: true, force: true });
  }
  unchanged();
});
