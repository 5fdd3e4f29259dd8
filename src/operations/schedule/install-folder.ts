/**
 * Units in a folder of the system (/etc/cron.d, systemd's): one file each, which our mark makes ours. Others have files
 * there, too, which are neither read nor touched; and a folder in which other users can exchange files is refused.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import { fileError } from '../../lib/file-errors.ts';
import { writeFileAtomic } from '../../lib/fs.ts';
import { readTextAt, removeFile } from '../../lib/held-files.ts';
import { HeldFolder } from '../../lib/held-folder.ts';
import { configurationOf, markOf, notOurs } from './install-mark.ts';
import { changedMeanwhile, type Place, type PlacedChange } from './install-place.ts';
import type { PrintedFile } from './request.ts';

export interface UnitFolder {
  /** Absolute. */
  readonly path: string;
  /** Made where it is missing. */
  readonly isOurs: boolean;
  /** What belongs there, where it is missing. */
  readonly of: string;
}

const maxBytes = 1024 * 1024;
const unchanged = 'nothing was changed';

export class FolderPlace implements Place {
  readonly #folder: UnitFolder;
  readonly #file: string;

  /** `file`: of the configuration. */
  constructor(folder: UnitFolder, file: string) {
    this.#folder = folder;
    this.#file = file;
  }

  async plan(wanted: readonly PrintedFile[]): Promise<readonly PlacedChange[]> {
    const { path } = this.#folder;
    const found = await this.#telling(`cannot read the folder ${path}`, async () => this.#found(wanted));
    const after = new Map(wanted.map(({ name, text }) => [name, `${markOf(this.#file)}\n${text}`]));
    const gone = [...found.keys()].filter((name) => !after.has(name));
    return [...after.keys(), ...gone]
      .map((name) => ({ path: join(path, name), before: found.get(name), after: after.get(name) }))
      .filter(({ before, after: now }) => before !== now);
  }

  async apply({ path, before, after }: PlacedChange): Promise<void> {
    await this.#telling(`cannot ${after === undefined ? 'remove' : 'write'} ${path}`, async () => {
      using _ = this.#open('made');
      const isThere = fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
      const now = isThere ? await readTextAt(path, maxBytes) : undefined;
      if (now !== before) throw changedMeanwhile(path);
      await (after === undefined ? removeFile(path) : writeFileAtomic(path, after, 0o644));
    });
  }

  /** Ours by their names. */
  async #found(wanted: readonly PrintedFile[]): Promise<Map<string, string>> {
    using folder = this.#open(wanted.length > 0 ? 'needed' : 'optional');
    const found = new Map<string, string>();
    if (folder === undefined) return found;
    const names = new Set(wanted.map(({ name }) => name));
    for (const entry of fs.readdirSync(folder.child('.'), { withFileTypes: true })) {
      const { name } = entry;
      if (!names.has(name) && !/^lifeboat-[a-z0-9-]+(?:\.(?:service|timer))?$/.test(name)) continue;
      const path = join(this.#folder.path, name);
      const text = entry.isFile() && isOfTrusted(path) ? await readTextAt(path, maxBytes) : '';
      const of = configurationOf(text);
      if (of === this.#file) found.set(name, text);
      else if (names.has(name)) throw notOurs(path, of);
    }
    return found;
  }

  /** Undefined: it is not there, and need not be yet. */
  #open(how: 'optional' | 'needed' | 'made'): HeldFolder | undefined {
    const { path, isOurs, of } = this.#folder;
    const folder =
      isOurs && how === 'made' ? HeldFolder.open(path, { create: true, mode: 0o755 }) : HeldFolder.openIfThere(path);
    if (folder === undefined && how !== 'optional' && !isOurs) {
      throw new LifeboatError('usage', `cannot install schedules: there is no ${path}`, {
        state: unchanged,
        hint: `install ${of}, or see what lifeboat schedule print writes`,
      });
    }
    if (folder === undefined || folder.isSafe) return folder;
    folder[Symbol.dispose]();
    throw new LifeboatError('usage', `cannot install schedules: other users can exchange what is in ${path}`, {
      state: unchanged,
      hint: 'take them the right to write there, and in the folders above it',
    });
  }

  async #telling<T>(act: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw fileError(error, act);
    }
  }
}

/** What another user can write to says nothing, whatever stands in it. */
function isOfTrusted(path: string): boolean {
  const { uid, mode } = fs.lstatSync(path);
  return (uid === 0 || uid === process.geteuid?.()) && (mode & 0o022) === 0;
}
