/** What killed runs left beside the objects: half-written temporaries and lock files. */
import { lstat, readdir, unlink } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { createFile } from '../../lib/held-files.ts';
import type { HeldFolder } from '../../lib/held-folder.ts';
import { ignoreAbsent } from './errors.ts';

/** Removes `.tmp-*` and `.lock-*` below `root` that are older than that; returns their paths from the root. */
export async function removeTemporaries(root: HeldFolder, olderThanMs: number): Promise<string[]> {
  let nowMs: number | undefined;
  const removed: string[] = [];
  for await (const { folder, name, path } of temporariesBelow(root, '')) {
    const file = await lstat(folder.child(name)).catch(ignoreAbsent);
    if (file === undefined) continue;
    nowMs ??= await clockOf(root);
    if (nowMs - file.mtimeMs < olderThanMs) continue;
    await unlink(folder.child(name)).catch(ignoreAbsent);
    removed.push(path);
  }
  return removed;
}

interface Temporary {
  readonly folder: HeldFolder;
  readonly name: string;
  readonly path: string;
}

async function* temporariesBelow(folder: HeldFolder, above: string): AsyncGenerator<Temporary> {
  const entries = await readdir(folder.child('.'), { withFileTypes: true }).catch(ignoreAbsent);
  for (const { name, isFolder } of (entries ?? []).map((each) => ({ name: each.name, isFolder: each.isDirectory() }))) {
    if (isFolder) {
      using below = await folder.enterLater(name).catch(ignoreAbsent);
      if (below !== undefined) yield* temporariesBelow(below, `${above}${name}/`);
    } else if (/^\.(tmp|lock)-/.test(name)) yield { folder, name, path: `${above}${name}` };
  }
}

/** The storage's own time, by the stamp of a new file: a network disk's clock may differ from ours. */
async function clockOf(root: HeldFolder): Promise<number> {
  const name = `.tmp-${randomBytes(8).toString('hex')}`;
  await using file = await createFile(root, name);
  const { mtimeMs } = await file.stat();
  await unlink(root.child(name));
  return mtimeMs;
}
