/** File trees: how many of each kind, and what changed, vanished or could not be read meanwhile. */
import { formatBytes } from '../../lib/units.ts';
import type { FilesFacts } from '../../source/files/facts.ts';
import { columns } from '../table.ts';
import { firstOf, grouped, namedLines, paragraphs } from './lines.ts';

const pathsShown = 5;

/** The line of the roots, then the counts. */
export async function filesText(facts: FilesFacts): Promise<string> {
  return paragraphs([
    namedLines(
      facts.roots.map(({ path, realPath }) => [
        'folder',
        realPath === undefined ? path : `${path} (a link to ${realPath})`,
      ]),
    ).trim(),
    await kindsTable(facts),
    namedLines([
      ['changed while read', pathsText(facts.changed)],
      ['vanished before', pathsText(facts.vanished)],
      ['unreadable', pathsText(facts.unreadable)],
      ['not backed up', pathsText(facts.unsupported, ' (sockets, pipes)')],
      ['links undone', pathsText(facts.unlinked, ' (hard links stored as files of their own)')],
    ]),
  ]);
}

async function kindsTable(facts: FilesFacts): Promise<string> {
  const rows: (readonly [kind: string, count: number, bytes?: number])[] = [
    ['files', facts.files, facts.contentBytes],
    ['of these sparse', facts.sparseFiles],
    ['folders', facts.folders],
    ['symbolic links', facts.symlinks],
    ['further hard links', facts.hardlinks],
    ['device nodes', facts.devices],
    ['as a tar', 1, facts.tarBytes],
  ];
  return columns(
    ['KIND', 'COUNT', 'SIZE'],
    rows
      .filter(([, count]) => count > 0)
      .map(([kind, count, bytes]) => [kind, grouped(count), bytes === undefined ? '' : formatBytes(bytes)]),
    [1, 2],
  );
}

function pathsText({ count, paths }: FilesFacts['changed'], why = ''): string {
  return count === 0 ? '' : `${grouped(count)}${why}: ${firstOf(paths, pathsShown, count)}`;
}
