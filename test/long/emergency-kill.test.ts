/**
 * kill -9 of an emergency restore before and after every entry of its journal, and between the renames of each swap;
 * then --resume. What is live in the end equals what was backed up, and nothing was swapped twice.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EmergencyStatusResult } from '../../src/operations/emergency/status.ts';
import { servicesDone, startEmergencyTargets, type EmergencyTargets } from '../helpers/cli/emergency-targets.ts';
import type { EmergencyResult } from '../../src/operations/emergency/request.ts';

const journal = String.raw`/emergency/[^/]+/main\.json$`;
let targets: EmergencyTargets;

before(async () => {
  targets = await startEmergencyTargets();
});
after(async () => targets?.[Symbol.asyncDispose]());

/** Goes on, or starts where the kill came before the first entry; after the last one nothing is left to be done. */
async function goOn(line: string): Promise<void> {
  const { targets: found } = await targets.bench.json<EmergencyStatusResult>('emergency-restore status');
  if (found[0]?.unfinished !== undefined) {
    const result = await targets.bench.json<EmergencyResult>('emergency-restore restore --resume');
    assert.ok(result.outcome === 'done' && result.steps.every(({ state }) => state === 'done'));
  } else if (servicesDone(targets).at(-1) !== 'start') await targets.bench.json(line);
}

/** True if there was such a rename, so that the command was killed. */
async function round(spoil: () => Promise<void>, line: string, when: string, kept: number): Promise<boolean> {
  await spoil();
  const { exitCode, stderr } = await targets.killedAt(line, when);
  assert.ok(exitCode === 137 || exitCode === 0, `${when}: ${stderr}`);
  if (exitCode === 137) await goOn(line);
  await targets.assertRight();
  const asides = await targets.asides();
  assert.deepEqual([asides.kept.length, asides.leftovers], [kept, []], `${when}: ${JSON.stringify(asides)}`);
  assert.equal(servicesDone(targets).at(-1), 'start', when);
  await targets.dropAsides();
  return exitCode === 137;
}

test('all is there, but wrong', async () => {
  const line = 'emergency-restore restore --confirm main';
  let points = 0;
  for (const side of ['before', 'after']) {
    for (let n = 1; await round(targets.makeWrong, line, `${side} ${n} ${journal}`, 4); n++) points++;
  }
  for (const side of ['before', 'after']) {
    for (
      let n = 1;
      await round(targets.makeWrong, line, `${side} ${n} /(one|two)(_(before|restored)_[^/]*)?$`, 4);
      n++
    ) {
      points++;
    }
  }
  assert.ok(points > 50, String(points));
});

test('all is lost', async () => {
  const line = 'emergency-restore restore --confirm main';
  for (let n = 1; await round(targets.makeLost, line, `before ${n} ${journal}`, 0); n++);
  for (const side of ['before', 'after']) {
    for (let n = 1; await round(targets.makeLost, line, `${side} ${n} /(one|two)(_restored_[^/]*)?$`, 0); n++);
  }
});
