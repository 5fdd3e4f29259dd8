/**
 * The paths that a backup of files begins at. A configured path that is not there fails the backup:
 * backing up nothing without a word is how uploads get lost when a disk was not mounted.
 */
import type { BigIntStats } from 'node:fs';
import { LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import { resolveLinks } from './resolve-links.ts';
import { statLink } from './system-calls.ts';
import { compareTreeOrder, displayPath, isWithin } from './names.ts';

export interface Root {
  /** As configured, absolute, without a slash at its end. */
  readonly path: Buffer;
  /** Its name in the tar. Empty for `/`. */
  readonly member: Buffer;
  /**
   * Where to read it, without symlinks: a root that is one is followed (a link alone would be a backup of nothing),
   * unless somebody could lead us by it to what is not theirs.
   */
  readonly realPath: Buffer;
  /** The path itself is a symlink. */
  readonly followed: boolean;
  readonly stat: BigIntStats;
}

/**
 * Checks and orders the configured paths. Throws usage for relative or nested ones, source for one that is missing or
 * cannot be reached.
 */
export async function resolveRoots(paths: readonly string[]): Promise<Root[]> {
  if (paths.length === 0) {
    throw new LifeboatError('usage', 'cannot back up files: no path is configured', {
      hint: 'set files.paths, or BACKUP_FILES',
    });
  }
  const roots = await Promise.all([...new Set(paths.map(normalise))].map(resolveRoot));
  roots.sort((a, b) => compareTreeOrder(a.member, b.member));
  for (const [index, root] of roots.entries()) {
    const before = roots[index - 1];
    if (before !== undefined && isWithin(root.member, before.member)) {
      throw new LifeboatError(
        'usage',
        `cannot back up ${displayPath(root.path)} by itself: it lies inside ${displayPath(before.path)}`,
        { hint: `leave ${displayPath(root.path)} out of the configured paths` },
      );
    }
  }
  return roots;
}

function normalise(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (!path.startsWith('/') || parts.includes('..')) {
    throw new LifeboatError('usage', `"${path}" is not an absolute path`, {
      hint: 'write paths of files from the root, without ".."',
    });
  }
  return `/${parts.join('/')}`;
}

async function resolveRoot(path: string): Promise<Root> {
  try {
    const bytes = Buffer.from(path);
    const link = await statLink(bytes);
    const realPath = await resolveLinks(bytes);
    return {
      path: bytes,
      member: bytes.subarray(1),
      realPath,
      followed: link.isSymbolicLink(),
      stat: await statLink(realPath),
    };
  } catch (error) {
    if (error instanceof LifeboatError) throw error;
    const missing = systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR';
    const why = missing ? 'it does not exist' : messageOf(error);
    throw new LifeboatError('source', `cannot back up ${displayPath(Buffer.from(path))}: ${why}`, {
      hint: missing
        ? 'is its disk mounted? If it is gone for good, take it out of the configured paths'
        : 'run lifeboat as a user who can read it',
      cause: error,
    });
  }
}
