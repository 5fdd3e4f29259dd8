/** How much a backup has read and stored so far, by component, and the limit to it. */
import { LifeboatError } from '../../lib/errors.ts';

/** Bytes of a component so far: read from the source, of these new to the repository, and what they take there. */
export interface Totals {
  readBytes: number;
  newBytes: number;
  storedBytes: number;
}

/** The totals of all components of a backup. */
export class BackupTotals {
  readonly #maxStoredBytes: number | undefined;
  readonly #components = new Map<string, Totals>();

  /** `maxStoredBytes`: refuse to store more. */
  constructor(maxStoredBytes: number | undefined) {
    this.#maxStoredBytes = maxStoredBytes;
  }

  /** Those of a component, live. */
  of(component: string): Totals {
    let totals = this.#components.get(component);
    if (totals === undefined) {
      this.#components.set(component, (totals = { readBytes: 0, newBytes: 0, storedBytes: 0 }));
    }
    return totals;
  }

  /** Adds a chunk that was new. Throws `space` (15) over the limit. */
  addNew(component: string, plainBytes: number, storedBytes: number): void {
    const totals = this.of(component);
    totals.newBytes += plainBytes;
    totals.storedBytes += storedBytes;
    this.#guard();
  }

  #guard(): void {
    const limit = this.#maxStoredBytes;
    if (limit === undefined) return;
    let stored = 0;
    for (const totals of this.#components.values()) stored += totals.storedBytes;
    if (stored <= limit) return;
    throw new LifeboatError('space', `the backup stores more than ${limit} bytes, the limit that is set`, {
      state: 'no backup was recorded',
      hint: 'raise MAX_BACKUP_SIZE_MB or --max-size if this growth is meant',
    });
  }
}
