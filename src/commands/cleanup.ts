/** lifeboat cleanup */
import type { Command } from 'commander';
import { count, dryRunFlag, duration, several } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly dryRun?: boolean;
  readonly maxDelete?: number;
  readonly grace?: number;
  readonly acknowledge?: string[];
  readonly adoptTrash?: string[];
}

export function declare(command: Command, session: Session): void {
  command
    .addOption(dryRunFlag())
    .option(
      '--max-delete <number>',
      "delete no more than this many backups in this run (default: half of each target's)",
      count,
    )
    .option(
      '--grace <duration>',
      'how long deleted backups can be taken back, such as 3d; at least 1h (default: trashHours of the ' +
        'configuration, 24h)',
      duration,
    )
    .option('--acknowledge <id>', 'the small size of this backup is intended; may be repeated', several)
    .option(
      '--adopt-trash <id>',
      'a backup in trash that lifeboat did not move there, as status shows it, or "all": it is to be deleted, after ' +
        'a grace time that begins now; may be repeated',
      several,
    )
    .action(async ({ dryRun, maxDelete, grace, acknowledge, adoptTrash }: Flags) =>
      session.perform({
        operation: async () => (await import('../operations/cleanup/cleanup.ts')).cleanupOperation,
        options: { target: session.flags.target, dryRun, maxDelete, graceMs: grace, acknowledge, adoptTrash },
        view: async () => (await import('../ui/cleanup-view.ts')).cleanupView,
      }),
    );
}
