/** kill -9 at twenty and more random moments of backups and of restores. */
import { after, before, test } from 'node:test';
import { killedBackups, killedRestores, startKillTargets, type KillTargets } from '../helpers/cli/command-kill.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';

const rounds = 24;

let bench: Bench;
let targets: KillTargets;

before(async () => {
  bench = makeBench();
  targets = await startKillTargets(bench, 300_000);
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await targets?.stop();
});

test('backups: never one listed that does not restore; the next one works and cleans up', async () => {
  await killedBackups(bench, targets, rounds);
});

test('restores: nothing under the wanted name that is not whole; the next one works and cleans up', async () => {
  await killedRestores(bench, targets, rounds);
});
