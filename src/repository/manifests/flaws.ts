/**
 * Backups that were recorded although their source was damaged: pages that could not be trusted, tables that could not
 * be read. They are kept as the best that could be had, and stand in for no other.
 */
import { counted } from '../../lib/units.ts';
import type { Manifest } from './manifest.ts';

/**
 * What is wrong with it, as one phrase; undefined where nothing is. `kinds`: only of components of these kinds, of all
 * where there is none.
 */
export function flawOf(
  { components }: Pick<Manifest, 'components'>,
  kinds: readonly string[] = [],
): string | undefined {
  const flaws = components
    .filter(({ kind }) => kinds.length === 0 || kinds.includes(kind))
    .flatMap(({ kind, flaws: count = 0 }) => (count === 0 ? [] : [inWords(kind, count)]));
  return flaws.length === 0 ? undefined : flaws.join('; ');
}

function inWords(kind: string, count: number): string {
  if (kind === 'base') return `${counted(count, 'damaged page')} of its cluster ${count === 1 ? 'is' : 'are'} in it`;
  if (kind === 'postgres') return `the rows of ${counted(count, 'table')} are not in it`;
  return `${counted(count, 'part')} of its source ${count === 1 ? 'is' : 'are'} damaged or not in it`;
}
