/** What `lifeboat export` prints. */
import { formatBytes } from '../lib/units.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';
import type { ExportResult } from '../operations/restore/export.ts';

export const exportView: View<ExportResult> = {
  schema: 'lifeboat.export/v1',
  kind: 'action',
  text: async ({ id, folder, files }) => {
    const table = await columns(
      ['FILE', 'COMPONENT', 'SIZE'],
      files.map((file) => [file.path, file.component, formatBytes(file.bytes)]),
      [2],
    );
    return `${table}\n\nexported ${id} to ${folder}; to check it: cd ${quoted(folder)} && sha256sum -c SHA256SUMS`;
  },
};

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
