/** What `lifeboat report` prints: the report, or where it was written. */
import { rendered } from '../operations/report/report.ts';
import type { ReportFormat } from '../config/schedule-options.ts';
import type { ReportResult } from '../operations/report/request.ts';
import type { View } from './view.ts';

/** In that format; with an output, only its name. */
export function reportView(flags: { readonly format: ReportFormat; readonly output?: string }): View<ReportResult> {
  const { format, output } = flags;
  return {
    schema: 'lifeboat.report/v1',
    kind: output === undefined ? 'query' : 'action',
    ...(format === 'csv' ? { lineEnd: '\r\n' as const } : {}),
    text: async (result) => {
      if (output !== undefined) return namesOf(result);
      return (await rendered(result, format)).toString().replaceAll('\r\n', '\n').trimEnd();
    },
  };
}

/** Where it was written; the report itself where it was not. */
export const scheduledReportView: View<ReportResult> = {
  ...reportView({ format: 'text' }),
  text: async (result) =>
    result.written.length > 0 ? namesOf(result) : (await rendered(result, 'text')).toString().trimEnd(),
};

function namesOf({ written }: ReportResult): string {
  return written.map((file) => `wrote ${file}`).join('\n');
}
