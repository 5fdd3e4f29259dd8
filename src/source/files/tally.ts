/** Counts what a backup of files stored, and keeps the first names of what was not as it should be. */
import type { EventSink } from '../../lib/events.ts';
import type { CatalogEntry } from './catalog.ts';
import type { FilesFacts } from './facts.ts';
import { displayPath } from './names.ts';

export type TroubleKind = 'changed' | 'vanished' | 'unreadable' | 'unsupported' | 'unlinked';

const maxNames = 1000;
/** So many warnings are told one by one; the rest in one line at the end. */
const maxWarnings = 100;

const wording: Readonly<Record<TroubleKind, string>> = {
  changed: 'changed while it was read',
  vanished: 'vanished before it was read',
  unreadable: 'could not be read',
  unsupported: 'is not backed up',
  unlinked: 'is stored once for each of its names: too many files have several',
};

export class Tally {
  readonly #emit: EventSink;
  readonly #troubles: Record<TroubleKind, { count: number; paths: string[] }>;
  readonly counts = {
    files: 0,
    folders: 0,
    symlinks: 0,
    hardlinks: 0,
    devices: 0,
    sparseFiles: 0,
    contentBytes: 0,
    tarBytes: 0,
    catalogBytes: 0,
  };

  constructor(emit: EventSink) {
    this.#emit = emit;
    const none = (): { count: number; paths: string[] } => ({ count: 0, paths: [] });
    this.#troubles = { changed: none(), vanished: none(), unreadable: none(), unsupported: none(), unlinked: none() };
  }

  /** Records a trouble and warns of it: the run ends with exit code 3. */
  trouble(kind: TroubleKind, member: Buffer, reason: string): void {
    const list = this.#troubles[kind];
    const path = displayPath(Buffer.concat([Buffer.from('/'), member]));
    list.count++;
    if (list.paths.length < maxNames) list.paths.push(path);
    if (list.count <= maxWarnings) this.warn(`${path} ${wording[kind]}${reason === '' ? '' : `: ${reason}`}`);
  }

  warn(message: string): void {
    this.#emit({ type: 'warning', component: 'files', message });
  }

  /** Tells how many warnings were held back. */
  end(): void {
    for (const [kind, { count }] of Object.entries(this.#troubles)) {
      if (count > maxWarnings) {
        this.warn(
          `${count - maxWarnings} more paths: ` +
            `${wording[kind as TroubleKind]}; the backup's facts name up to ${maxNames}`,
        );
      }
    }
  }

  entry(entry: CatalogEntry): void {
    const names = {
      file: 'files',
      folder: 'folders',
      symlink: 'symlinks',
      hardlink: 'hardlinks',
      char: 'devices',
      block: 'devices',
    } as const;
    this.counts[names[entry.type]]++;
    this.counts.contentBytes += entry.size;
    if (entry.sparse) this.counts.sparseFiles++;
  }

  facts(): Omit<FilesFacts, 'roots' | 'fingerprint'> {
    return { ...this.counts, ...this.#troubles };
  }
}
