/** A report as PDF, by pdfkit, with the fonts that every reader has. */
import { printable } from '../../lib/printable.ts';
import type { ReportDocument } from './request.ts';
import { reportHead, reportSections, reportTitle, type ReportTable } from './tables.ts';

type Pdf = InstanceType<typeof import('pdfkit')>;

const margin = 42;
const sizes = { title: 20, heading: 13, text: 9 };

export async function reportPdf(report: ReportDocument): Promise<Buffer> {
  const { default: PdfDocument } = await import('pdfkit');
  const pdf = new PdfDocument({
    size: 'A4',
    layout: 'landscape',
    margin,
    bufferPages: true,
    lang: 'en',
    displayTitle: true,
    info: { Title: reportTitle, Creator: 'lifeboat', CreationDate: new Date(report.at) },
  });
  const pieces: Buffer[] = [];
  pdf.on('data', (piece: Buffer) => pieces.push(piece));
  const ended = new Promise<void>((resolve, reject) => pdf.once('end', resolve).once('error', reject));
  write(pdf, report);
  numberPages(pdf);
  pdf.end();
  await ended;
  return Buffer.concat(pieces);
}

function write(pdf: Pdf, report: ReportDocument): void {
  pdf.font('Helvetica-Bold').fontSize(sizes.title).text(reportTitle);
  pdf.font('Helvetica').fontSize(sizes.text);
  for (const line of reportHead(report)) pdf.text(shown(line));
  for (const { title, words, table } of reportSections(report)) {
    // A heading is not the last thing on a page.
    if (pdf.y > pdf.page.height - margin - 80) pdf.addPage();
    pdf.moveDown(1.2).font('Helvetica-Bold').fontSize(sizes.heading).fillColor('#1f4e79').text(title, margin);
    pdf.font('Helvetica').fontSize(sizes.text).fillColor('#1a1a1a').moveDown(0.3);
    for (const text of words) pdf.text(shown(text), margin);
    if (table !== undefined) writeTable(pdf, table);
  }
}

/** Columns as wide as their longest texts want, within the page. */
function writeTable(pdf: Pdf, { columns, rows }: ReportTable): void {
  const width = pdf.page.width - 2 * margin;
  const lines = [columns, ...rows].map((row) => row.map(shown));
  const wanted = columns.map((_, n) => Math.min(60, Math.max(6, ...lines.map((line) => line[n]?.length ?? 0))));
  const all = wanted.reduce((sum, each) => sum + each, 0);
  const [head = [], ...body] = lines;
  pdf.moveDown(0.3);
  pdf.table({
    position: { x: margin, y: pdf.y },
    columnStyles: wanted.map((each) => ({ width: (width * each) / all })),
    defaultStyle: { border: [0, 0, 0.5, 0], borderColor: '#c9d1d9', padding: 3 },
    rowStyles: (n) => (n === 0 ? { backgroundColor: '#eef3f8' } : {}),
    data: [head.map((text) => ({ text, font: { src: 'Helvetica-Bold' }, type: 'TH' as const })), ...body],
  });
  pdf.font('Helvetica').fontSize(sizes.text);
}

function numberPages(pdf: Pdf): void {
  const { start, count } = pdf.bufferedPageRange();
  for (let n = start; n < start + count; n++) {
    pdf.switchToPage(n);
    // Below the margin, where a text would begin a new page.
    pdf.page.margins.bottom = 0;
    const at = { x: margin, y: pdf.page.height - 28 };
    const width = pdf.page.width - 2 * margin;
    pdf.fontSize(8).text(`${n - start + 1} of ${count}`, at.x, at.y, { width, align: 'right', lineBreak: false });
  }
}

/** The fonts that need not be embedded have the characters of Windows-1252; of those, what is surely there. */
function shown(text: string): string {
  return printable(text).replaceAll(/[^\x20-\x7e\xa1-\xff–—‘’“”…€]/gu, '?');
}
