/** lifeboat doctor */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command.action(async () =>
    session.perform({
      operation: async () => (await import('../operations/doctor/doctor.ts')).doctorOperation,
      options: { target: session.flags.target },
      view: async () => (await import('../ui/doctor-view.ts')).doctorView,
    }),
  );
}
