/** lifeboat restore */
import { Option, type Command } from 'commander';
import { LifeboatError } from '../lib/errors.ts';
import type { ComponentName } from '../operations/operation.ts';
import { redisDefaults } from '../operations/restore/request.ts';
import {
  asOfFlag,
  componentNames,
  confirmFlag,
  dryRunFlag,
  jobsFlag,
  oneOf,
  overridesOf,
  several,
  severalOf,
} from './shared/flags.ts';
import { restoreOptions, type RestoreFlags } from './shared/restore-flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .argument('[id]', 'full id, unique beginning, latest, latest~1, latest:proven')
    .option(
      '--only <component>',
      `only ${componentNames.join(', ')}; may be repeated`,
      severalOf<ComponentName>(componentNames),
    )
    .option('--database-only', 'the same as --only database')
    .option('--into-live', 'replace what is live: restore beside it, verify, then swap; the old is kept')
    .option('--database <name>', 'only this database of the backup; may be repeated', several)
    .option('--to-database <name>', 'name of the new database (default: one is made)')
    .option('--to-url-env <name>', 'environment variable with the URL of another server to restore into')
    .option('--tables <pattern>', 'only these tables, schema.table, * allowed; may be repeated', several)
    .option('--schema-only', 'definitions without rows')
    .option('--data-only', 'rows without definitions, into tables that are there and empty')
    .option('--globals', 'create missing roles and tablespaces too')
    .option('--as-role <name>', 'work as this role of the server, to which everything belongs then; no wall: see below')
    .option('--no-owner', 'objects belong to the user that restores')
    .option('--no-acl', 'leave grants out')
    .option('--subscriptions', 'restore subscriptions too (they replace the production ones at the publisher)')
    .option('--keep-failed', 'keep what a failed restore made, as <name>_failed_<time>')
    .option('--keys <pattern>', 'only Redis keys like this; may be repeated', several)
    .addOption(
      new Option('--redis-method <how>', 'replica, commands or file')
        .argParser(oneOf(['auto', 'replica', 'commands', 'file'] as const))
        .default(redisDefaults.method),
    )
    .option('--replica-address <host:port>', 'where the Redis server reaches this machine')
    .option('--rdb-dir <dir>', 'data folder of a stopped Redis server, for --redis-method file')
    .option('--path <path>', 'only this file or folder; may be repeated', several)
    .option('--to-dir <dir>', 'folder for files; empty or not there yet (default: one is made)')
    .addOption(jobsFlag())
    .addOption(asOfFlag())
    .addOption(confirmFlag())
    .option('--no-backup', 'take no safety backup of what is replaced')
    .option('--force', 'restore what is unsigned or from an untrusted writer, roles and grants too; wants the full id')
    .option('--undo <kept name>', 'take a swap back: give the kept database its name again')
    .addOption(dryRunFlag())
    .action(async (id: string | undefined, flags: RestoreFlags) => {
      if (flags.undo !== undefined) return undo(session, flags.undo, flags);
      if (id === undefined) {
        throw new LifeboatError('usage', 'restore needs the id of a backup', {
          hint: 'see: lifeboat list; the newest is called latest',
        });
      }
      return session.perform({
        overrides: overridesOf(flags),
        confirmed: flags.confirm,
        asOfMs: flags.asOf,
        operation: async () => (await import('../operations/restore/restore.ts')).restoreOperation,
        options: restoreOptions(id, flags, session),
        view: async () => (await import('../ui/restore-view.ts')).restoreView,
      });
    });
}

async function undo(session: Session, kept: string, flags: RestoreFlags): Promise<void> {
  await session.perform({
    confirmed: flags.confirm,
    operation: async () => (await import('../operations/restore/undo.ts')).undoRestoreOperation,
    options: { kept, target: session.flags.target, dryRun: flags.dryRun },
    view: async () => (await import('../ui/restore-view.ts')).undoRestoreView,
  });
}
