/** lifeboat integrity */
import type { Command } from 'commander';
import { LifeboatError } from '../lib/errors.ts';
import { jobsFlag, overridesOf, percent } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly drill?: true | string[];
  readonly pitr?: boolean;
  readonly seed?: string;
  readonly repositoryOnly?: boolean;
  readonly logShare?: number;
  readonly jobs?: number;
}

export function declare(command: Command, session: Session): void {
  command
    .option(
      '--drill [id...]',
      'restore these backups (default: the newest of each target) into ' +
        'throwaway servers, compare, and record the evidence',
    )
    .option(
      '--pitr',
      'with --drill: recover PostgreSQL to a random moment from a base backup and its log, and prove that what ' +
        'was committed up to it is there, and nothing later',
    )
    .option('--seed <text>', 'with --pitr: the same one chooses the same moment of the same window')
    .option('--repository-only', 'only the repository as a whole (without --drill, all there is)')
    .option(
      '--log-share <percent>',
      'read so many percent of the archived write-ahead log, others each time (default: 15, all in a week of nights)',
      percent,
    )
    .addOption(jobsFlag())
    .action(async (flags: Flags) => {
      if (flags.drill !== undefined && flags.repositoryOnly === true) {
        throw new LifeboatError('usage', '--drill and --repository-only contradict each other');
      }
      if (flags.drill === undefined && flags.pitr === true) {
        throw new LifeboatError('usage', '--pitr is a kind of drill', { hint: 'lifeboat integrity --drill --pitr' });
      }
      if (flags.drill !== undefined && flags.logShare !== undefined) {
        throw new LifeboatError('usage', '--log-share is for the repository as a whole: leave --drill out');
      }
      if (flags.seed !== undefined && flags.pitr !== true) throw new LifeboatError('usage', '--seed is for --pitr');
      await (flags.drill === undefined
        ? account(session, flags)
        : drill(session, flags.drill === true ? undefined : flags.drill, flags));
    });
}

async function account(session: Session, flags: Flags): Promise<void> {
  await session.perform({
    overrides: overridesOf(flags),
    operation: async () => (await import('../operations/integrity/integrity.ts')).integrityOperation,
    options: { target: session.flags.target, logPercent: flags.logShare },
    view: async () => (await import('../ui/integrity-view.ts')).integrityView,
  });
}

async function drill(session: Session, ids: readonly string[] | undefined, flags: Flags): Promise<void> {
  await session.perform({
    overrides: overridesOf(flags),
    operation: async () => (await import('../operations/drill/drill.ts')).drillOperation,
    options: { ids, target: session.flags.target, pitr: flags.pitr, seed: flags.seed },
    view: async () => (await import('../ui/drill-view.ts')).drillView,
  });
}
