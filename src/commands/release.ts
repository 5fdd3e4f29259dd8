/** lifeboat release */
import type { Command } from 'commander';
import { several } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<id>', 'full id, unique beginning, latest, latest~1, latest:proven')
    .option('--tag <word>', 'a tag that hold has added, to remove; may be repeated', several)
    .action(async (id: string, flags: { tag?: string[] }) =>
      session.perform({
        operation: async () => (await import('../operations/cleanup/hold.ts')).releaseOperation,
        options: { id, target: session.flags.target, tags: flags.tag },
        view: async () => (await import('../ui/hold-view.ts')).releaseView,
      }),
    );
}
