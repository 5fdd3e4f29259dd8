/** Ways to damage an object: missing, cut, emptied, one bit flipped, swapped, replaced by another of its kind. */
import type { Damage, DamageBench } from './damage.ts';

/** Every damage worth trying, at so many sampled places; `random` gives numbers from 0 to 1. */
export function damagesOf(bench: DamageBench, key: string, places: number, random: () => number): Damage[] {
  const whole = bench.read(key);
  const list: Damage[] = [
    { what: 'missing', apply: () => undefined },
    { what: 'emptied', apply: () => Buffer.alloc(0) },
  ];
  for (const length of [whole.length - 1, Math.floor(whole.length / 2), 64, 1]) {
    if (length > 0 && length < whole.length) {
      list.push({ what: `cut to ${length} of ${whole.length} bytes`, apply: (bytes) => bytes.subarray(0, length) });
    }
  }
  list.push({ what: 'one byte longer', apply: (bytes) => Buffer.concat([bytes, Buffer.of(0)]) });
  for (const at of placesOf(whole.length, places, random)) list.push(bitFlip(at, Math.floor(random() * 8)));
  for (const other of bench.siblings(key)) list.push({ what: `replaced by ${other}`, apply: () => bench.read(other) });
  return list;
}

export function bitFlip(at: number, bit: number): Damage {
  return {
    what: `bit ${bit} of byte ${at} flipped`,
    apply: (bytes) => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ (1 << bit);
      return copy;
    },
  };
}

/**
 * In a box: header (version, kind, cipher, key id, salt), first frame, the middle, tags and directory at the end,
 * trailer.
 */
function placesOf(length: number, places: number, random: () => number): number[] {
  const known = [
    4,
    5,
    6,
    10,
    30,
    60,
    64,
    80,
    Math.floor(length / 2),
    length - 90,
    length - 40,
    length - 24,
    length - 10,
    length - 1,
  ];
  const chosen = known.filter((at) => at >= 0 && at < length);
  while (chosen.length < places) chosen.push(Math.floor(random() * length));
  return [...new Set(chosen)].slice(0, Math.max(places, 1));
}

/** The same numbers each time, so that a failure can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
