/**
 * What auditors and managers ask of backups over a time: what was to run and ran, what was proven, how long a restore
 * took, who restored and deleted. Changes nothing but the files that it is asked to write.
 */
import type { ReportFormat } from '../../config/schedule-options.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { fileError } from '../../lib/file-errors.ts';
import { writeFileAtomic } from '../../lib/fs.ts';
import { given, pathOf, surveyNeeds } from '../complete.ts';
import { withRepository } from '../open-repository.ts';
import type { Operation } from '../operation.ts';
import { gatherReport } from './gather.ts';
import {
  reportDefaults,
  type ReportDocument,
  type ReportOptions,
  type ReportRequest,
  type ReportResult,
} from './request.ts';

export const reportOperation: Operation<ReportOptions, ReportRequest, ReportResult> = {
  need: () => surveyNeeds,
  complete: ({ output, bundle, ...options }, { cwd }) => ({
    ...reportDefaults,
    ...given(options),
    output: pathOf(output, cwd),
    bundle: pathOf(bundle, cwd),
  }),
  run: report,
};

/** Throws what status() does, and LifeboatError `usage` where a file cannot be written. */
export async function report(loaded: LoadedConfig, request: ReportRequest, context: RunContext): Promise<ReportResult> {
  const { format, output, bundle, days, target } = request;
  if (format === 'pdf' && output === undefined) {
    throw new LifeboatError('usage', 'a PDF is written to a file: name it by --output');
  }
  const document = await gatherReport(loaded, { days, target }, context);
  const written: string[] = [];
  if (output !== undefined) {
    const bytes = await rendered(document, format);
    await writing(output, async () => writeFileAtomic(output, bytes));
    written.push(output);
  }
  if (bundle !== undefined) {
    await writing(bundle, async () => bundled(loaded, document, bundle, context));
    written.push(bundle);
  }
  return { ...document, written };
}

/** The bytes of a file in that format. */
export async function rendered(document: ReportDocument, format: ReportFormat): Promise<Buffer> {
  switch (format) {
    case 'json':
      return Buffer.from(
        `${JSON.stringify({ schema: 'lifeboat.report/v1', ...document, written: [] }, undefined, 2)}\n`,
      );
    case 'html':
      return Buffer.from((await import('./html.ts')).reportHtml(document));
    case 'pdf':
      return (await import('./pdf.ts')).reportPdf(document);
    case 'csv':
      return Buffer.from((await import('./plain.ts')).reportCsv(document));
    case 'text':
      return Buffer.from((await import('./plain.ts')).reportText(document));
  }
}

async function bundled(
  loaded: LoadedConfig,
  document: ReportDocument,
  file: string,
  context: RunContext,
): Promise<void> {
  const { writeBundle } = await import('./bundle.ts');
  const extras = [
    { name: 'report.json', bytes: await rendered(document, 'json') },
    { name: 'report.html', bytes: await rendered(document, 'html') },
  ];
  const time = { fromMs: Date.parse(document.from), toMs: Date.parse(document.to) };
  await withRepository(loaded, context, async (repository) =>
    writeBundle(repository, { file, ...time, extras }, context.signal),
  );
}

async function writing(file: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (error instanceof LifeboatError) throw error;
    throw fileError(error, `cannot write ${file}`, { hint: 'name a file in a folder that this user may write to' });
  }
}
