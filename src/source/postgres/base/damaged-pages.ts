/**
 * Pages of a cluster whose checksum did not hold when they were copied: which, from what the server says of them. Its
 * words may be in another language, or left out (client_min_messages), so that only what stands between them is read.
 */
import { z } from 'zod';
import { counted } from '../../../lib/units.ts';

/** So many are named. */
const maxNamed = 1000;

/** Below the data directory, or where a tablespace lies. */
const filePattern = /(?:\.\/)?((?:(?:\/\S*|pg_tblspc\/\d+)\/PG_\d+_\d+\/\d+|base\/\d+|global)\/[\w.]+)(.*)/;

export const damagedPages = z.strictObject({
  /** All that the server told of; 1 where it only told that there are some. */
  count: z.int().positive(),
  /** The first of them; without a block where a file has more than the server names. */
  named: z
    .array(
      z.strictObject({
        /** In the data directory, such as base/5/16384; of a tablespace an absolute path. */
        file: z.string().max(5000),
        block: z.int().nonnegative().optional(),
      }),
    )
    .max(maxNamed),
});

export type DamagedPages = z.infer<typeof damagedPages>;
type NamedPage = DamagedPages['named'][number];

/**
 * From lines such as `WARNING:  checksum verification failed in file "./base/5/16384", block 2: calculated …`, and
 * `file "./base/5/16384" has a total of 7 checksum verification failures` where they are more than the five that the
 * server names (basebackup.c).
 */
export function damagedPagesOf(lines: readonly string[]): DamagedPages {
  const byFile = new Map<string, { readonly blocks: number[]; total: number }>();
  for (const line of lines) {
    const [, file, rest = ''] = filePattern.exec(line) ?? [];
    const number = /\d+/.exec(rest)?.[0];
    if (file === undefined || number === undefined) continue;
    const known = byFile.get(file) ?? { blocks: [], total: 0 };
    byFile.set(file, known);
    // The one that tells two checksums names a block.
    if (/\d+.*:.*\b[0-9A-F]+\b.*\b[0-9A-F]+\b/.test(rest)) known.blocks.push(Number(number));
    else known.total = Number(number);
  }
  const files = [...byFile].map(([file, { blocks, total }]) => ({
    file,
    blocks,
    count: Math.max(total, blocks.length),
  }));
  const named = files.flatMap(({ file, blocks, count }): NamedPage[] => [
    ...blocks.map((block) => ({ file, block })),
    ...(count > blocks.length ? [{ file }] : []),
  ]);
  const count = files.reduce((sum, each) => sum + each.count, 0);
  return { count: Math.max(1, count), named: named.slice(0, maxNamed) };
}

/** One sentence. */
export function tellDamagedPages({ count, named }: DamagedPages): string {
  const pages = named.map(({ file, block }) => (block === undefined ? `more in ${file}` : `${file} block ${block}`));
  const which = pages.length === 0 ? '' : `: ${pages.slice(0, 10).join(', ')}${pages.length > 10 ? ', …' : ''}`;
  return (
    `${counted(count, 'page')} of the cluster ${count === 1 ? 'is' : 'are'} damaged${which}; the backup holds them ` +
    'as they are, and is marked: look at the disk, and keep the backups from before'
  );
}
