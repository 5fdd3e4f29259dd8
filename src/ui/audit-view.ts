/** What `lifeboat audit` prints: a table, or comma-separated values for a spreadsheet. */
import { printable } from '../lib/printable.ts';
import type { AuditedRun, AuditResult } from '../operations/audit/audit.ts';
import { shownTime } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';
import { counted } from '../lib/units.ts';

export const auditView: View<AuditResult> = {
  schema: 'lifeboat.audit/v1',
  kind: 'query',
  text: async ({ records, findings, total, repository }, paint) => {
    const rows = records.map((each) => [
      shownTime(each.finishedAt),
      `${each.user}@${each.host}`,
      each.command,
      each.outcome === 'ok' ? 'ok' : `failed (${each.exitCode})`,
      each.target ?? '',
      each.ids.join(' '),
      whatOf(each),
    ]);
    const table =
      rows.length === 0
        ? `no such runs in the audit log of ${repository}`
        : await columns(['ENDED (UTC)', 'WHO', 'COMMAND', 'OUTCOME', 'TARGET', 'BACKUPS', 'WHAT'], rows);
    const faults = findings.map(({ kind, object, problem }) => `${kind}: ${object}: ${printable(problem)}`);
    const isWhole = !findings.some(({ weight }) => weight === 'fault');
    const verdict = isWhole
      ? paint.green(`the log is whole: ${counted(total, 'record')}`)
      : paint.red(
          `the log is not what was written: ${counted(findings.length, 'finding')}; somebody who can write to the ` +
            'repository has changed it',
        );
    return [table, ...faults, verdict].join('\n');
  },
};

export const auditCsvView: View<AuditResult> = {
  ...auditView,
  lineEnd: '\r\n',
  text: async ({ records, findings }) => {
    const head = [
      'finishedAt',
      'startedAt',
      'host',
      'number',
      'user',
      'uid',
      'command',
      'outcome',
      'exitCode',
      'target',
      'ids',
      'arguments',
      'message',
      'deleted',
    ];
    const rows = records.map((each) => [
      ...[
        each.finishedAt,
        each.startedAt,
        each.host,
        each.number,
        each.user,
        each.uid,
        each.command,
        each.outcome,
        each.exitCode,
        each.target ?? '',
        each.ids.join(' '),
      ].map(String),
      each.arguments === undefined ? '' : JSON.stringify(each.arguments),
      [each.step, each.message].filter((text) => text !== undefined).join(': '),
      (each.deleted ?? []).map(({ id, seal }) => `${id} ${seal}`).join('; '),
    ]);
    const faults = findings.map(({ kind, object, problem }) => `# ${kind}: ${object}: ${printable(problem)}`);
    return [[head, ...rows].map((row) => row.map(cell).join(',')).join('\n'), ...faults].join('\n');
  },
};

function whatOf({ step, message, arguments: given, deleted }: AuditedRun): string {
  const asked = given === undefined || Object.keys(given).length === 0 ? undefined : JSON.stringify(given);
  const gone = deleted === undefined ? undefined : `deleted for good: ${deleted.map(({ id }) => id).join(' ')}`;
  return [step, message, gone, asked]
    .filter((text) => text !== undefined)
    .join('; ')
    .slice(0, 160);
}

/** RFC 4180; a leading = + - @ would be a formula to a spreadsheet. */
function cell(given: string): string {
  const text = printable(given);
  const harmless = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
