/** lifeboat report */
import { Option, type Command } from 'commander';
import { reportFormats, type ReportFormat } from '../config/schedule-options.ts';
import { reportDefaults } from '../operations/report/request.ts';
import { count, oneOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly days: number;
  readonly format: ReportFormat;
  readonly output?: string;
  readonly bundle?: string;
}

export function declare(command: Command, session: Session): void {
  command
    .option('--days <number>', 'how far back it goes', count, reportDefaults.days)
    .addOption(
      new Option('--format <text|json|csv|html|pdf>', 'how it is written')
        .argParser(oneOf(reportFormats))
        .default(reportDefaults.format),
    )
    .option('--output <file>', 'write it there instead; a PDF is always written to a file')
    .option('--bundle <file>', 'write the records that it is made of to a ZIP file, with what verifies them')
    .action(async (flags: Flags) =>
      session.perform({
        operation: async () => (await import('../operations/report/report.ts')).reportOperation,
        options: { ...flags, target: session.flags.target },
        view: async () => (await import('../ui/report-view.ts')).reportView(flags),
      }),
    );
}
