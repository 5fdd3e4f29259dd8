/**
 * Restores that are broken from outside: the right exit code, nothing left that looks complete, and the next restore
 * works.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startKillTargets, type KillTargets } from '../helpers/cli/command-kill.ts';
import { assertFailed, makeBench, toolThatMoves, type Bench, type RunningCommand } from '../helpers/cli/command-run.ts';

let targets: KillTargets;
let bench: Bench;

before(async () => {
  bench = makeBench();
  targets = await startKillTargets(bench, 200_000);
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await targets?.stop();
});

async function broken(
  fault: (command: RunningCommand) => Promise<void>,
  exitCodes: readonly number[],
  message: RegExp,
  repair: () => Promise<void> = async () => {},
): Promise<void> {
  await targets.clear();
  const before = await targets.look();
  const command = await bench.start(`${targets.restoreLine} --only database`);
  try {
    await fault(command);
  } finally {
    const result = await command.result;
    await repair();
    assert.ok(exitCodes.includes(result.exitCode), `${result.exitCode}\n${result.stderr}`);
    assertFailed(result, result.exitCode, message);
  }
  assert.deepEqual(await targets.look(), before);
  assert.deepEqual(await targets.sessions(), []);
  await bench.nothingLeft();
  await bench.restore(targets.restoreLine);
  await targets.assertRestored();
}

test('pg_restore killed: 13, the unfinished database is dropped', async () => {
  await broken(
    async () => void process.kill(await toolThatMoves(bench, 'pg_restore', 5_000_000), 'SIGKILL'),
    [13, 14],
    /pg_restore was killed by SIGKILL/,
  );
});

test('what is restored goes away meanwhile: 14 or 20, nothing is left', async () => {
  const away = join(bench.folder, 'away');
  const packs = join(bench.repository, 'packs');
  const move = (from: string, to: string): void => {
    for (const name of readdirSync(from)) renameSync(join(from, name), join(to, name));
  };
  mkdirSync(away);
  const fault = async (command: RunningCommand): Promise<void> => {
    await toolThatMoves(bench, 'pg_restore', 1_000_000);
    // Not the repository's folder: lifeboat holds it open and goes on reading, wherever it is.
    move(packs, away);
    await command.result;
  };
  await broken(fault, [10, 14, 20], /./, async () => move(away, packs));
});

test('a Redis without room for the backup: 15, and it holds what it held', async () => {
  await targets.clear();
  targets.redis.cli(['SET', 'mine', 'kept']);
  targets.redis.cli(['CONFIG', 'SET', 'maxmemory', '2mb']);
  const before = await targets.look();
  const confirm = `--confirm 127.0.0.1:${targets.redis.port}`;
  const live = `restore latest --only redis --to-url-env OTHER_REDIS --into-live ${confirm}`;
  assertFailed(await bench.run(live), 15, /memory/, /maxmemory/);
  assert.deepEqual(await targets.look(), before);
  targets.redis.cli(['CONFIG', 'SET', 'maxmemory', '0']);
  await bench.restore(live);
  await targets.assertWhole();
  await bench.nothingLeft();
});

test('a database of that name, a folder with files: refused, nothing changed', async () => {
  await targets.clear();
  await bench.restore(targets.restoreLine);
  const before = await targets.look();
  assertFailed(
    await bench.run(`${targets.restoreLine} --only database`),
    18,
    /database "back" exists/,
    /swap|another name/,
  );
  assertFailed(await bench.run(`${targets.restoreLine} --only files`), 2, /it contains files/, /empty/);
  assertFailed(await bench.run(`${targets.restoreLine} --only redis`), 18, /holds 20000 keys/, /--into-live/);
  assert.deepEqual(await targets.look(), before);
});
