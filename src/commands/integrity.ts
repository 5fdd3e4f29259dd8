/** lifeboat integrity */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command.option('--repository-only', 'only the repository as a whole (for now, all there is)').action(async () =>
    session.perform({
      need: { repository: true, encryption: true },
      operation: async () => (await import('../operations/integrity-repository.ts')).accountRepository,
      request: () => ({ target: session.flags.target }),
      view: async () => (await import('../ui/integrity-view.ts')).integrityView,
    }),
  );
}
