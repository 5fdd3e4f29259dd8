/**
 * Where the value of a key ends. Each type's layout is a small program of units (strings, lengths, fixed
 * bytes, loops); a skipper runs it over the buffer and stops when it needs more bytes, so that a value of
 * any size passes through in pieces and hostile counts cost nothing but the end of the file.
 */
import { damaged } from './input.ts';
import type { RdbInput } from './input.ts';
import { headerBytes, readByte, readLength, readStringHeader } from './lengths.ts';

/** Redis' types as TYPE names them. */
export type RedisType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream' | 'module' | 'array';

/**
 * A string; a length; a double in text; the annotated fields of a module; a number or string behind its tag; all of an
 * array; n bytes; a counted loop.
 */
type Unit = 'string' | 'length' | 'double' | 'module' | 'tagged' | 'array' | number | readonly Unit[];

interface Layout {
  readonly type: RedisType;
  readonly units: readonly Unit[];
}

/** The layout of a type code, or undefined if this program does not know it. `valkey`: the file's magic is VALKEY. */
export function layoutOf(code: number, valkey: boolean): Layout | undefined {
  return (valkey ? valkeyLayouts : redisLayouts)[code] ?? (code < 22 ? layouts[code] : undefined);
}

const one: readonly Unit[] = ['string'];
const strings: readonly Unit[] = [['string']];
const pairs: readonly Unit[] = [['string', 'string']];

/**
 * Stream: nodes, length, last id, [first id, greatest deleted id, entries added], groups with pending lists and
 * consumers; from version 4 on what is remembered of messages that producers have numbered, from 5 on the pending ones
 * that nobody has.
 */
function stream(version: 1 | 2 | 3 | 4 | 5): readonly Unit[] {
  const since = (first: number, ...units: readonly Unit[]): readonly Unit[] => (version < first ? [] : units);
  const consumer: Unit = ['string', ...since(3, 8), 8, [16]];
  const ids: readonly Unit[] = ['string', 'length', 'length', ...since(2, 'length')];
  const group: Unit = [...ids, [16, 8, 'length'], consumer, ...since(5, [16])];
  const nodes: readonly Unit[] = [['string', 'string'], 'length', 'length', 'length'];
  return [...nodes, ...since(2, 'length', 'length', 'length', 'length', 'length'), group, ...since(4, ...numbered)];
}

/** How long and how many are remembered; for each producer its numbers with the ids they got; numbers, repetitions. */
const numbered: readonly Unit[] = ['length', 'length', ['string', ['string', 'length', 'length']], 'length', 'length'];

const layouts: Readonly<Record<number, Layout>> = {
  0: { type: 'string', units: one },
  1: { type: 'list', units: strings },
  2: { type: 'set', units: strings },
  3: { type: 'zset', units: [['string', 'double']] },
  4: { type: 'hash', units: pairs },
  5: { type: 'zset', units: [['string', 8]] },
  7: { type: 'module', units: ['length', 'module'] },
  9: { type: 'hash', units: one },
  10: { type: 'list', units: one },
  11: { type: 'set', units: one },
  12: { type: 'zset', units: one },
  13: { type: 'hash', units: one },
  14: { type: 'list', units: strings },
  15: { type: 'stream', units: stream(1) },
  16: { type: 'hash', units: one },
  17: { type: 'zset', units: one },
  18: { type: 'list', units: [['length', 'string']] },
  19: { type: 'stream', units: stream(2) },
  20: { type: 'set', units: one },
  21: { type: 'stream', units: stream(3) },
};

/**
 * Hashes whose fields expire, Redis 7.4 on: before the release without, later with the nearest expiry in front. Streams
 * of 8.6, and streams and arrays of 8.8.
 */
const redisLayouts: Readonly<Record<number, Layout>> = {
  22: { type: 'hash', units: [['length', 'string', 'string']] },
  23: { type: 'hash', units: one },
  24: { type: 'hash', units: [8, ['length', 'string', 'string']] },
  25: { type: 'hash', units: [8, 'string'] },
  26: { type: 'stream', units: stream(4) },
  27: { type: 'stream', units: stream(5) },
  28: { type: 'array', units: ['array'] },
};

/** Valkey 9: the same code 22 means field, value and expiry time. */
const valkeyLayouts: Readonly<Record<number, Layout>> = { 22: { type: 'hash', units: [['string', 'string', 8]] } };

