/** lifeboat doctor */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command.action(async () =>
    session.perform({
      need: {
        repository: true,
        encryption: true,
        targets: session.flags.target === undefined ? 'all' : { name: session.flags.target },
      },
      operation: async () => (await import('../operations/doctor/doctor.ts')).doctor,
      request: () => ({ target: session.flags.target }),
      view: async () => (await import('../ui/doctor-view.ts')).doctorView,
    }),
  );
}
