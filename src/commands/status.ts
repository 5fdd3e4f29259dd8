/** lifeboat status */
import { Option, type Command } from 'commander';
import { statusDefaults } from '../operations/status/request.ts';
import { AbortedError } from '../lib/errors.ts';
import { write } from '../ui/terminal.ts';
import { count, duration, oneOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

const formats = ['text', 'nagios'] as const;

interface Flags {
  readonly maxAge?: number;
  readonly days: number;
  readonly format: (typeof formats)[number];
  readonly notify?: boolean;
}

export function declare(command: Command, session: Session): void {
  command
    .option(
      '--max-age <duration>',
      "each configured component's newest backup must be younger, such as 26h (exit code 19 if not)",
      duration,
    )
    .option('--days <number>', 'how far back failures and averages go', count, statusDefaults.days)
    .option('--notify', 'tell by the notification channels what is new, and what is over; for cron')
    .addOption(
      new Option('--format <format>', 'text, or nagios: what a plugin of Nagios or Icinga prints and exits with')
        .argParser(oneOf(formats))
        .default('text'),
    )
    .action(async (flags: Flags) => (flags.format === 'nagios' ? check(session, flags) : show(session, flags)));
}

async function show(session: Session, { maxAge, days, notify }: Flags): Promise<void> {
  await session.perform({
    operation: async () => (await import('../operations/status/status.ts')).statusOperation,
    options: { target: session.flags.target, maxAgeMs: maxAge, days, notify },
    view: async () => (await import('../ui/status-view.ts')).statusView,
  });
}

/** As a plugin: whatever keeps status from being found out is UNKNOWN (3), and told on standard output. */
async function check(session: Session, { maxAge, days, notify }: Flags): Promise<void> {
  const { nagiosExitCodes, nagiosUnknown, nagiosView } = await import('../ui/nagios-view.ts');
  try {
    await session.perform({
      operation: async () => {
        const { statusOperation } = await import('../operations/status/status.ts');
        return { ...statusOperation, exitCode: ({ verdict }) => nagiosExitCodes[verdict] };
      },
      options: { target: session.flags.target, maxAgeMs: maxAge, days, notify },
      view: async () => nagiosView,
    });
  } catch (error) {
    if (error instanceof AbortedError) throw error;
    await write(session.io.stdout, nagiosUnknown(error));
    session.exitCode = nagiosExitCodes.unknown;
  }
}
