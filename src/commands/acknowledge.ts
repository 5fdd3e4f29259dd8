/** lifeboat acknowledge */
import type { Command } from 'commander';
import { count } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<warning>', 'its id, as status shows it')
    .option('--reason <text>', 'why it is meant to be')
    .option('--days <number>', 'as given to status', count, 30)
    .action(async (warning: string, { reason, days }: { reason?: string; days: number }) =>
      session.perform({
        need: { repository: true, encryption: true, targets: 'all', mayLackTargets: true },
        operation: async () => (await import('../operations/status/acknowledge.ts')).acknowledge,
        request: () => ({ warning, reason, days }),
        view: async () => (await import('../ui/status-view.ts')).acknowledgeView,
      }),
    );
}
