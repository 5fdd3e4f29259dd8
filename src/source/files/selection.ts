/**
 * What of a backup is restored. A selection is a first pass over the catalog (does every wanted path
 * exist? which contents do hard links need that were stored under a name outside of it?) and a second
 * one that yields the entries to write, in the order of the tree. Memory grows with such hard links only.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { PlacedEntry } from './catalog.ts';
import { decodeName, displayPath, isWithin } from './names.ts';
import { compilePatterns, hasWildcard } from './pattern.ts';

/** An entry to write. */
export interface WantedEntry {
  /** Where its header and content lie. */
  readonly entry: PlacedEntry;
  /**
   * Where it goes; differs from the entry's own path when a hard link's content is fetched from outside of the
   * selection.
   */
  readonly path: Buffer;
  readonly link: Buffer | undefined;
  /** Not selected itself, only the way to what is; written from the catalog alone. */
  readonly isWay: boolean;
}

export interface SelectionTotals {
  readonly entries: number;
  readonly contentBytes: number;
  readonly hasSparse: boolean;
}

type Selector = (path: Buffer) => boolean;
type Catalog = () => AsyncIterable<PlacedEntry>;

/** Needed content that is stored under a path that is not selected. */
interface Outside {
  placed?: PlacedEntry;
  writtenAs?: Buffer;
}

export class Selection {
  readonly #isSelected: Selector;
  readonly #outside = new Map<string, Outside>();
  readonly totals: SelectionTotals;

  private constructor(isSelected: Selector, outside: ReadonlySet<string>, totals: SelectionTotals) {
    this.#isSelected = isSelected;
    this.totals = totals;
    for (const path of outside) this.#outside.set(path, {});
  }

  /**
   * Reads the catalog once, twice where a path looks like a pattern. `paths`: with or without a leading slash; a file,
   * a folder with all that is in it, or a pattern of the whole path; what names something in the backup is that name,
   * and no pattern. Throws not_found for one that matches nothing.
   */
  static async plan(catalog: Catalog, paths: readonly string[] | undefined, within: Buffer): Promise<Selection> {
    const names = await namesAmong(paths?.filter(hasWildcard) ?? [], catalog);
    const selectors = paths?.map((path) => selectorOf(path, names.has(path)));
    const used = new Set<number>();
    const isSelected: Selector = (path) => {
      if (!isWithin(path, within)) return false;
      if (selectors === undefined) return true;
      let selected = false;
      for (const [index, selector] of selectors.entries()) {
        if (!selector(path)) continue;
        used.add(index);
        selected = true;
      }
      return selected;
    };
    const outside = new Set<string>();
    const totals = { entries: 0, contentBytes: 0, hasSparse: false };
    for await (const entry of catalog()) {
      if (!isSelected(entry.path)) continue;
      totals.entries++;
      totals.contentBytes += entry.size;
      totals.hasSparse ||= entry.sparse;
      if (entry.type === 'hardlink' && entry.link !== undefined && !isSelected(entry.link)) {
        outside.add(entry.link.toString('latin1'));
      }
    }
    const missing = paths?.filter((_, index) => !used.has(index)) ?? [];
    if (missing.length > 0 || totals.entries === 0) {
      const names = missing.length > 0 ? missing.join(', ') : displayPath(within);
      throw new LifeboatError('not_found', `cannot restore ${names}: no such path in the backup`, {
        state: 'nothing was changed',
        hint: 'paths are those of the backed-up host, such as /srv/uploads/a.txt; patterns need quotes',
      });
    }
    return new Selection(isSelected, outside, totals);
  }

  /** What to write, in order: each folder on the way comes before what is in it. */
  async *wanted(catalog: Catalog): AsyncGenerator<WantedEntry> {
    let way: PlacedEntry[] = [];
    for await (const entry of catalog()) {
      way = way.filter((folder) => isWithin(entry.path, folder.path));
      if (this.#isSelected(entry.path)) {
        for (const folder of way.splice(0)) yield { entry: folder, path: folder.path, link: undefined, isWay: true };
        yield this.#resolve(entry);
        continue;
      }
      if (entry.type === 'folder') way.push(entry);
      const outside = this.#outside.get(entry.path.toString('latin1'));
      if (outside !== undefined) outside.placed = entry;
    }
  }

  /**
   * A hard link to something that is not selected: the first such link gets the content, the others link to the first.
   */
  #resolve(entry: PlacedEntry): WantedEntry {
    const plain = { entry, path: entry.path, link: entry.link, isWay: false };
    const outside =
      entry.type === 'hardlink' && entry.link !== undefined
        ? this.#outside.get(entry.link.toString('latin1'))
        : undefined;
    if (outside === undefined) return plain;
    if (outside.writtenAs !== undefined) return { ...plain, link: outside.writtenAs };
    if (outside.placed?.type !== 'file') {
      throw new LifeboatError(
        'integrity',
        `cannot restore ${displayPath(entry.path)}: it is a link to a file that is not in the backup`,
      );
    }
    outside.writtenAs = entry.path;
    return { entry: outside.placed, path: entry.path, link: undefined, isWay: false };
  }
}

/** Those that something in the backup is called: `a[1].txt` then is that file, and not `a1.txt`. */
async function namesAmong(paths: readonly string[], catalog: Catalog): Promise<Set<string>> {
  const names = new Set<string>();
  if (paths.length === 0) return names;
  for await (const entry of catalog()) {
    for (const path of paths) if (isWithin(entry.path, Buffer.from(bareOf(path)))) names.add(path);
    if (names.size === paths.length) break;
  }
  return names;
}

function bareOf(path: string): string {
  return path.replace(/^\/+/, '').replace(/\/+$/, '');
}

function selectorOf(text: string, isName: boolean): Selector {
  const path = bareOf(text);
  const bytes = Buffer.from(path);
  if (isName || !hasWildcard(path)) return (candidate) => isWithin(candidate, bytes);
  const matches = compilePatterns([`/${path}`]);
  // A folder that matches stands for all that is in it.
  return (candidate) => {
    if (isWithin(candidate, bytes)) return true;
    const components = decodeName(candidate).split('/');
    return components.some((_, index) => matches(components.slice(0, index + 1), false));
  };
}

/** Entries whose bytes lie close together, to be read by one request; without a range: all of the tar. */
export interface Batch {
  readonly range: { readonly start: number; readonly end: number } | undefined;
  readonly entries: AsyncIterable<WantedEntry> | Iterable<WantedEntry>;
}

/** Reading over a gap this small is cheaper than another request. */
const gapBytes = 1024 * 1024;
const batchEntries = 1000;

/** Groups entries into batches of neighbours. */
export async function* batchesOf(wanted: AsyncIterable<WantedEntry>): AsyncGenerator<Batch> {
  let entries: WantedEntry[] = [];
  let range: { start: number; end: number } | undefined;
  for await (const next of wanted) {
    const { offset, endOffset } = next.entry;
    const isNear = next.isWay || range === undefined || (offset >= range.end && offset - range.end <= gapBytes);
    if (entries.length >= batchEntries || !isNear) {
      yield { range: range ?? { start: 0, end: 0 }, entries };
      entries = [];
      range = undefined;
    }
    entries.push(next);
    if (!next.isWay) range = { start: range?.start ?? offset, end: endOffset };
  }
  if (entries.length > 0) yield { range: range ?? { start: 0, end: 0 }, entries };
}
