/** lifeboat emergency-restore status|validate|restore */
import type { Command } from 'commander';
import { LifeboatError } from '../lib/errors.ts';
import type { ComponentName } from '../operations/operation.ts';
import { confirmFlag, dryRunFlag } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly databaseOnly?: boolean;
  readonly redisOnly?: boolean;
  readonly filesOnly?: boolean;
  readonly backup?: boolean;
  readonly force?: boolean;
  readonly planOut?: string;
  readonly apply?: string;
  readonly resume?: boolean;
  readonly dryRun?: boolean;
  readonly confirm?: string;
}

export function declare(command: Command, session: Session): void {
  command
    .command('status')
    .description(
      'what can be restored: the newest whole backup of each target and component, its age, when it was proven, how ' +
        'long it takes',
    )
    .action(async () =>
      session.perform({
        operation: async () => (await import('../operations/emergency/status.ts')).emergencyStatusOperation,
        options: { target: session.flags.target },
        view: async () => (await import('../ui/emergency-view.ts')).emergencyStatusView,
      }),
    );
  command
    .command('validate')
    .description('read every stored byte of one backup, as lifeboat validate does')
    .argument('<id>', 'full id, unique beginning, latest, latest~1')
    .action(async (id: string) =>
      session.perform({
        operation: async () => (await import('../operations/validate/validate.ts')).validateOperation,
        options: { ids: [id], target: session.flags.target },
        view: async () => (await import('../ui/validate-view.ts')).validateView,
      }),
    );
  command
    .command('restore')
    .description('put everything back: the plan, a question, a safety backup, then each part beside, compared, swapped')
    .argument('[id]', 'full id, or unique beginning (default: the newest that is whole)')
    .option('--database-only', 'only the databases')
    .option('--redis-only', 'only Redis')
    .option('--files-only', 'only the files')
    .option('--no-backup', 'take no safety backup of what is still there')
    .option('--force', 'do not ask for the name of the target; wants the full id')
    .option('--plan-out <file>', 'change nothing: write the plan to a new file')
    .option('--apply <file>', 'carry out the plan in that file, if all is as it says')
    .option('--resume', 'go on with the run that was interrupted')
    .addOption(confirmFlag())
    .addOption(dryRunFlag())
    .action(async (id: string | undefined, flags: Flags) =>
      session.perform({
        confirmed: flags.confirm,
        operation: async () => (await import('../operations/emergency/restore.ts')).emergencyRestoreOperation,
        options: {
          id,
          target: session.flags.target,
          only: componentsOf(flags),
          force: flags.force,
          safetyBackup: flags.backup,
          dryRun: flags.dryRun,
          planOut: flags.planOut,
          apply: flags.apply,
          resume: flags.resume,
        },
        view: async () => (await import('../ui/emergency-view.ts')).emergencyView,
      }),
    );
}

function componentsOf({ databaseOnly, redisOnly, filesOnly }: Flags): ComponentName[] {
  const chosen: ComponentName[] = [
    ...(databaseOnly === true ? (['database'] as const) : []),
    ...(redisOnly === true ? (['redis'] as const) : []),
    ...(filesOnly === true ? (['files'] as const) : []),
  ];
  if (chosen.length > 1) {
    throw new LifeboatError('usage', '--database-only, --redis-only and --files-only contradict each other');
  }
  return chosen;
}
