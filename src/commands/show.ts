/** lifeboat show */
import type { Command } from 'commander';
import { asOfFlag } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<id>', 'full id, unique beginning, latest, latest~1, latest:proven')
    .addOption(asOfFlag())
    .action(async (id: string, { asOf }: { asOf?: number }) =>
      session.perform({
        operation: async () => (await import('../operations/list/show.ts')).showOperation,
        options: { id, target: session.flags.target },
        asOfMs: asOf,
        view: async () => (await import('../ui/show-view.ts')).showView,
      }),
    );
}
