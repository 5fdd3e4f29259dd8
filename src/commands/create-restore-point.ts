/** lifeboat create-restore-point */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<name>', 'at most 63 bytes; of several with one name the first after the base backup counts')
    .action(async (name: string) =>
      session.perform({
        operation: async () => (await import('../operations/pitr/restore-point.ts')).createRestorePointOperation,
        options: { name, target: session.flags.target },
        view: async () => (await import('../ui/pitr-view.ts')).restorePointView,
      }),
    );
}
