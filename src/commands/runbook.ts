/** lifeboat runbook */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command.option('--offline', 'do not ask the repository for newest backups and measured times').action(async ({ offline }: { offline?: boolean }) =>
    session.perform({
      need: offline === true ? {} : { repository: true, encryption: true },
      operation: async () => (await import('../operations/runbook.ts')).runbook,
      request: () => ({ target: session.flags.target, offline: offline === true }),
      view: async () => (await import('../ui/runbook-view.ts')).runbookView,
    }),
  );
}
