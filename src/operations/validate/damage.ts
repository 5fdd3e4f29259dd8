/** The book of what a check has found: damaged objects, and which backups and artifacts each of them touches. */
import { LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import { NotFoundError, StorageError, type Storage } from '../../storage/storage.ts';
import type { DamageKind } from './request.ts';
import { reasonFor } from '../../repository/box/seal.ts';

/** Why one object is not as it was written. */
export interface Fault {
  readonly kind: DamageKind;
  readonly problem: string;
}

/** Bytes of an artifact that cannot be read, from `start` to `end` (exclusive). */
export interface LostRange {
  start: number;
  end: number;
}

export interface Touched {
  whole: boolean;
  /** By artifact name; 'all' where its length of damage cannot be told. */
  readonly artifacts: Map<string, LostRange[] | 'all'>;
}

export interface BookEntry extends Fault {
  readonly object: string;
  readonly touched: Map<string, Touched>;
}

/** With more holes than this in one artifact, the last one grows. */
const maxRanges = 1000;

export class DamageBook {
  readonly #entries = new Map<string, BookEntry>();

  /** The first fault of an object is what is told of it. */
  add(object: string, fault: Fault): void {
    if (!this.#entries.has(object)) this.#entries.set(object, { object, ...fault, touched: new Map() });
  }

  /** The backup uses the object. */
  touch(object: string, backupId: string): Touched {
    const entry = this.#entries.get(object);
    if (entry === undefined) throw new Error(`nothing was found of ${object}`);
    let touched = entry.touched.get(backupId);
    if (touched === undefined) entry.touched.set(backupId, (touched = { whole: false, artifacts: new Map() }));
    return touched;
  }

  /** None of the backup can be restored. */
  touchWhole(object: string, backupId: string): void {
    this.touch(object, backupId).whole = true;
  }

  /** Neighbouring ranges become one. */
  touchArtifact(object: string, backupId: string, artifact: string, range: LostRange | 'all'): void {
    const { artifacts } = this.touch(object, backupId);
    const known = artifacts.get(artifact);
    if (known === 'all') return;
    if (range === 'all' || known === undefined) {
      artifacts.set(artifact, range === 'all' ? 'all' : [{ ...range }]);
      return;
    }
    const last = known.at(-1);
    if (last !== undefined && (last.end === range.start || known.length >= maxRanges)) last.end = range.end;
    else known.push({ ...range });
  }

  /** By object. */
  entries(): BookEntry[] {
    return [...this.#entries.values()].toSorted((a, b) => (a.object < b.object ? -1 : 1));
  }

  /** What touches one backup. */
  of(backupId: string): BookEntry[] {
    return this.entries().filter(({ touched }) => touched.has(backupId));
  }

  /** For a backup that has gone meanwhile: what was found of it is no damage. */
  forget(backupId: string): void {
    for (const [object, { touched }] of this.#entries) {
      if (touched.delete(backupId) && touched.size === 0) this.#entries.delete(object);
    }
  }
}

/**
 * Reads an object and checks it; resolves to what is wrong with it. Throws what is a failure of the storage, not of the
 * object.
 */
export async function faultOf(
  storage: Storage,
  object: string,
  check: (bytes: Buffer) => void | Promise<void>,
): Promise<Fault | undefined> {
  try {
    await check(await storage.get(object));
    return undefined;
  } catch (error) {
    return asFault(error, object);
  }
}

/** What an error says of an object; throws it again where it says nothing of it. */
export function asFault(error: unknown, object: string): Fault {
  if (error instanceof SizeError) return { kind: 'size', problem: error.message };
  if (error instanceof NotFoundError) return { kind: 'missing', problem: 'it is missing' };
  // A disk that cannot read one file is damage of that file; the others may be fine.
  if (error instanceof StorageError && systemCodeOf(error.cause) === 'EIO') {
    return { kind: 'damaged', problem: messageOf(error) };
  }
  if (error instanceof LifeboatError && error.code === 'integrity') {
    return { kind: 'damaged', problem: reasonFor(object, error) };
  }
  throw error;
}

/** Told apart from other damage: the object has another length than was recorded. */
export class SizeError extends LifeboatError {
  override readonly name = 'SizeError';

  constructor(bytes: number, expected: number) {
    super('integrity', `it has ${bytes} bytes, not ${expected}`);
  }
}
