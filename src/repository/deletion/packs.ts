/**
 * Which packs nobody names. The packs of a listing are held as 16-byte ids in the listing's order, which is that of
 * the ids, so that a table of packs is looked up by halving; with size, stamp and who names it a pack takes 32
 * bytes. A repository of more packs than fit at once is gone through in windows, one after the other along the
 * listing, each a pass of its own over leases and manifests: 2 million packs (32 TB) take 64 MB, and one pass.
 */
import type { Storage } from '../../storage/storage.ts';
import { packKey } from '../packs/index-part.ts';
import { decodePackTable } from '../packs/usage.ts';

export const defaultWindow = 2_000_000;

const nobody = -1;
const severalGoing = -2;
const kept = -3;

/** A pack of the listing that nobody names. */
export interface UnnamedPack {
  readonly key: string;
  readonly bytes: number;
}

export class PackWindow {
  /** Where the next window begins; undefined: this was the last. */
  readonly next: string | undefined;
  readonly #ids: Buffer;
  readonly #sizes: Uint32Array;
  /** Milliseconds since 1970. */
  readonly #stamps: Float64Array;
  readonly #namedBy: Int32Array;

  constructor(ids: Buffer, sizes: Uint32Array, stamps: Float64Array, next: string | undefined) {
    this.#ids = ids;
    this.#sizes = sizes;
    this.#stamps = stamps;
    this.#namedBy = new Int32Array(sizes.length).fill(nobody);
    this.next = next;
  }

  get count(): number {
    return this.#sizes.length;
  }

  /** Notes that a backup needs these packs: one that stays, or (by a number from 0 on) one that is to go later. */
  name(table: Buffer, by: number | 'stays'): void {
    for (const { packId } of decodePackTable(table)) {
      const n = this.#find(packId);
      if (n === undefined) continue;
      const before = this.#namedBy[n];
      if (by === 'stays') this.#namedBy[n] = kept;
      else if (before === nobody || before === by) this.#namedBy[n] = by;
      else if (before !== kept) this.#namedBy[n] = severalGoing;
    }
  }

  /** Those that nobody names and that were stored before `beforeMs`. */
  *unnamed(beforeMs: number): Generator<UnnamedPack> {
    for (let n = 0; n < this.count; n++) {
      if (this.#namedBy[n] !== nobody || (this.#stamps[n] ?? Infinity) >= beforeMs) continue;
      yield { key: packKey(this.#ids.subarray(n * 16, n * 16 + 16)), bytes: this.#sizes[n] ?? 0 };
    }
  }

  /**
   * Bytes of packs that only backups name which are to go: by its number what only that one names, and all together.
   */
  goingBytes(): { readonly by: ReadonlyMap<number, number>; readonly all: number } {
    const by = new Map<number, number>();
    let all = 0;
    for (let n = 0; n < this.count; n++) {
      const who = this.#namedBy[n] ?? nobody;
      if (who === nobody || who === kept) continue;
      all += this.#sizes[n] ?? 0;
      if (who >= 0) by.set(who, (by.get(who) ?? 0) + (this.#sizes[n] ?? 0));
    }
    return { by, all };
  }

  #find(id: Buffer): number | undefined {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = this.#ids.compare(id, 0, 16, middle * 16, middle * 16 + 16);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }
}

/** The next packs in the listing after the key `after`, at most `window`. Other objects below packs/ are left alone. */
export async function listPacks(
  storage: Storage,
  after: string | undefined,
  window: number = defaultWindow,
): Promise<PackWindow> {
  let room = Math.min(window, 4096);
  let ids = Buffer.alloc(room * 16);
  let sizes = new Uint32Array(room);
  let stamps = new Float64Array(room);
  let count = 0;
  let last: string | undefined;
  let more = false;
  for await (const { key, sizeBytes, modifiedMs } of storage.list('packs/', after)) {
    const match = /^packs\/([0-9a-f]{2})\/(\1[0-9a-f]{30})\.pack$/.exec(key);
    if (match?.[2] === undefined) continue;
    if (count === window) {
      more = true;
      break;
    }
    if (count === room) {
      room = Math.min(window, room * 2);
      ids = Buffer.concat([ids], room * 16);
      sizes = enlarged(sizes, new Uint32Array(room));
      stamps = enlarged(stamps, new Float64Array(room));
    }
    ids.write(match[2], count * 16, 'hex');
    sizes[count] = sizeBytes;
    stamps[count] = modifiedMs;
    count++;
    last = key;
  }
  return new PackWindow(
    ids.subarray(0, count * 16),
    sizes.slice(0, count),
    stamps.slice(0, count),
    more ? last : undefined,
  );
}

function enlarged<T extends Uint32Array | Float64Array>(before: T, after: T): T {
  after.set(before);
  return after;
}
