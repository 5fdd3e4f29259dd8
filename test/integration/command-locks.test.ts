/** Commands that meet: a second backup of a target, too many at once, leases of the dead, restores beside backups. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import { assertFailed, makeBench, namesBelow, type Bench, type RunningCommand } from '../helpers/cli/command-run.ts';

let bench: Bench;

before(async () => {
  bench = makeBench();
  const targets = Object.fromEntries(
    ['one', 'two', 'three'].map((name) => {
      mkdirSync(join(bench.folder, name));
      writeFileSync(join(bench.folder, name, 'file'), Buffer.alloc(20_000_000, name));
      return [name, { files: { paths: [name] } }];
    }),
  );
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ targets, maxConcurrentBackups: 2 }));
  await bench.json('init');
});
after(() => bench?.[Symbol.asyncDispose]());

/** A backup that stands still while it holds its lease; `goOn` lets it end. */
async function standing(target: string): Promise<{ command: RunningCommand; goOn(): Promise<void> }> {
  const command = await bench.start(`backup --target ${target}`);
  const locks = join(bench.repository, 'locks', `backup-${target}`);
  while (namesBelow(locks).filter((name) => !name.startsWith('.')).length === 0) await sleep(1);
  // Its own steps come after the lease is its own: it would be in nobody's way before.
  await command.said(/ info backup \S+ of files/);
  command.kill('SIGSTOP');
  return {
    command,
    goOn: async () => {
      command.kill('SIGCONT');
      const result = await command.result;
      assert.equal(result.exitCode, 0, result.stderr);
    },
  };
}

test('a second backup of the same target: 11, skipped with 0, or it waits', async () => {
  const first = await standing('one');
  const second = await bench.run('backup --target one');
  assertFailed(second, 11, /backup/, /./);
  assert.match(second.stderr, new RegExp(`\\b${first.command.pid}\\b`), 'who holds it');
  const document = JSON.parse((await bench.run('backup --target one --json')).stdout) as {
    code: string;
    retryable: boolean;
    facts: { lease: { pid: number; command: string } };
  };
  assert.deepEqual(
    [document.code, document.retryable, document.facts.lease.pid, document.facts.lease.command],
    ['locked', true, first.command.pid, 'backup'],
  );
  const skipped = await bench.json<BackupResult>('backup --target one --if-running=skip');
  assert.equal(skipped.outcome, 'skipped');
  assertFailed(await bench.run('backup --target one --if-running=wait=1s'), 11, /backup/);
  const waiting = await bench.start('backup --target one --if-running=wait=1m --json');
  await sleep(1500);
  await first.goOn();
  const waited = await waiting.result;
  assert.equal(waited.exitCode, 0, waited.stderr);
  assert.equal((JSON.parse(waited.stdout) as BackupResult).outcome, 'done');
  assert.equal((await bench.ids()).length, 2);
  await bench.nothingLeft();
});

test('more backups at once than maxConcurrentBackups: 11, and says which run', async () => {
  const [one, two] = [await standing('one'), await standing('two')];
  assertFailed(
    await bench.run('backup --target three'),
    11,
    /2 backups run already in this repository \(backup-one, backup-two\); at most 2 may/,
    /maxConcurrentBackups/,
  );
  await one.goOn();
  await bench.backup('backup --target three');
  await two.goOn();
  await bench.nothingLeft();
});

test("the lease of a killed backup is in nobody's way", async () => {
  const { command } = await standing('two');
  command.kill('SIGKILL');
  await command.result;
  assert.equal(leases('backup-two').length, 1);
  const began = performance.now();
  await bench.backup('backup --target two');
  assert.ok(performance.now() - began < 100_000);
  await bench.json('unlock');
  await bench.nothingLeft();
});

test('a restore and a backup of the same target do not hinder each other; two restores do', async () => {
  const before = bench.recorded().length;
  const { goOn } = await standing('three');
  await bench.restore(`restore latest --target three --to-dir ${join(bench.folder, 'restored')}`);
  await goOn();
  assert.equal(bench.recorded().length, before + 1);
  await bench.nothingLeft();
});

function leases(scope: string): string[] {
  return readdirSync(join(bench.repository, 'locks', scope)).filter((name) => name.endsWith('.json'));
}
