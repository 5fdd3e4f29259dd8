/** lifeboat list */
import type { Command } from 'commander';
import type { BackupType } from '../operations/operation.ts';
import { asOfFlag, componentNames, count, oneOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly type?: BackupType;
  readonly tag?: string;
  readonly limit?: number;
  readonly asOf?: number;
}

export function declare(command: Command, session: Session): void {
  command
    .option('--type <type>', `only full, ${componentNames.join(', ')}`, oneOf<BackupType>(['full', ...componentNames]))
    .option('--tag <word>', 'only those with this tag')
    .option('--limit <number>', 'only the newest so many', count)
    .addOption(asOfFlag())
    .action(async ({ type, tag, limit, asOf }: Flags) =>
      session.perform({
        operation: async () => (await import('../operations/list/list.ts')).listOperation,
        options: { target: session.flags.target, type, tag, limit },
        asOfMs: asOf,
        view: async () => (await import('../ui/list-view.ts')).listView,
      }),
    );
}
