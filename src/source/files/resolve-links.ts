/**
 * Where a configured path leads. Whoever owns a folder on the way can put a symlink there, and would have us read what
 * only we may; so a link counts if it is root's or ours, or leads to what belongs to its owner.
 */
import fs from 'node:fs';
import { LifeboatError } from '../../lib/errors.ts';
import { displayPath, splitName } from './names.ts';
import { closeFile, type Folder, passFolder, statLink } from './system-calls.ts';

/** As the kernel has it. */
const maxLinks = 40;

/**
 * The path without symlinks, as it is now; hold it against `openAbove` when it is used. `path` is absolute. Throws
 * LifeboatError `source` for a link that does not count, else what the file system says.
 */
export async function resolveLinks(path: Buffer): Promise<Buffer> {
  const left = splitName(path);
  /** Links that are being followed: what they lead to begins when so few components are left. */
  const followed: { link: Buffer; owner: bigint; left: number }[] = [];
  const way: Buffer[] = [];
  for (let links = 0; ;) {
    while (followed.at(-1)?.left === left.length) {
      const { link, owner } = followed.pop() ?? { link: path, owner: 0n };
      if ((await statLink(pathOf(way))).uid !== owner) throw leadsElsewhere(path, link);
    }
    const part = left.shift();
    if (part === undefined) return pathOf(way);
    if (part.length === 0 || part.equals(here)) continue;
    if (part.equals(above)) {
      way.pop();
      continue;
    }
    const link = pathOf([...way, part]);
    const seen = await statLink(link);
    if (!seen.isSymbolicLink()) {
      way.push(part);
      continue;
    }
    if (++links > maxLinks) throw Object.assign(new Error('ELOOP: too many symbolic links'), { code: 'ELOOP' });
    const target = await readUnchanged(link, seen);
    if (!isTrusted(seen.uid)) followed.push({ link, owner: seen.uid, left: left.length });
    if (target[0] === slash) way.length = 0;
    left.unshift(...splitName(target));
  }
}

const here = Buffer.from('.');
const above = Buffer.from('..');
const slash = 0x2f;

function pathOf(way: readonly Buffer[]): Buffer {
  return way.length === 0 ? Buffer.from('/') : Buffer.concat(way.flatMap((part) => [Buffer.from('/'), part]));
}

function isTrusted(uid: bigint): boolean {
  return uid === 0n || uid === BigInt(process.geteuid?.() ?? -1);
}

/** Its owner is known for what is read, not for what stood there a moment before. */
async function readUnchanged(link: Buffer, seen: fs.BigIntStats): Promise<Buffer> {
  const target = await fs.promises.readlink(link, { encoding: 'buffer' });
  const now = await statLink(link);
  if (now.ino === seen.ino && now.dev === seen.dev && now.ctimeNs === seen.ctimeNs) return target;
  throw Object.assign(new Error('ENOENT: it was replaced'), { code: 'ENOENT' });
}

function leadsElsewhere(path: Buffer, link: Buffer): LifeboatError {
  return new LifeboatError(
    'source',
    `cannot back up ${displayPath(path)}: the symlink ${displayPath(link)} leads to what is not its owner's`,
    { hint: 'configure the path that is meant, or give the link to root: chown -h root' },
  );
}

/**
 * Opens the folder that holds `realPath`, as resolveLinks gave it: throws ENOTDIR where a part of the way is a symlink
 * by now. Undefined for `/`.
 */
export async function openAbove(realPath: Buffer): Promise<(Folder & { readonly name: Buffer }) | undefined> {
  const at = realPath.lastIndexOf(slash);
  const name = realPath.subarray(at + 1);
  if (name.length === 0) return undefined;
  let folder = await passFolder(Buffer.from('/'));
  for (const part of splitName(realPath.subarray(1, Math.max(1, at)))) {
    const { fd } = folder;
    try {
      folder = await passFolder(folder.child(part));
    } finally {
      await closeFile(fd);
    }
  }
  return { ...folder, name };
}
