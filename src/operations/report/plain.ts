/** A report as text for a terminal or a mail, and as comma-separated values for a spreadsheet. */
import { printable } from '../../lib/printable.ts';
import type { ReportDocument } from './request.ts';
import { reportHead, reportSections, reportTitle, type ReportTable } from './tables.ts';

/** Lines end with a line feed. */
export function reportText(report: ReportDocument): string {
  const sections = reportSections(report).map(({ title, words, table }) =>
    [title.toUpperCase(), ...words.map(printable), ...(table === undefined ? [] : aligned(table))].join('\n'),
  );
  return `${[[reportTitle, ...reportHead(report).map(printable)].join('\n'), ...sections].join('\n\n')}\n`;
}

/** RFC 4180, one line a row: the section, then its columns; a section's first line names them. */
export function reportCsv(report: ReportDocument): string {
  const lines = reportSections(report).flatMap(({ title, words, table }) => [
    ...words.map((text) => [title, text]),
    ...(table === undefined ? [] : [[title, ...table.columns], ...table.rows.map((row) => [title, ...row])]),
  ]);
  return lines.map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

/** A leading = + - @ would be a formula to a spreadsheet. */
function cell(given: string): string {
  const text = printable(given);
  const harmless = /^[=+\-@\t]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function aligned({ columns, rows }: ReportTable): string[] {
  const lines = [columns, ...rows].map((row) => row.map(printable));
  const widths = columns.map((_, n) => Math.max(...lines.map((line) => line[n]?.length ?? 0)));
  return lines.map((line) =>
    line
      .map((text, n) => text.padEnd(widths[n] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
