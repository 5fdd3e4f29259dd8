/**
 * Where the value of a key ends. Each type's layout is a small program of units (strings, lengths, fixed
 * bytes, loops); a skipper runs it over the buffer and stops when it needs more bytes, so that a value of
 * any size passes through in pieces and hostile counts cost nothing but the end of the file.
 */
import { damaged } from './input.ts';
import type { RdbInput } from './input.ts';
import { headerBytes, readByte, readLength, readStringHeader } from './lengths.ts';

/** Redis' types as TYPE names them. */
export type RedisType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream' | 'module';

/** A string; a length; a double in text; the annotated fields of a module; n bytes; a counted loop. */
type Unit = 'string' | 'length' | 'double' | 'module' | number | readonly Unit[];

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
 * consumers.
 */
function stream(version: 1 | 2 | 3): readonly Unit[] {
  const more: readonly Unit[] = ['length', 'length', 'length', 'length', 'length'];
  const pending: Unit = [16, 8, 'length'];
  const consumer: Unit = ['string', ...(version === 3 ? [8, 8] : [8]), [16]];
  const group: Unit = ['string', 'length', 'length', ...(version === 1 ? [] : ['length' as const]), pending, consumer];
  return [['string', 'string'], 'length', 'length', 'length', ...(version === 1 ? [] : more), group];
}

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

/** Hashes whose fields expire, Redis 7.4 on: before the release without, later with the nearest expiry in front. */
const redisLayouts: Readonly<Record<number, Layout>> = {
  22: { type: 'hash', units: [['length', 'string', 'string']] },
  23: { type: 'hash', units: one },
  24: { type: 'hash', units: [8, ['length', 'string', 'string']] },
  25: { type: 'hash', units: [8, 'string'] },
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

  #enter(units: readonly Unit[], rounds: number): void {
    this.#frames[this.#depth++] = { units, index: 0, rounds };
  }
}

const moduleInteger: readonly Unit[] = ['length'];

/** Old doubles: a length byte and digits; 253 to 255 are nan and the infinities. */
function doubleBytes(length: number): number {
  return length >= 253 ? 0 : length;
}

export const moduleAuxUnits: readonly Unit[] = ['length', 'length', 'length', 'module'];
export const slotInfoUnits: readonly Unit[] = ['length', 'length', 'length'];
