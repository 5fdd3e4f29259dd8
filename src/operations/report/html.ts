/** A report as one HTML file: nothing is loaded from elsewhere, nothing runs, and it prints well. */
import { printable } from '../../lib/printable.ts';
import type { ReportDocument } from './request.ts';
import { reportHead, reportSections, reportTitle, type ReportSection, type ReportTable } from './tables.ts';

/** UTF-8. */
export function reportHtml(report: ReportDocument): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(reportTitle)}</title>
<style>
${style}
</style>
</head>
<body>
<header>
<h1>${escaped(reportTitle)}</h1>
${reportHead(report).map(paragraph).join('\n')}
</header>
<main>
${reportSections(report).map(section).join('\n')}
</main>
</body>
</html>
`;
}

function section({ title, words, table }: ReportSection, n: number): string {
  const body = [...words.map(paragraph), ...(table === undefined ? [] : [tableHtml(title, table)])];
  return `<section aria-labelledby="s${n}">\n<h2 id="s${n}">${escaped(title)}</h2>\n${body.join('\n')}\n</section>`;
}

function tableHtml(caption: string, { columns, rows }: ReportTable): string {
  // Numbers stand below each other, and their heading above them.
  const isNumber = columns.map((_, n) => n > 0 && rows.every((row) => number.test(row[n] ?? '')));
  const classOf = (n: number): string => (isNumber[n] === true ? ' class="n"' : '');
  const head = columns.map((name, n) => `<th scope="col"${classOf(n)}>${escaped(name)}</th>`).join('');
  const body = rows.map(([first = '', ...others]) => {
    const cells = others.map((cell, n) => `<td${classOf(n + 1)}>${escaped(cell)}</td>`);
    return `<tr><th scope="row">${escaped(first)}</th>${cells.join('')}</tr>`;
  });
  return [
    '<table>',
    `<caption>${escaped(caption)}</caption>`,
    `<thead><tr>${head}</tr></thead>`,
    `<tbody>\n${body.join('\n')}\n</tbody>`,
    '</table>',
  ].join('\n');
}

/** Counts, sizes and times. */
const number = /^[\d.,]+( ([KMGTP]i)?B| (ms|s|min|h|days?))?$/;

function paragraph(text: string): string {
  return `<p>${escaped(text)}</p>`;
}

/** For text and for attributes in double quotes. */
function escaped(text: string): string {
  return printable(text).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const style = `@page { size: A4 landscape; margin: 14mm; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; border-bottom: 2px solid #2b5c8a; }
header p, section p { margin: .15rem 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #c9d1d9; }
tbody th, td { overflow-wrap: anywhere; }
thead th.n { text-align: right; }
thead th { background: #eef3f8; }
tbody th { font-weight: 600; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
@media print {
  body { font-size: 10pt; margin: 0; max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
}`;
