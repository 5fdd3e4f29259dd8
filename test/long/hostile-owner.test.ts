/**
 * Commands of root and of a service user, on a repository, a state folder and places to restore to that belong to a
 * user who means harm, and who goes on planting links, renaming and removing while they work. Whatever becomes of the
 * commands: no file of root's is changed or given away, none becomes readable, and no process is ended; and what was
 * stored before is restored whole afterwards, or its loss is told. Not here are
 * `config`, `completion`, `version` and `keys generate`, which work in none of these folders, and what needs a server
 * that answers: a recovery, the receiver and databases that are replaced have tests of their own.
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

/** Of each file, whatever it is called. */
function contentsBelow(path: string): string[] {
  const all = readdirSync(path, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  return all.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'));
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

/** Every command that works in these folders. */
function linesFor(bench: Bench, own: string): string[] {
  return [
    'backup',
    'list',
    'show latest',
    'validate --quick --all',
    'validate --sample 50 --all',
    'validate --deep',
    'integrity',
    'integrity --drill',
    'restore latest --to-dir restored/new',
    `restore latest --to-dir live/b --path ${join(own, 'data')}`,
    `restore latest --into-live --no-backup --confirm main --path ${join(bench.folder, 'live/b')}`,
    'restore latest --into-live --no-backup --confirm main',
    'export latest out/new',
    `wal push ${join(own, 'pg_wal', segmentName)}`,
    `wal push --shipped ${join(bench.folder, 'out/notes')} ${join(own, 'pg_wal', segmentName)}`,
    `wal fetch ${segmentName} restored/segment`,
    `wal fetch ${segmentName.replace(/1$/, '2')} restored/segment`,
    'wal status',
    'wal stream',
    'pitr --to latest --dry-run',
    'pitr --to latest --check',
    'pitr --to latest --data-dir restored/data',
    'create-restore-point here',
    'status',
    'acknowledge no-such-warning',
    'doctor',
    'audit',
    'cleanup --dry-run',
    'cleanup',
    'cleanup --adopt-trash all',
    'hold latest',
    'release latest',
    'undelete latest',
    'unlock',
    'keys list',
    'keys add --key-env OTHER_KEY',
    'keys rotate',
    'init',
    'init --rescue-script',
    'runbook',
    'runbook --from latest',
    'emergency-restore status',
    'emergency-restore validate latest',
    'emergency-restore restore --dry-run',
    'emergency-restore restore --confirm main',
  ];
}

const segmentName = '000000010000000000000001';

/** A segment of 1 MiB as PostgreSQL 15 begins it, and zeros behind it. */
function segment(): Buffer {
  const body = Buffer.alloc(1024 * 1024);
  body.writeUInt16LE(0xd110, 0);
  body.writeUInt16LE(2, 2);
  body.writeUInt32LE(1, 4);
  body.writeBigUInt64LE(BigInt(body.length), 8);
  body.writeBigUInt64LE(7001n, 24);
  body.writeUInt32LE(body.length, 32);
  return body;
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
    const folders = [own, join(own, 'data'), join(own, 'tmp'), join(own, 'pg_wal')];
    for (const path of folders) mkdirSync(path);
    writeFileSync(join(own, 'data/a'), 'content');
    writeFileSync(join(own, 'pg_wal', segmentName), segment());
    if (wrapper !== undefined) for (const path of folders) chownSync(path, 33, 33);
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
    chmodSync(bench.folder, 0o755);
    bench.env = {
      ...bench.env,
      BACKUP_FILES: `${join(own, 'data')}:${join(bench.folder, 'live')}`,
      TMPDIR: join(own, 'tmp'),
      HOME: own,
      OTHER_KEY: 'ef'.repeat(32),
    };
    const options = wrapper === undefined ? {} : { wrapper: [...wrapper] };
    await bench.json('init', options);
    const { id } = await bench.backup('backup', options);
    const stored = [...contentsBelow(join(own, 'data')), ...contentsBelow(join(bench.folder, 'live'))];
    const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const start = processStart(bystander.pid ?? 0);
    try {
      const watcher = await startWatcher(watcherOf(bench, precious, bystander.pid ?? 0));
      for (const line of linesFor(bench, own)) {
        const env = /^(pitr|wal stream|create)/.test(line) ? { DATABASE_URL: 'postgres:///x?host=/nonexistent' } : {};
        const { exitCode, stdout, stderr } = await bench.run(line, { ...options, env });
        // To a server that recovers 1 means that there is no such segment.
        if (!line.startsWith('wal fetch')) assert.notEqual(exitCode, 1, `${line}: ${stderr}`);
        assert.doesNotMatch(stderr, /bug in lifeboat|unknown (option|command)|too many arguments/, line);
        assert.equal(`${stdout}${stderr}`.includes(secret), false, line);
        unchanged();
        assert.equal(processStart(bystander.pid ?? 0), start, `the bystander lives after ${line}`);
      }
      await watcher[Symbol.asyncDispose]();
      const folder = join(own, 'tmp/after');
      const result = await bench.run(`restore ${id} --to-dir ${folder}`, options);
      // He put back all that he took; what he left beside it is told, and costs nothing.
      assert.ok([0, 3].includes(result.exitCode), result.stderr);
      assert.deepEqual(contentsBelow(folder).toSorted(), stored.toSorted());
    } finally {
      bystander.kill('SIGKILL');
    }
    assert.ok(existsSync(precious));
    for (const path of [precious, own]) rmSync(path, { recursive: true });
  });
}
