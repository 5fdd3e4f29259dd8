/**
 * Segments that were fetched ahead: files in the state folder, verified before they got their name, each handed out
 * once. A folder belongs to one repository, cluster and place of delivery.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCodeOf } from '../../lib/errors.ts';
import { fileError, stateFolderHint, tellingFileErrors } from '../../lib/file-errors.ts';
import { ensureFolder, syncFolder, writeFileAtomic } from '../../lib/fs.ts';
import { removeFile, writeNewFile } from '../../lib/held-files.ts';
import { HeldFolder } from '../../lib/held-folder.ts';
import { removeTree } from '../../lib/remove-tree.ts';

const targetHint = 'run it as the user of the server, with room at the place that it names (%p)';

/**
 * Puts a whole file in its place, durably. What a killed run left beside it is used again. Throws LifeboatError `usage`
 * (2) where this user may not write there, `space` (15).
 */
export async function placeFile(path: string, body: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
  await tellingFileErrors(`cannot write ${path}`, { hint: targetHint }, async () => writeWhole(path, body));
}

async function writeWhole(path: string, body: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = `${path}.lifeboat`;
  await removeFile(temporary);
  await writeNewFile(temporary, body, { flush: true });
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

export class WalSpool {
  readonly #folder: string;

  /** `identity`: whatever makes segments of one name different ones. */
  constructor(stateDir: string, identity: readonly unknown[]) {
    const name = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32);
    this.#folder = join(stateDir, 'wal', 'fetched', name);
  }

  /** Moves a segment to `path`; false if it is not here. Throws LifeboatError `usage` (2), `space` (15). */
  async take(name: string, path: string): Promise<boolean> {
    const kept = join(this.#folder, name);
    try {
      await move(kept, path);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return false;
      throw fileError(error, `cannot move ${kept} to ${path}`, { hint: targetHint });
    }
    return true;
  }

  async keep(name: string, body: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    await tellingFileErrors(`cannot write to ${this.#folder}`, { hint: stateFolderHint }, async () => {
      await ensureFolder(this.#folder);
      await writeFileAtomic(join(this.#folder, name), body);
    });
  }

  /** What is here is not what is asked for: the recovery is elsewhere by now. */
  async clear(): Promise<void> {
    await tellingFileErrors(`cannot empty ${this.#folder}`, { hint: stateFolderHint }, async () => {
      // The one that is there now, and no other, also where the state folder is another user's.
      using folder = HeldFolder.openIfThere(this.#folder);
      if (folder !== undefined) await removeTree(this.#folder, folder.stat());
    });
  }
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (systemCodeOf(error) !== 'EXDEV') throw error;
    await copyDurably(from, to);
    await removeFile(from);
  }
  await syncFolder(dirname(to));
}

async function copyDurably(from: string, to: string): Promise<void> {
  const temporary = `${to}.lifeboat-${randomBytes(4).toString('hex')}`;
  await writeNewFile(temporary, createReadStream(from), { flush: true });
  await rename(temporary, to);
}
