/** lifeboat status */
import type { Command } from 'commander';
import { statusDefaults } from '../operations/status/request.ts';
import { count, duration } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly maxAge?: number;
  readonly days: number;
}

export function declare(command: Command, session: Session): void {
  command
    .option(
      '--max-age <duration>',
      "each configured component's newest backup must be younger, such as 26h (exit code 19 if not)",
      duration,
    )
    .option('--days <number>', 'how far back failures and averages go', count, statusDefaults.days)
    .action(async ({ maxAge, days }: Flags) =>
      session.perform({
        operation: async () => (await import('../operations/status/status.ts')).statusOperation,
        options: { target: session.flags.target, maxAgeMs: maxAge, days },
        view: async () => (await import('../ui/status-view.ts')).statusView,
      }),
    );
}
