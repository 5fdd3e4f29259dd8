/** Every object of a small repository, damaged in every way that we know, at many places. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { kindOf, makeDamageBench, type DamageBench } from '../helpers/repository/damage.ts';
import { damagesOf, seededRandom } from '../helpers/repository/damages.ts';

const places = 40;

let bench: DamageBench;
before(async () => {
  bench = await makeDamageBench();
});
after(() => bench?.[Symbol.asyncDispose]());

/** Told with a failure, so that it can be repeated. */
const seed = Date.now();
const random = seededRandom(seed);
const kinds = ['manifests', 'packs', 'index'];

for (const kind of [...kinds, 'all else']) {
  const isMeant = (key: string): boolean => (kind === 'all else' ? !kinds.includes(kindOf(key)) : kindOf(key) === kind);

  test(`no damage of ${kind} lets a restore end with other data, or leaves what looks complete`, async (context) => {
    context.diagnostic(`seed ${seed}`);
    const counts = new Map<string, number>();
    for (const key of bench.objects().filter(isMeant)) {
      for (const damage of damagesOf(bench, key, places, random)) {
        for (const said of await bench.judge(key, damage)) counts.set(said, (counts.get(said) ?? 0) + 1);
      }
    }
    context.diagnostic([...counts].map(([said, count]) => `${said}: ${count}`).join(', '));
    // One component may be refused and another be whole: "equal+integrity".
    const noticed = [...counts].filter(([said]) => said.includes('integrity'));
    assert.ok(noticed.reduce((sum, [, count]) => sum + count, 0) > 20);
  });
}

test('what is repaired again restores', async () => {
  assert.deepEqual(await bench.judge('repository.json', { what: 'nothing', apply: (whole) => whole }), [
    'equal',
    'equal',
  ]);
});
