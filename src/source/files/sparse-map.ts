/**
 * Where a file with holes has data, and how a tar says so: GNU tar's sparse format 1.0, in which the stretches that
 * hold data follow one another behind a map of them, so that a hole of a terabyte costs nothing. GNU tar, bsdtar and
 * Python's tarfile extract it. Source: "Storing Sparse Files", appendix of the manual of GNU tar.
 */
import { paddingOf } from './ustar-block.ts';

/** A stretch of a file, byte offsets. */
export interface Stretch {
  readonly start: number;
  /** First byte behind it. */
  readonly end: number;
}

export interface SparseMap {
  /** Of the file, bytes. */
  readonly length: number;
  /** In order and apart from each other; all else is zeros. Starts are whole blocks of a tar, and so are inner ends. */
  readonly data: readonly Stretch[];
}

/** More stretches than this are never recorded: neighbours become one. */
export const maxStretches = 4096;

/**
 * The map as it stands in front of the data: decimal numbers in a line each, filled up to a whole block; nothing where
 * there is none.
 */
export function encodeSparseMap(map: SparseMap | undefined): Buffer {
  if (map === undefined) return Buffer.alloc(0);
  // An end behind the last data is told by an empty stretch.
  const isOpen = (map.data.at(-1)?.end ?? 0) < map.length;
  const stretches = isOpen ? [...map.data, { start: map.length, end: map.length }] : map.data;
  const lines = [stretches.length, ...stretches.flatMap(({ start, end }) => [start, end - start])];
  const text = Buffer.from(`${lines.join('\n')}\n`);
  return Buffer.concat([text, Buffer.alloc(paddingOf(text.length))]);
}

/** Bytes of all stretches together. */
export function dataBytes({ data }: SparseMap): number {
  return data.reduce((sum, { start, end }) => sum + end - start, 0);
}

/** What of `stretches` lies in a hole of the map. */
export function* inHoles(stretches: Iterable<Stretch>, { data }: SparseMap): Generator<Stretch> {
  let next = 0;
  for (const { start, end } of stretches) {
    for (let at = start; at < end;) {
      while ((data[next]?.end ?? Infinity) <= at) next++;
      const known = data[next] ?? { start: Infinity, end: Infinity };
      if (at < known.start) yield { start: at, end: Math.min(end, known.start) };
      at = known.end;
    }
  }
}

/** Gathers stretches that come in order, and keeps few: those with the smallest holes between them become one. */
export class StretchList {
  readonly #stretches: Stretch[] = [];
  #minHoleBytes: number;

  /** Holes of fewer bytes are taken for data. */
  constructor(minHoleBytes: number) {
    this.#minHoleBytes = minHoleBytes;
  }

  add(next: Stretch): void {
    const last = this.#stretches.at(-1);
    if (last !== undefined && next.start - last.end < this.#minHoleBytes) {
      this.#stretches[this.#stretches.length - 1] = { start: last.start, end: Math.max(last.end, next.end) };
      return;
    }
    this.#stretches.push(next);
    while (this.#stretches.length > maxStretches) this.#coarsen();
  }

  get(): readonly Stretch[] {
    return this.#stretches;
  }

  #coarsen(): void {
    this.#minHoleBytes *= 2;
    for (const stretch of this.#stretches.splice(0)) this.add(stretch);
  }
}
