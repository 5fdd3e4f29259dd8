/** lifeboat hold */
import type { Command } from 'commander';
import { several } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<id>', 'full id, unique beginning, latest, latest~1, latest:proven')
    .option('--reason <text>', 'why; whoever reads the repository can read it')
    .option('--tag <word>', 'a tag to add; may be repeated', several)
    .action(async (id: string, flags: { reason?: string; tag?: string[] }) =>
      session.perform({
        operation: async () => (await import('../operations/cleanup/hold.ts')).holdOperation,
        options: { id, target: session.flags.target, reason: flags.reason, tags: flags.tag },
        view: async () => (await import('../ui/hold-view.ts')).holdView,
      }),
    );
}
