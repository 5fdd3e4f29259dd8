/** lifeboat undelete */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<id>', 'full id or unique beginning of a deleted backup')
    .option('--no-hold', 'do not put it on hold: the next cleanup may delete it again')
    .action(async (id: string, flags: { hold?: boolean }) =>
      session.perform({
        operation: async () => (await import('../operations/cleanup/undelete.ts')).undeleteOperation,
        options: { id, target: session.flags.target, hold: flags.hold },
        view: async () => (await import('../ui/hold-view.ts')).undeleteView,
      }),
    );
}
