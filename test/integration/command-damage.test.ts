/**
 * A damaged repository: each object of it, damaged in many ways, is noticed, or does not matter; never a restore with
 * other data. Samples; all of it in test/long.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { kindOf, makeDamageBench, type DamageBench } from '../helpers/repository/damage.ts';
import { damagesOf, seededRandom } from '../helpers/repository/damages.ts';

let bench: DamageBench;
before(async () => {
  bench = await makeDamageBench();
});
after(() => bench?.[Symbol.asyncDispose]());

/**
 * What restores survive: each backup has a copy of its key file, and its table of packs is for cleanup and the next
 * backup.
 */
const spare = new Set(['keys', 'keys.json', 'backups/packs']);
const kinds = ['repository.json', 'keys', 'keys.json', 'manifests', 'facts', 'backups/packs', 'index', 'packs'];

function kindIn(key: string): string {
  return key.startsWith('backups/') && kindOf(key) === 'packs' ? 'backups/packs' : kindOf(key);
}

test('the undamaged repository restores, and every kind of object is tried', async () => {
  assert.deepEqual(await bench.judge('repository.json', { what: 'nothing', apply: (whole) => whole }), [
    'equal',
    'equal',
  ]);
  assert.deepEqual([...new Set(bench.objects().map(kindIn))].sort(), kinds.toSorted());
});

describe('damaged in sampled ways', () => {
  const random = seededRandom(20_260_102);
  for (const kind of kinds) {
    test(kind, async () => {
      const outcomes = new Set<string>();
      for (const [n, key] of bench
        .objects()
        .filter((each) => kindIn(each) === kind)
        .slice(0, 2)
        .entries()) {
        const chosen = damagesOf(bench, key, 14, random).filter(
          ({ what }, at) => what === 'missing' || (at + 3 * n) % 6 === 5,
        );
        for (const damage of chosen) for (const said of await bench.judge(key, damage)) outcomes.add(said);
      }
      if (spare.has(kind)) assert.deepEqual([...outcomes], ['equal']);
      else {
        assert.ok(
          [...outcomes].some((each) => each !== 'equal'),
          'no damage was noticed',
        );
      }
    });
  }
});
