/** A damaged repository: each object of it, damaged in many ways, is noticed, or does not matter; never a restore with other data. Samples; all of it in test/long. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { kindOf, makeDamageBench, type DamageBench } from '../helpers/command-damage.ts';
import { damagesOf, seededRandom } from '../helpers/command-damages.ts';

let bench: DamageBench;
before(async () => {
  bench = await makeDamageBench();
});
after(() => bench?.[Symbol.asyncDispose]());

test('the undamaged repository restores, and has every kind of object', async () => {
  const said = await bench.judge('repository.json', { what: 'nothing', apply: (whole) => whole });
  assert.deepEqual(said, ['equal', 'equal']);
  assert.deepEqual([...new Set(bench.objects().map(kindOf))].sort(), ['facts', 'index', 'keys', 'keys.json', 'manifests', 'packs', 'packs', 'repository.json'].filter((each, n, all) => all.indexOf(each) === n));
});

/** Objects whose loss a restore survives, and why. */
const spare: Readonly<Record<string, string>> = { keys: 'each backup has a copy of its key file', 'keys.json': 'it is the copy', 'backups/packs': 'only cleanup and the next backup read it' };

test('each kind of object, damaged in sampled ways', async () => {
  const random = seededRandom(20_260_102);
  const seen = new Map<string, Set<string>>();
  const tried = new Map<string, number>();
  for (const key of bench.objects()) {
    const kind = key.startsWith('backups/') ? `backups/${kindOf(key)}` : kindOf(key);
    // Two objects of a kind, and what every kind of damage does to it.
    if ((tried.get(kind) ?? 0) >= 2) continue;
    tried.set(kind, (tried.get(kind) ?? 0) + 1);
    const damages = damagesOf(bench, key, 14, random);
    const chosen = damages.filter((damage, n) => damage.what === 'missing' || (n + (tried.get(kind) ?? 0)) % 5 === 0);
    for (const damage of chosen) {
      const said = await bench.judge(key, damage);
      for (const each of said) (seen.get(kind) ?? seen.set(kind, new Set()).get(kind))?.add(each);
    }
  }
  for (const [kind, outcomes] of seen) {
    if (kind in spare || kind === 'backups/keys.json') assert.deepEqual([...outcomes], ['equal'], kind);
    else assert.ok([...outcomes].some((each) => each !== 'equal'), `${kind}: no damage was noticed`);
  }
});
