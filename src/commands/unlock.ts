/** lifeboat unlock */
import type { Command } from 'commander';
import { confirmFlag } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('[scope]', 'only leases of this scope, such as backup-main')
    .option('--alive', 'also remove leases that may belong to a running command')
    .addOption(confirmFlag())
    .action(async (scope: string | undefined, flags: { alive?: boolean; confirm?: string }) =>
      session.perform({
        confirmed: flags.confirm,
        operation: async () => (await import('../operations/setup/unlock.ts')).unlockOperation,
        options: { scope, alive: flags.alive },
        view: async () => (await import('../ui/unlock-view.ts')).unlockView,
      }),
    );
}
