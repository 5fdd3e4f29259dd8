/**
 * Commands of root and of a service user, on a repository, a state folder and places to restore to that belong to a
 * user who means harm, and who goes on planting links, renaming and removing while they work. Whatever becomes of the
 * commands: no file of root's is changed or given away, none becomes readable, and no process is ended.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { processStart } from '../../src/lib/process-identity.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { intruder, startWatcher } from '../helpers/concurrency/intruder.ts';

const secret = 'of root alone, and never to be read by others';

/** Root's folder: what is in it must be as it was made. */
function makePrecious(path: string): () => void {
  mkdirSync(join(path, 'below'), { recursive: true });
  for (const name of ['file', 'below/file', 'repository.json', 'server.log']) {
    writeFileSync(join(path, name), secret, { mode: 0o600 });
  }
  chmodSync(path, 0o700);
  const look = (): string[] =>
    ['.', ...readdirSync(path, { recursive: true, encoding: 'utf8' })].toSorted().map((name) => {
      const { uid, gid, mode, nlink } = statSync(join(path, name));
      const content = statSync(join(path, name)).isFile() ? readFileSync(join(path, name), 'utf8') : nlink;
      return JSON.stringify({ name, uid, gid, mode, content });
    });
  const before = look();
  return () => assert.deepEqual(look(), before);
}

/** Exchanges anything below the bench's folders for links to root's, puts it back, and plants journals and pipes. */
function watcherOf(bench: Bench, precious: string, pid: number): string {
  const [folders, start] = [['repository', 'state', 'restored', 'out', 'live'], processStart(pid)];
  const journal = `{"add":{"path":"${precious}"}}\\n{"add":{"pid":${pid},"start":"${start}"}}\\n`;
  return `
    globalThis.turn = (globalThis.turn ?? 0) + 1;
    const top = ${JSON.stringify(bench.folder)} + '/' + ${JSON.stringify(folders)}[turn % ${folders.length}];
    const all = fs.readdirSync(top, { recursive: true });
    const each = top + '/' + all[Math.floor(Math.random() * all.length)];
    if (turn % 50 === 0) {
      fs.mkdirSync(top + '/run', { recursive: true });
      fs.writeFileSync(top + '/run/999999-' + turn + '.ndjson', ${JSON.stringify(journal)}.replaceAll('\\\\n', '\\n'));
    }
    const away = ${JSON.stringify(bench.folder)} + '/away';
    fs.renameSync(each, away);
    try {
      fs.symlinkSync(${JSON.stringify(precious)} + (turn % 3 === 0 ? '/file' : turn % 3 === 1 ? '' : '/below'), each);
      for (const until = performance.now() + 1; performance.now() < until;);
      fs.unlinkSync(each);
    } finally {
      fs.renameSync(away, each);
    }`;
}

for (const [who, wrapper] of [
  ['root', undefined],
  ['a service user', ['/usr/bin/setpriv', '--reuid=33', '--regid=33', '--clear-groups']],
] as const) {
  test(`${who} works in folders of an intruder`, async () => {
    await using bench = makeBench();
    chmodSync(dirname(bench.folder), 0o755);
    const precious = join(dirname(bench.folder), `precious-${who.length}`);
    const unchanged = makePrecious(precious);
    const own = join(dirname(bench.folder), `own-${who.length}`);
    for (const path of [own, join(own, 'data'), join(own, 'tmp')]) mkdirSync(path);
    writeFileSync(join(own, 'data/a'), 'content');
    if (wrapper !== undefined) for (const path of [own, join(own, 'data'), join(own, 'tmp')]) chownSync(path, 33, 33);
    for (const name of ['repository', 'state', 'restored', 'out', 'live']) {
      mkdirSync(join(bench.folder, name));
      // Everybody may write there, or the service user could not even begin.
      chmodSync(join(bench.folder, name), 0o777);
      chownSync(join(bench.folder, name), intruder.uid, intruder.gid);
    }
    for (const name of ['a', 'b/c', 'b/d']) {
      const path = join(bench.folder, 'live', name);
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, 'file'), name);
      chmodSync(path, 0o777);
    }
    chownSync(bench.folder, intruder.uid, intruder.gid);
    bench.env = {
      ...bench.env,
      BACKUP_FILES: `${join(own, 'data')}:${join(bench.folder, 'live')}`,
      TMPDIR: join(own, 'tmp'),
      HOME: own,
    };
    const options = wrapper === undefined ? {} : { wrapper: [...wrapper] };
    await bench.run('init', options);
    await bench.run('backup', options);
    const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const start = processStart(bystander.pid ?? 0);
    try {
      const watcher = await startWatcher(watcherOf(bench, precious, bystander.pid ?? 0));
      for (const line of [
        'backup',
        'list',
        'show latest',
        'validate --deep',
        'integrity --drill',
        'restore latest --to-dir restored/new',
        `restore latest --to-dir live/b --path ${join(own, 'data')}`,
        `restore latest --into-live --no-backup --confirm main --path ${join(bench.folder, 'live/b')}`,
        'restore latest --into-live --no-backup --confirm main',
        'export latest out/new',
        'status',
        'doctor',
        'audit',
        'cleanup',
        'hold latest',
        'unlock',
        'keys list',
        'emergency-restore plan',
      ]) {
        const { exitCode, stdout, stderr } = await bench.run(line, options);
        assert.notEqual(exitCode, 1, `${line}: ${stderr}`);
        assert.equal(`${stdout}${stderr}`.includes(secret), false, line);
        unchanged();
        assert.equal(processStart(bystander.pid ?? 0), start, `the bystander lives after ${line}`);
      }
      await watcher[Symbol.asyncDispose]();
    } finally {
      bystander.kill('SIGKILL');
    }
    assert.ok(existsSync(precious));
    for (const path of [precious, own]) rmSync(path, { recursive: true });
  });
}
