/** lifeboat acknowledge */
import type { Command } from 'commander';
import { statusDefaults } from '../operations/status/request.ts';
import { count } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<warning>', 'its id, as status shows it')
    .option('--reason <text>', 'why it is accepted')
    .option('--days <number>', 'as given to status', count, statusDefaults.days)
    .action(async (warning: string, { reason, days }: { reason?: string; days: number }) =>
      session.perform({
        operation: async () => (await import('../operations/status/acknowledge.ts')).acknowledgeOperation,
        options: { warning, reason, days },
        view: async () => (await import('../ui/status-view.ts')).acknowledgeView,
      }),
    );
}
