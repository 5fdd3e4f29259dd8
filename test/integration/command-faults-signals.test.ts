/**
 * SIGINT, SIGTERM, SIGHUP and SIGKILL during backups and restores: exit codes, nothing left, and the next run finds its
 * way.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertFailed, makeBench, toolThatMoves, type Bench } from '../helpers/cli/command-run.ts';
import { killedBackups, killedRestores, startKillTargets, type KillTargets } from '../helpers/cli/command-kill.ts';

let targets: KillTargets;
let bench: Bench;

before(async () => {
  bench = makeBench();
  targets = await startKillTargets(bench, 120_000);
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await targets?.stop();
});

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test(`${signal} during a backup: ${exitCode}, children and lease gone, nothing recorded`, async () => {
    const before = bench.recorded();
    const command = await bench.start('backup');
    await toolThatMoves(bench, 'pg_dump', 3_000_000);
    command.kill(signal);
    const result = await command.result;
    assertFailed(result, exitCode, new RegExp(`stopped by ${signal}`));
    assert.deepEqual(bench.recorded(), before);
    await bench.nothingLeft();
    assert.deepEqual(await targets.sessions(), []);
  });
}

test('SIGTERM before anything was done, and a second signal', async () => {
  const early = await bench.start('backup');
  await new Promise((resolve) => setTimeout(resolve, 150));
  early.kill('SIGTERM');
  assert.equal((await early.result).exitCode, 143);
  const command = await bench.start('backup');
  // What stands still does not end on SIGTERM: the first signal is not answered at once.
  const dump = await toolThatMoves(bench, 'pg_dump', 3_000_000);
  process.kill(dump, 'SIGSTOP');
  command.kill('SIGINT');
  setTimeout(() => command.kill('SIGINT'), 100);
  assert.equal((await command.result).exitCode, 130);
  // It did not wait for the dump to end, nor until it would be killed; the dump's SIGTERM is pending still.
  process.kill(dump, 'SIGCONT');
  await bench.backup();
  await bench.nothingLeft();
});

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test(`${signal} during a restore: ${exitCode}, and nothing is there that looks restored`, async () => {
    await targets.clear();
    const before = await targets.look();
    const command = await bench.start(targets.restoreLine);
    await toolThatMoves(bench, 'pg_restore', 3_000_000);
    command.kill(signal);
    assertFailed(await command.result, exitCode, new RegExp(`stopped by ${signal}`));
    assert.deepEqual(await targets.look(), before);
    await bench.nothingLeft();
    assert.deepEqual(await targets.sessions(), []);
  });
}

test('SIGTERM during a restore of Redis or of files: 143, and the target holds all of it or nothing', async () => {
  const to = join(bench.folder, 'back');
  for (const [line, said] of [
    [`restore latest --only files --to-dir ${to}`, /restoring files to/],
    ['restore latest --only redis --to-url-env OTHER_REDIS', /copies the backup from a scratch server/],
  ] as const) {
    await targets.clear();
    const command = await bench.start(line);
    await command.said(said);
    command.kill('SIGTERM');
    const result = await command.result;
    if (result.exitCode !== 0) assertFailed(result, 143, /stopped by SIGTERM/);
    await targets.assertWhole();
    assert.equal((await targets.look()).role, 'master');
    await bench.nothingLeft();
  }
});

test('kill -9 while Redis copies: the next restore makes it a primary again, with its settings', async () => {
  await targets.clear();
  targets.redis.cli(['CONFIG', 'SET', 'masterauth', 'its own']);
  const command = await bench.start('restore latest --only redis --to-url-env OTHER_REDIS');
  await command.said(/copies the backup from a scratch server/);
  command.kill('SIGKILL');
  await command.result;
  await bench.restore(
    'restore latest --only redis --to-url-env OTHER_REDIS --into-live --confirm 127.0.0.1:' + targets.redis.port,
  );
  await targets.assertWhole();
  assert.equal((await targets.look()).role, 'master');
  assert.equal(targets.redis.cli(['CONFIG', 'GET', 'masterauth']), 'masterauth\nits own');
  await bench.nothingLeft();
  await targets.clear();
});

test('kill -9 at five moments of a backup: never listed unless whole, and the next run cleans up', async () => {
  await killedBackups(bench, targets, 5);
});

test('kill -9 at five moments of a restore: nothing that looks complete, and the next one cleans up', async () => {
  await killedRestores(bench, targets, 5);
});

test('kill -9 while an export is written: its folder does not have the name', async () => {
  const out = join(bench.folder, 'out');
  const command = await bench.start(['export', 'latest', out]);
  while (!readdirSync(bench.folder).some((name) => name.startsWith('.out.exporting'))) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  command.kill('SIGKILL');
  await command.result;
  mkdirSync(join(bench.folder, 'elsewhere'));
  await bench.json(['export', 'latest', join(bench.folder, 'elsewhere', 'out')]);
  assert.deepEqual(
    readdirSync(bench.folder).filter((name) => name.includes('out')),
    [],
  );
  // A reader's lease is in nobody's way: it stays until a cleanup, or this.
  await bench.json('unlock');
  await bench.nothingLeft();
});