interface Frame {
  readonly units: readonly Unit[];
  index: number;
  rounds: number;
}

/** Passes over one value at a time; reused, since a file may hold a hundred million. */
export class ValueSkipper {
  readonly #input: RdbInput;
  readonly #frames: Frame[] = [];
  #depth = 0;
  #bytesLeft = 0;

  constructor(input: RdbInput) {
    this.#input = input;
  }

  /** Begins with the units of a layout. */
  start(units: readonly Unit[]): void {
    this.#depth = 0;
    this.#bytesLeft = 0;
    this.#enter(units, 1);
  }

  /** True: the value has been passed. False: it needs more bytes (fill the input and call again). */
  run(): boolean {
    const input = this.#input;
    for (;;) {
      if (!this.#passBytes()) return false;
      const frame = this.#frames[this.#depth - 1];
      if (frame === undefined || this.#depth === 0) return true;
      if (frame.index === frame.units.length) {
        frame.index = 0;
        if (--frame.rounds === 0) this.#depth--;
        continue;
      }
      if (input.available < headerBytes && !input.ended) return false;
      this.#pass(frame, frame.units[frame.index] as Unit);
    }
  }

  #passBytes(): boolean {
    const input = this.#input;
    const step = Math.min(this.#bytesLeft, input.available);
    input.at += step;
    this.#bytesLeft -= step;
    if (this.#bytesLeft > 0 && input.ended) throw damaged(input.offset, 'it ends in the middle of a value');
    return this.#bytesLeft === 0;
  }

  #pass(frame: Frame, unit: Unit): void {
    const input = this.#input;
    if (unit === 'module') return this.#passModuleField(frame);
    frame.index++;
    if (unit === 'string') this.#bytesLeft = readStringHeader(input).stored;
    else if (unit === 'length') readLength(input);
    else if (unit === 'double') this.#bytesLeft = doubleBytes(readByte(input));
    else if (unit === 'tagged') this.#passTagged();
    else if (unit === 'array') this.#passArray();
    else if (typeof unit === 'number') this.#bytesLeft = unit;
    else {
      const rounds = readLength(input);
      if (rounds > 0) this.#enter(unit, rounds);
    }
  }

  #passModuleField(frame: Frame): void {
    const input = this.#input;
    const opcode = readLength(input);
    if (opcode === 0) frame.index++;
    else if (opcode <= 2) this.#enter(moduleInteger, 1);
    else if (opcode === 3) this.#bytesLeft = 4;
    else if (opcode === 4) this.#bytesLeft = 8;
    else if (opcode === 5) this.#enter(one, 1);
    else throw damaged(input.offset, `unknown field ${opcode} in a module's value`);
  }

  /** A string, or a number of 8 bytes. */
  #passTagged(): void {
    const input = this.#input;
    const tag = readLength(input);
    if (tag > 3) throw damaged(input.offset, `unknown kind ${tag} of an array's element`);
    this.#bytesLeft = tag === 1 || tag === 2 ? 8 : readStringHeader(input).stored;
  }

  /** Their number, perhaps where the next one goes, and elements with their places. */
  #passArray(): void {
    const input = this.#input;
    const count = readLength(input);
    const hasNext = readLength(input);
    if (hasNext > 1) throw damaged(input.offset, `a flag of ${hasNext} in an array`);
    if (hasNext === 1) readLength(input);
    if (count > 0) this.#enter(arrayElement, count);
  }

  #enter(units: readonly Unit[], rounds: number): void {
    this.#frames[this.#depth++] = { units, index: 0, rounds };
  }
}

const moduleInteger: readonly Unit[] = ['length'];
const arrayElement: readonly Unit[] = ['length', 'tagged'];

/** Old doubles: a length byte and digits; 253 to 255 are nan and the infinities. */
function doubleBytes(length: number): number {
  return length >= 253 ? 0 : length;
}

/** What modules add to a key (Redis 8.6): for each class its name and fields. */
export const keyMetadataUnits: readonly Unit[] = [[4, 'module']];
/** A slot that is being taken over (Valkey 9): the job, and ranges. */
export const slotImportUnits: readonly Unit[] = ['string', ['length', 'length']];
export const moduleAuxUnits: readonly Unit[] = ['length', 'length', 'length', 'module'];
export const slotInfoUnits: readonly Unit[] = ['length', 'length', 'length'];
