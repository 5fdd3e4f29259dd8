/**
 * Inputs made from valid samples: flipped bits, cuts, splices, repeated pieces, huge numbers where lengths may stand,
 * other digits, words that formats know. The same seed gives the same inputs everywhere.
 */

/** Whole numbers from 0 to below `limit`, by the generator mulberry32. */
export type Random = (limit: number) => number;

export function seeded(seed: number): Random {
  let state = seed | 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** One to eight changes of one of the samples; longer than it at most by the repeated pieces, some 64 KiB each. */
export function mutated(samples: readonly Buffer[], random: Random): Buffer {
  let bytes: Buffer = Buffer.from(pick(samples, random));
  for (let left = 1 + random(random(2) === 0 ? 2 : 8); left > 0; left--) {
    bytes = pick(changes, random)(bytes, random, samples);
  }
  return bytes;
}

type Change = (bytes: Buffer, random: Random, samples: readonly Buffer[]) => Buffer;

const changes: readonly Change[] = [
  (bytes, random) => overwrite(bytes, random(bytes.length * 8) >> 3, (byte) => byte ^ (1 << random(8))),
  (bytes, random) => overwrite(bytes, random(bytes.length), () => random(256)),
  (bytes, random) => bytes.subarray(0, random(bytes.length + 1)),
  (bytes, random) => bytes.subarray(random(Math.min(bytes.length, 64) + 1)),
  (bytes, random) => {
    const [from, length] = piece(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + length)]);
  },
  (bytes, random) => {
    const [from, length] = piece(bytes, random);
    const times = 2 + random(random(8) === 0 ? Math.floor(65_536 / (length + 1)) : 4);
    const repeated = Array.from({ length: times }, () => bytes.subarray(from, from + length));
    return Buffer.concat([bytes.subarray(0, from), ...repeated, bytes.subarray(from + length)]);
  },
  (bytes, random, samples) => {
    const other = pick(samples, random);
    const [from, length] = piece(other, random);
    return inserted(bytes, random(bytes.length + 1), other.subarray(from, from + length), random);
  },
  (bytes, random) => inserted(bytes, random(bytes.length + 1), number(random), random),
  (bytes, random) => inserted(bytes, random(bytes.length + 1), Buffer.from(pick(words, random)), random),
  otherDigits,
];

/** Put in, or over what is there. */
function inserted(bytes: Buffer, at: number, what: Buffer, random: Random): Buffer {
  const over = random(3) === 0 ? 0 : what.length;
  return Buffer.concat([bytes.subarray(0, at), what, bytes.subarray(at + over)]);
}

function overwrite(bytes: Buffer, at: number, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  if (at < copy.length) copy[at] = change(copy[at] ?? 0);
  return copy;
}

function piece(bytes: Buffer, random: Random): [from: number, length: number] {
  const from = random(bytes.length + 1);
  return [from, random(Math.min(bytes.length - from, random(2) === 0 ? 16 : 4096) + 1)];
}

const numbers = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fff0n,
  0xffff_ffffn,
  0x20_0000_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0xffff_ffff_ffff_ffffn,
];

/** Of 1 to 8 bytes, in either order. */
function number(random: Random): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(pick(numbers, random));
  const cut = bytes.subarray(0, pick([1, 2, 4, 8], random));
  return random(2) === 0 ? cut : Buffer.from(cut.toReversed());
}

const digits = [
  '0',
  '-1',
  '9007199254740993',
  '99999999999999999999999',
  '1e308',
  '1e999',
  '4294967296',
  '0.5',
  'null',
];

/** Exchanges one run of digits, where a text holds one. */
function otherDigits(bytes: Buffer, random: Random): Buffer {
  const text = bytes.toString('latin1');
  const runs = [...text.slice(0, 100_000).matchAll(/\d+/g)];
  const run = runs[random(runs.length)];
  if (run === undefined) return bytes;
  return Buffer.from(text.slice(0, run.index) + pick(digits, random) + text.slice(run.index + run[0].length), 'latin1');
}

const words = [
  '"__proto__":',
  '"constructor":{"prototype":{}}',
  '[[[[[[[[',
  '{"a":{"a":',
  '\u0000',
  '\ufeff',
  '\u202e',
  '\\ud800',
  '%00',
  '%',
  '../',
  '/',
  '@',
  ':',
  '\n',
  '\r\n',
  '"',
  "'",
  '=',
  '$',
  '0x',
  '\u00ff\u00fe',
];

export function pick<T>(all: readonly T[], random: Random): T {
  return all[random(all.length)] as T;
}
