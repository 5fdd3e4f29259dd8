/**
 * What the previous backup of the target holds, for finding chunks again. Its indexes can be large, so
 * only a bounded number of parts is held: streams keep their order from one backup to the next, so
 * the parts of the same artifact around the same position are looked in, and all parts while they fit.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { Storage } from '../../storage/storage.ts';
import { boxKind } from '../box/layout.ts';
import { openBox } from '../box/box.ts';
import type { DataKey } from '../box/crypto.ts';
import { IndexPart, packKey, type ChunkPlace } from './index-part.ts';
import { decodePackTable, type PackUse } from './usage.ts';

/**
 * What earlier backups must tell: their artifacts (each name once) with the objects of their index parts, and their
 * tables of packs.
 */
export interface ParentBackup {
  readonly artifacts: readonly {
    readonly name: string;
    readonly index: readonly { readonly object: string; readonly chunks: number }[];
  }[];
  readonly packTables: readonly Buffer[];
}

/** Records held at once: about 20 MiB. */
const maxRecords = 262_144;

interface PartRef {
  readonly object: string;
  readonly chunks: number;
}

export class ParentIndex {
  readonly #storage: Storage;
  readonly #dataKey: DataKey | undefined;
  readonly #artifacts: ReadonlyMap<string, readonly PartRef[]>;
  readonly #usable = new Map<string, PackUse>();
  readonly #loaded = new Map<string, PartTable>();
  readonly #loading = new Map<string, Promise<void>>();
  readonly #retained = new Map<string, Promise<boolean>>();
  readonly #fitsWhole: boolean;
  readonly #onDamage: (message: string) => void;
  #records = 0;

  /** `onDamage` is told of index parts that cannot be read; their chunks are then stored anew. */
  constructor(
    storage: Storage,
    dataKey: DataKey | undefined,
    parent: ParentBackup,
    onDamage: (message: string) => void,
  ) {
    this.#onDamage = onDamage;
    this.#storage = storage;
    this.#dataKey = dataKey;
    this.#artifacts = new Map(parent.artifacts.map((artifact) => [artifact.name, artifact.index]));
    this.#fitsWhole =
      parent.artifacts.flatMap((artifact) => artifact.index).reduce((sum, part) => sum + part.chunks, 0) <= maxRecords;
    for (const pack of parent.packTables.flatMap((table) => [...decodePackTable(table)])) {
      // A mostly dead pack is not kept alive any longer: its few chunks are stored anew.
      if (pack.usedBytes * 4 >= pack.objectBytes) this.#usable.set(pack.packId.toString('latin1'), pack);
    }
  }

  /** Loads what is likely to be asked for next: the parts of `artifact` around chunk number `position`. */
  async prepare(artifact: string, position: number): Promise<void> {
    const wanted = this.#fitsWhole ? [...this.#artifacts.values()].flat() : this.#around(artifact, position);
    for (const part of wanted) await this.#load(part, wanted);
  }

  /** Where the parent has this chunk, if its pack may be used. */
  find(id: Buffer): ChunkPlace | undefined {
    for (const part of this.#loaded.values()) {
      const place = part.find(id);
      if (place !== undefined && this.#usable.has(place.packId.toString('latin1'))) return place;
    }
    return undefined;
  }

  /**
   * Sees to it that a pack which `find` has named is retained as long as the new backup. False: it cannot be, so its
   * chunks are to be stored anew, and `find` names it no more.
   */
  async retain(packId: Buffer): Promise<boolean> {
    const { retention } = this.#storage;
    if (retention === undefined) return true;
    const id = packId.toString('latin1');
    let retained = this.#retained.get(id);
    if (retained === undefined) this.#retained.set(id, (retained = this.#extend(id, retention.untilMs)));
    return retained;
  }

  async #extend(id: string, untilMs: number): Promise<boolean> {
    const pack = this.#usable.get(id);
    if (pack === undefined) return false;
    if (pack.lockedUntil * 1000 >= untilMs) return true;
    if ((await this.#storage.extendRetention?.(packKey(pack.packId), untilMs, pack.objectBytes)) !== true) {
      this.#usable.delete(id);
      return false;
    }
    this.#usable.set(id, { ...pack, lockedUntil: untilMs / 1000 });
    return true;
  }

  /** The parent's entry of a pack that `find` has named. */
  pack(packId: Buffer): PackUse | undefined {
    return this.#usable.get(packId.toString('latin1'));
  }

  #around(artifact: string, position: number): PartRef[] {
    const parts = this.#artifacts.get(artifact) ?? [];
    let first = 0;
    let n = 0;
    while (n < parts.length - 1 && first + (parts[n] as PartRef).chunks <= position) {
      first += (parts[n++] as PartRef).chunks;
    }
    return parts.slice(Math.max(0, n - 1), n + 2);
  }

  async #load(part: PartRef, wanted: readonly PartRef[]): Promise<void> {
    if (this.#loaded.has(part.object)) return;
    let loading = this.#loading.get(part.object);
    if (loading === undefined) {
      loading = this.#read(part, wanted).finally(() => this.#loading.delete(part.object));
      this.#loading.set(part.object, loading);
    }
    await loading;
  }

  async #read(part: PartRef, wanted: readonly PartRef[]): Promise<void> {
    const table = await this.#table(part);
    for (const [object, old] of this.#loaded) {
      if (this.#records + table.chunks <= maxRecords) break;
      if (wanted.some((other) => other.object === object)) continue;
      this.#loaded.delete(object);
      this.#records -= old.chunks;
    }
    this.#loaded.set(part.object, table);
    this.#records += table.chunks;
  }

  async #table({ object }: PartRef): Promise<PartTable> {
    try {
      return new PartTable(await openBox(await this.#storage.get(object), boxKind.index, object, this.#dataKey));
    } catch (error) {
      if (!(error instanceof LifeboatError) || !['integrity', 'not_found'].includes(error.code)) throw error;
      this.#onDamage(`${object} of the previous backup cannot be used (${error.message}); run: lifeboat validate`);
      return new PartTable(Buffer.alloc(8));
    }
  }
}

/** A part with a hash table over its ids. */
class PartTable {
  readonly #part: IndexPart;
  readonly #slots: Uint32Array;

  constructor(bytes: Buffer) {
    this.#part = new IndexPart(bytes);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(this.#part.chunks * 2 + 2)));
    for (let n = 0; n < this.#part.chunks; n++) {
      let slot = this.#slotOf(this.#part.id(n));
      while (this.#slots[slot] !== 0) slot = (slot + 1) % this.#slots.length;
      this.#slots[slot] = n + 1;
    }
  }

  get chunks(): number {
    return this.#part.chunks;
  }

  find(id: Buffer): ChunkPlace | undefined {
    for (let slot = this.#slotOf(id); this.#slots[slot] !== 0; slot = (slot + 1) % this.#slots.length) {
      const n = (this.#slots[slot] as number) - 1;
      if (this.#part.id(n).equals(id)) return this.#part.record(n);
    }
    return undefined;
  }

  #slotOf(id: Buffer): number {
    return id.readUInt32LE(0) % this.#slots.length;
  }
}
