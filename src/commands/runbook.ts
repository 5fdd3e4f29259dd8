/** lifeboat runbook */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .option('--offline', 'do not ask the repository for newest backups and measured times')
    .option(
      '--from <id>',
      'print the runbook that this backup holds, as it was when the ' +
        'backup was taken; full id, unique beginning, latest',
    )
    .action(async ({ offline, from }: { offline?: boolean; from?: string }) =>
      session.perform({
        operation: async () => (await import('../operations/emergency/runbook.ts')).runbookOperation,
        options: { target: session.flags.target, offline, from },
        view: async () => (await import('../ui/runbook-view.ts')).runbookView,
      }),
    );
}
