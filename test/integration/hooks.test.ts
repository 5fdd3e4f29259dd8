/**
 * Programs of the operator's around backups, restores, recoveries and cleanups: what they are told, what their failures
 * mean, and that neither a secret nor a child of theirs is left anywhere.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import { assertFailed, makeBench, testKey, type Bench } from '../helpers/cli/command-run.ts';

type Done = Extract<BackupResult, { outcome: 'done' }>;

describe('hooks', () => {
  let bench: Bench;
  let diary: string;

  before(async () => {
    bench = makeBench();
    const files = join(bench.folder, 'files');
    mkdirSync(files);
    writeFileSync(join(files, 'a'), 'first');
    diary = join(bench.folder, 'diary');
    bench.env = { ...bench.env, BACKUP_FILES: files };
    await bench.json('init');
  });
  beforeEach(() => rmSync(diary, { force: true }));
  after(async () => bench[Symbol.asyncDispose]());

  /** Configures one script for each place, as argument list. */
  function configure(hooks: Record<string, Record<string, readonly (string | object)[]>>): void {
    const places = Object.entries(hooks).map(([operation, around]) => [
      operation,
      Object.fromEntries(Object.entries(around).map(([when, list]) => [when, list.map(asHook)])),
    ]);
    writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ hooks: Object.fromEntries(places) }));
  }

  function asHook(script: string | object): object {
    return typeof script === 'string' ? { command: ['sh', '-c', script] } : script;
  }

  /** A script that writes these variables of its environment down. */
  function noting(...names: string[]): string {
    return `echo "${names.map((name) => `$LIFEBOAT_${name}`).join(' ')}" >> '${diary}'`;
  }

  function noted(): string[] {
    return existsSync(diary) ? readFileSync(diary, 'utf8').trim().split('\n') : [];
  }

  function journals(): string {
    const run = join(bench.stateDir, 'run');
    return readdirSync(run)
      .map((name) => readFileSync(join(run, name), 'utf8'))
      .join('');
  }

  test('before and after each operation, told what it is and what came of it', async () => {
    const note = noting('HOOK', 'OPERATION', 'TARGET', 'BACKUP', 'OUTCOME', 'EXIT_CODE');
    const around = { before: [note], after: [note] };
    configure({ backup: around, restore: around, pitr: around, cleanup: around });
    const { id } = await bench.backup();
    await bench.restore(['restore', 'latest', '--to-dir', join(bench.folder, 'restored')]);
    await bench.json('cleanup');
    assertFailed(await bench.run(['pitr', '--to', 'latest', '--data-dir', join(bench.folder, 'data')]), 17, /./);
    assert.deepEqual(noted(), [
      'before backup main   ',
      `after backup main ${id} ok 0`,
      'before restore main latest  ',
      `after restore main ${id} ok 0`,
      'before cleanup main   ',
      'after cleanup main  ok 0',
      'before pitr main   ',
      'after pitr main  failed 17',
    ]);
  });

  test('a dry run has none', async () => {
    configure({ backup: { before: [noting('HOOK')], after: [noting('HOOK')] } });
    assert.equal((await bench.run('backup --dry-run')).exitCode, 0);
    assert.deepEqual(noted(), []);
  });

  test('one before that fails: 16, no backup, no further one before, those after it, and a record', async () => {
    configure({
      backup: { before: ['echo trouble with the queue; exit 7', noting('HOOK')], after: [noting('HOOK', 'OUTCOME')] },
    });
    const recorded = bench.recorded();
    const result = await bench.run('backup');
    assertFailed(result, 16, /the hook before the backup ended with 7: trouble with the queue/, /run it by hand/);
    assert.match(result.stderr, /no backup was made/);
    assert.deepEqual(bench.recorded(), recorded);
    assert.deepEqual(noted(), ['after failed']);
    const { records } = await bench.json<AuditResult>('audit');
    assert.ok(records.some(({ command, exitCode }) => command === 'backup' && exitCode === 16));
  });

  test('onFailure warn: the backup is made, and the run ends with 3', async () => {
    configure({ backup: { before: [{ command: ['sh', '-c', 'exit 1'], onFailure: 'warn' }] } });
    const { warnings } = await bench.json<Done>('backup', { exitCode: 3 });
    assert.match(warnings.join(), /the hook before the backup ended with 1/);
  });

  test('one after that fails: the backup is there, the run ends with 3, and the next one is run', async () => {
    configure({ backup: { after: ['exit 9', noting('HOOK', 'OUTCOME', 'EXIT_CODE')] } });
    const { id, warnings } = await bench.json<Done>('backup', { exitCode: 3 });
    assert.match(warnings.join(), /the hook after the backup ended with 9/);
    assert.equal(bench.recorded().at(-1), id);
    assert.deepEqual(noted(), ['after ok 0']);
  });

  test('a program that is not there', async () => {
    configure({ backup: { before: [{ command: ['no-such-program'] }] } });
    assertFailed(await bench.run('backup'), 16, /cannot be run: no-such-program is not installed/, /no-such-program/);
  });

  test('one that hangs is ended with what it has started', async () => {
    const pids = join(bench.folder, 'pids');
    const script = `sleep 600 & echo $! > '${pids}'; trap '' TERM; echo waiting; wait; wait`;
    configure({ backup: { before: [{ command: ['sh', '-c', script], timeoutSeconds: 1 }] } });
    assertFailed(await bench.run('backup'), 16, /ran longer than 1\.0 s and was ended: waiting/, /timeoutSeconds/);
    await assertGone(pids);
  });

  test('children that it leaves end with it, whoever keeps its output open', async () => {
    const pids = join(bench.folder, 'pids');
    const out = join(bench.folder, 'pid-of-session');
    configure({
      backup: { before: [`sleep 600 & echo $! > '${pids}'; setsid sh -c 'echo $$ > ${out}; exec sleep 600' & exit 0`] },
    });
    await bench.backup();
    await assertGone(pids);
    if (existsSync(out)) process.kill(Number(readFileSync(out, 'utf8')));
  });

  test('it sees no secret of ours, but what is named; what it prints of secrets is masked', async () => {
    const words = `echo "key is ${testKey}, token $MY_TOKEN"; echo 'postgres://u:pw@h/d' >&2`;
    const script = `env > '${diary}'; ${words}; printf '\\033]0;x\\007'`;
    configure({ backup: { before: [{ command: ['sh', '-c', script], env: ['MY_TOKEN', 'NOT_SET'] }] } });
    const { stderr } = await bench.run('backup', { env: { MY_TOKEN: 'hush-hush-1' } });
    const names = noted().map((line) => line.split('=')[0] ?? '');
    assert.ok(names.includes('MY_TOKEN') && names.includes('PATH'));
    assert.deepEqual(
      names.filter((name) => /BACKUP_(?!$)|DATABASE|REDIS|NOT_SET/.test(name) && !name.startsWith('LIFEBOAT_')),
      [],
    );
    assert.match(stderr, /the hook before the backup: key is \*\*\*, token \*\*\*/);
    for (const secret of [testKey, 'hush-hush-1', ':pw@', '\u001B]0']) assert.ok(!stderr.includes(secret), secret);
  });

  test('much output is cut, and waits for nobody', async () => {
    configure({ backup: { before: ['seq 1 200000'] } });
    const { stderr } = await bench.run('backup');
    assert.match(stderr, /lines are left out/);
    assert.match(stderr, /: 200000$/m);
    assert.ok(stderr.split('\n').length < 80, 'bounded');
  });

  test('a signal ends the one before, and those after are run all the same', async () => {
    configure({
      backup: { before: [`${noting('HOOK')}; exec sleep 600`], after: [noting('HOOK', 'OUTCOME', 'EXIT_CODE')] },
    });
    const command = await bench.start('backup');
    while (noted().length === 0) await sleep(20);
    command.kill('SIGTERM');
    assert.equal((await command.result).exitCode, 143);
    assert.deepEqual(noted(), ['before', 'after aborted 143']);
  });

  test('what a killed run has left running is ended by the next', async () => {
    const pids = join(bench.folder, 'pids');
    configure({
      backup: { before: [`sleep 600 & echo $! >> '${pids}'; echo $$ >> '${pids}'; ${noting('HOOK')}; wait`] },
    });
    const command = await bench.start('backup');
    while (noted().length === 0) await sleep(20);
    // Between its start and its being written down lie some milliseconds.
    while (!journals().includes('"group":true')) await sleep(20);
    command.kill('SIGKILL');
    await command.result;
    configure({});
    await bench.backup();
    await assertGone(pids);
  });

  test('those of a target stand inside those for all', async () => {
    const script = join(bench.folder, 'note');
    writeFileSync(script, `#!/bin/sh\necho "$1 $LIFEBOAT_HOOK" >> '${diary}'\n`);
    chmodSync(script, 0o755);
    const around = (name: string): object => ({
      before: [{ command: ['./note', name] }],
      after: [{ command: ['./note', name] }],
    });
    const targets = { main: { files: { paths: ['files'] }, hooks: { backup: around('own') } } };
    writeFileSync(
      join(bench.folder, 'lifeboat.config.json'),
      JSON.stringify({ hooks: { backup: around('general') }, targets }),
    );
    await bench.backup('backup', { env: { BACKUP_FILES: undefined }, cwd: join(bench.folder, 'files') });
    assert.deepEqual(noted(), ['general before', 'own before', 'own after', 'general after']);
    await bench.nothingLeft();
  });
});

/** The processes whose numbers stand in the file, after a moment to be reaped. */
async function assertGone(path: string): Promise<void> {
  const pids = readFileSync(path, 'utf8').trim().split('\n');
  rmSync(path);
  for (const pid of pids) {
    for (let tries = 0; isRunning(pid) && tries < 250; tries++) await sleep(20);
    assert.equal(isRunning(pid), false, `process ${pid} runs`);
  }
}

function isRunning(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
