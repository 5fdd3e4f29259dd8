/** lifeboat audit */
import { Option, type Command } from 'commander';
import { LifeboatError } from '../lib/errors.ts';
import { momentOf, parseDuration } from '../lib/time.ts';
import { count, oneOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly host?: string;
  readonly command?: string;
  readonly since?: number;
  readonly outcome?: 'ok' | 'failed';
  readonly limit?: number;
  readonly csv?: boolean;
}

export function declare(command: Command, session: Session): void {
  command
    .option('--host <name>', 'only what was run on this host')
    .option('--command <name>', 'only runs of this command, such as restore or "keys rotate"')
    .option(
      '--since <time>',
      'only what ended since then: RFC 3339 with a zone, or a duration such as 36h or 30d',
      since,
    )
    .addOption(
      new Option('--outcome <ok|failed>', 'only good or only failed runs').argParser(oneOf(['ok', 'failed'] as const)),
    )
    .option('--limit <number>', 'only the newest so many', count)
    .option('--csv', 'print comma-separated values')
    .action(async ({ csv, since: sinceMs, ...chosen }: Flags) =>
      session.perform({
        operation: async () => (await import('../operations/audit/audit.ts')).auditOperation,
        options: { ...chosen, sinceMs, target: session.flags.target },
        view: async () => {
          const { auditView, auditCsvView } = await import('../ui/audit-view.ts');
          return csv === true ? auditCsvView : auditView;
        },
      }),
    );
}

/** Milliseconds since 1970. */
function since(text: string): number {
  const duration = text.replace(/ ago$/, '');
  if (/^\d+(\.\d+)?[smhdw]$/.test(duration)) return Date.now() - parseDuration(duration);
  const [, date = '', time = '', zone = ''] =
    /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)$/.exec(text) ?? [];
  const ms = momentOf(date, time, zone);
  if (ms !== undefined) return ms;
  throw new LifeboatError('usage', `--since: "${text}" is not a time`, {
    hint: 'write 2026-01-02T03:04:05Z (with its zone), or how long ago: 36h, 30d',
  });
}
