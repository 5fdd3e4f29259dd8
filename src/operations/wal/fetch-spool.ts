/**
 * Segments that were fetched ahead: files in the state folder, verified before they got their name, each handed out
 * once. A folder belongs to one repository, cluster and place of delivery.
 */
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCodeOf } from '../../lib/errors.ts';
import { syncFolder, writeFileAtomic } from '../../lib/fs.ts';

/** Puts a whole file in its place, durably. What a killed run left beside it is used again. */
export async function placeFile(path: string, body: Uint8Array): Promise<void> {
  const temporary = `${path}.lifeboat`;
  await using file = await open(temporary, 'w', 0o600);
  await file.writeFile(body);
  await file.sync();
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

  /** Moves a segment to `path`; false if it is not here. */
  async take(name: string, path: string): Promise<boolean> {
    const kept = join(this.#folder, name);
    try {
      await rename(kept, path);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return false;
      if (systemCodeOf(error) !== 'EXDEV') throw error;
      await copyDurably(kept, path);
      await rm(kept, { force: true });
    }
    await syncFolder(dirname(path));
    return true;
  }

  async keep(name: string, body: Uint8Array): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(this.#folder, name), body);
  }

  /** What is here is not what is asked for: the recovery is elsewhere by now. */
  async clear(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function copyDurably(from: string, to: string): Promise<void> {
  const temporary = `${to}.lifeboat-${randomBytes(4).toString('hex')}`;
  await copyFile(from, temporary);
  await using file = await open(temporary, 'r+');
  await file.sync();
  await rename(temporary, to);
}
