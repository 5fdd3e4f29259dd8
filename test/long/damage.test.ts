/** Every object of a small repository, damaged in every way that we know, at many places. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeDamageBench, type DamageBench } from '../helpers/repository/damage.ts';
import { damagesOf, seededRandom } from '../helpers/repository/damages.ts';

const places = 40;

let bench: DamageBench;
before(async () => {
  bench = await makeDamageBench();
});
after(() => bench?.[Symbol.asyncDispose]());

test('no damage makes a restore succeed with other data, or leaves a target that looks complete', async (context) => {
  const random = seededRandom(Date.now());
  const counts = new Map<string, number>();
  for (const key of bench.objects()) {
    for (const damage of damagesOf(bench, key, places, random)) {
      for (const said of await bench.judge(key, damage)) counts.set(said, (counts.get(said) ?? 0) + 1);
    }
  }
  context.diagnostic([...counts].map(([said, count]) => `${said}: ${count}`).join(', '));
  assert.ok((counts.get('integrity') ?? 0) > 100);
  assert.deepEqual(await bench.judge('repository.json', { what: 'nothing', apply: (whole) => whole }), [
    'equal',
    'equal',
  ]);
});
