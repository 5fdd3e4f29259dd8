/** What killed runs left beside the objects: half-written temporaries and lock files. */
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ignoreAbsent } from './errors.ts';

/** Removes `.tmp-*` and `.lock-*` below `root` that are older than that; returns their paths from the root. */
export async function removeTemporaries(root: string, olderThanMs: number): Promise<string[]> {
  let nowMs: number | undefined;
  const removed: string[] = [];
  for await (const path of temporariesBelow(root, '')) {
    const file = await stat(join(root, path)).catch(ignoreAbsent);
    if (file === undefined) continue;
    nowMs ??= await clockOf(root);
    if (nowMs - file.mtimeMs < olderThanMs) continue;
    await unlink(join(root, path)).catch(ignoreAbsent);
    removed.push(path);
  }
  return removed;
}

async function* temporariesBelow(root: string, folder: string): AsyncGenerator<string> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(ignoreAbsent);
  for (const entry of entries ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* temporariesBelow(root, path);
    else if (/^\.(tmp|lock)-/.test(entry.name)) yield path;
  }
}

/** The storage's own time, by the stamp of a new file: a network disk's clock may differ from ours. */
async function clockOf(root: string): Promise<number> {
  const path = join(root, `.tmp-${randomBytes(8).toString('hex')}`);
  await (await open(path, 'wx', 0o600)).close();
  const { mtimeMs } = await stat(path);
  await unlink(path);
  return mtimeMs;
}
