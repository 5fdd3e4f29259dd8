/** lifeboat validate */
import type { Command } from 'commander';
import { LifeboatError } from '../lib/errors.ts';
import { asOfFlag, jobsFlag, overridesOf, percent } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly all?: boolean;
  readonly quick?: boolean;
  readonly deep?: boolean;
  readonly sample?: number;
  readonly jobs?: number;
  readonly asOf?: number;
}

export function declare(command: Command, session: Session): void {
  command
    .argument(
      '[id...]',
      'full ids, unique beginnings, latest, latest~1, latest:proven (default: the newest of each target)',
    )
    .option('--all', 'every backup in the repository, or of --target')
    .option('--quick', 'only presence, sizes, seals and hashes of the small objects; reads no pack')
    .option('--deep', 'decode too, and read every archive to its end')
    .option('--sample <percent>', 'read only so many percent of the packs, others each time', percent)
    .addOption(jobsFlag())
    .addOption(asOfFlag())
    .action(async (ids: string[], flags: Flags) => {
      if (flags.quick === true && flags.deep === true) {
        throw new LifeboatError('usage', '--quick and --deep are two levels: choose one');
      }
      const level = flags.quick === true ? 'quick' : flags.deep === true ? 'deep' : undefined;
      await session.perform({
        overrides: overridesOf(flags),
        asOfMs: flags.asOf,
        operation: async () => (await import('../operations/validate/validate.ts')).validateOperation,
        options: { ids, all: flags.all, target: session.flags.target, level, samplePercent: flags.sample },
        view: async () => (await import('../ui/validate-view.ts')).validateView,
      });
    });
}
