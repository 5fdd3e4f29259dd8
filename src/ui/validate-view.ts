/** What `lifeboat validate` prints. */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { Damage, ValidateLevel, ValidateResult } from '../operations/validate/request.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const validateView: View<ValidateResult> = {
  schema: 'lifeboat.validate/v1',
  kind: 'action',
  text: async (result, paint) => {
    const { backups, damaged } = result;
    const rows = backups.map((each) => [each.id, each.target, each.result]);
    const table = backups.length === 0 ? [] : [await columns(['BACKUP', 'TARGET', 'RESULT'], rows)];
    const isNothing = checkedOf(result) === 0;
    const colour = damaged.length > 0 ? paint.red : isNothing ? paint.yellow : paint.green;
    const verdict = colour(summaryText(result));
    return [...table, ...damaged.map(damageText), verdict].join('\n');
  },
};

const did: Record<ValidateLevel, string> = {
  quick: 'all objects are there, with their sizes and hashes',
  stored: 'every stored byte is what was written',
  deep: 'every stored byte is what was written, and every archive can be read to its end',
};

function checkedOf({ backups, counts }: ValidateResult): number {
  return backups.filter(({ result }) => result !== 'unchecked').length + (counts['logFiles'] ?? 0);
}

function summaryText(result: ValidateResult): string {
  const { level, sample, backups, counts, bytes, durationMs, damaged, repository } = result;
  const cost = `${formatBytes(bytes)} in ${formatDuration(durationMs)}, ${counted(counts['packs'] ?? 0, 'pack')}`;
  if (damaged.length > 0) {
    const advice = 'back up again at once, which stores anew what is lost; lifeboat list shows which backups are whole';
    return `${counted(damaged.length, 'damaged object')} in ${repository} (${cost}); ${advice}`;
  }
  const checked = backups.filter((each) => each.result === 'ok').length;
  const logFiles = counts['logFiles'] ?? 0;
  if (checkedOf(result) === 0) return `nothing was checked in ${repository}: none of its backups counts here`;
  const log = logFiles === 0 ? '' : ` and ${counted(logFiles, 'file')} of write-ahead log`;
  const what =
    sample === undefined
      ? did[level]
      : `all objects are there, and what was read of them (part ${sample.part} of ${sample.parts}) is what was written`;
  return `${counted(checked, 'backup')}${log}: ${what} (${cost})`;
}

/** An object, then what it touches. */
export function damageText({ object, kind, problem, backups }: Damage): string {
  const lines = [`${kind}: ${object}: ${printable(problem)}`];
  for (const { id, whole, artifacts } of backups) {
    const nevertheless = artifacts.length === 0 ? ': can be restored nevertheless' : '';
    lines.push(`  ${id}${whole ? ': none of it can be restored' : nevertheless}`);
    for (const { component, name, contents, contentCount } of artifacts) {
      const more = contentCount > contents.length ? `, and ${contentCount - contents.length} more` : '';
      const named = contents.length === 0 ? '' : `: ${printable(contents.join(', '))}${more}`;
      lines.push(`    ${component} ${name}${named}`);
    }
  }
  return lines.join('\n');
}
