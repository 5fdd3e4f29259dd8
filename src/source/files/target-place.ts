/**
 * Where a path leads that something is to be put at. Links on the way to it, and the path itself if it is one, must be
 * the operator's (lib/held-folder.ts); those below it are not followed.
 */
import { basename, dirname, join, resolve } from 'node:path';
import { HeldFolder } from '../../lib/held-folder.ts';

/** As the kernel has it. */
const maxLinks = 40;

/**
 * The real path, whether something is there or not. With `create` the folder above it is made. Throws LifeboatError
 * `usage` (2) for a link that somebody else may have put there.
 */
export function targetPlace(target: string, { create }: { readonly create: boolean }, links = 0): string {
  const path = resolve(target);
  if (path === '/') return path;
  using above = openAbove(path, create);
  if (above === undefined) return path;
  const linked = links < maxLinks ? above.targetOf(basename(path)) : undefined;
  return linked === undefined ? join(above.path, basename(path)) : targetPlace(linked, { create }, links + 1);
}

/** Undefined: it is not there. */
function openAbove(path: string, create: boolean): HeldFolder | undefined {
  const above = dirname(path);
  return create ? HeldFolder.open(above, { create, mode: 0o777, owner: 'ours' }) : HeldFolder.openIfThere(above);
}
