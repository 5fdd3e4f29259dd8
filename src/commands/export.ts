/** lifeboat export */
import type { Command } from 'commander';
import type { ComponentName } from '../operations/operation.ts';
import { asOfFlag, componentNames, severalOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('<id>', 'full id, unique beginning, latest, latest~1, latest:proven')
    .argument('<dir>', 'folder to write to; empty or not there yet')
    .option('--only <component>', `only ${componentNames.join(', ')}; may be repeated`, severalOf(componentNames))
    .option('--force', 'export what is unsigned or from an untrusted writer; wants the full id')
    .addOption(asOfFlag())
    .action(async (id: string, folder: string, flags: { only?: ComponentName[]; force?: boolean; asOf?: number }) =>
      session.perform({
        asOfMs: flags.asOf,
        operation: async () => (await import('../operations/restore/export.ts')).exportOperation,
        options: { id, target: session.flags.target, folder, only: flags.only, force: flags.force },
        view: async () => (await import('../ui/export-view.ts')).exportView,
      }),
    );
}
