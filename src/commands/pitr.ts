/** lifeboat pitr */
import { Option, type Command } from 'commander';
import type { PitrAction, PitrOptions, PitrOther } from '../operations/pitr/request.ts';
import { LifeboatError } from '../lib/errors.ts';
import { confirmFlag, count, dryRunFlag, jobsFlag, listOf, oneOf, overridesOf, several } from './shared/flags.ts';
import { restoreOptions, urlFrom } from './shared/restore-flags.ts';
import type { Session } from './shared/session.ts';

const others = ['redis', 'files'] as const satisfies readonly PitrOther[];
const types = ['cluster', 'standby'] as const;
const actions = ['shutdown', 'promote', 'pause'] as const satisfies readonly PitrAction[];

interface Flags {
  readonly to?: string;
  readonly type: (typeof types)[number];
  readonly primaryUrlEnv?: string;
  readonly slot?: string;
  readonly dataDir?: string;
  readonly tablespaceMap?: readonly string[];
  readonly timeline?: number;
  readonly inclusive?: boolean;
  readonly exclusive?: boolean;
  readonly action?: PitrAction;
  readonly check?: boolean;
  readonly dryRun?: boolean;
  readonly intoDatabase?: string[];
  readonly tables?: string[];
  readonly toDatabase?: string;
  readonly toUrlEnv?: string;
  readonly intoLive?: boolean;
  readonly globals?: boolean;
  readonly asRole?: string;
  readonly owner?: boolean;
  readonly acl?: boolean;
  readonly keepFailed?: boolean;
  readonly with?: PitrOther[];
  readonly toDir?: string;
  readonly jobs?: number;
  readonly confirm?: string;
  readonly backup?: boolean;
}

export function declare(command: Command, session: Session): void {
  command
    .option(
      '--to <moment>',
      'a time with its zone, 15m ago, lsn:16/B374D848, xid:742, name:before-migration, latest, or immediate (as ' +
        'soon as the base backup is consistent)',
    )
    .option('--data-dir <folder>', 'where to recover into: empty or not there')
    .option(
      '--tablespace-map <old=new>',
      'where a tablespace goes, by its old path or name: empty or not there (default: ' +
        '<data-dir>-tablespaces/<oid>); may stand several times',
      several,
    )
    .option('--timeline <number>', 'along which timeline (default: the newest that comes from the base backup)', count)
    .addOption(new Option('--inclusive', 'stop behind the moment (default)').conflicts('exclusive'))
    .option('--exclusive', 'stop directly before it')
    .addOption(
      new Option(
        '--action <what>',
        'shutdown: promote and shut down, ready to be started (default); promote: leave it running on a private ' +
          'socket; pause: leave it there read-only, at the moment',
      ).argParser(oneOf(actions)),
    )
    .addOption(
      new Option(
        '--type <what>',
        'cluster: one of its own; standby: a replica, which reads the archive and then follows its primary',
      )
        .argParser(oneOf(types))
        .default('cluster'),
    )
    .option(
      '--primary-url-env <name>',
      "of a standby: environment variable with its primary's URL (default: the target's)",
    )
    .option('--slot <name>', 'of a standby: replication slot on the primary; made if it is not there')
    .option(
      '--into-database <name>',
      'copy this database of the recovered cluster into the live server, as a new one beside it, and compare; ' +
        'without --data-dir the recovered cluster is thrown away then; may be repeated',
      several,
    )
    .option('--tables <pattern>', 'of it only these tables, schema.table, * allowed; may be repeated', several)
    .option(
      '--into-live',
      'replace what is live: databases by a swap once they are verified (the old is kept), Redis and files too; ' +
        'with --tables: into the live database itself, where the tables are gone',
    )
    .option('--to-database <name>', 'name of the new database (default: one is made)')
    .option('--to-url-env <name>', 'environment variable with the URL of another server to copy into')
    .option('--globals', 'create missing roles and tablespaces too')
    .option('--as-role <name>', 'copy as this role, to which everything belongs then (see lifeboat-restore(1))')
    .option('--no-owner', 'objects belong to the user that copies')
    .option('--no-acl', 'leave grants out')
    .option('--keep-failed', 'keep what a failed copy made, as <name>_failed_<time>')
    .option(
      '--with <components>',
      `restore ${others.join(',')} too, from their newest backups before the moment`,
      listOf(others),
    )
    .option('--to-dir <dir>', 'folder for files; empty or not there yet (default: one is made)')
    .addOption(jobsFlag())
    .addOption(confirmFlag())
    .option('--no-backup', 'take no safety backup of what is replaced')
    .option('--check', 'open every segment that is needed, and change nothing')
    .addOption(dryRunFlag())
    .action(async (flags: Flags) =>
      session.perform({
        overrides: overridesOf(flags),
        confirmed: flags.confirm,
        operation: async () => (await import('../operations/pitr/pitr.ts')).pitrOperation,
        options: {
          ...restores(flags, session),
          ...moment(flags, session),
          target: session.flags.target,
          tablespaceMap: flags.tablespaceMap && tablespaceMap(flags.tablespaceMap),
          timeline: flags.timeline,
          inclusive: flags.exclusive === true ? false : flags.inclusive,
          dataDir: flags.dataDir,
          action: flags.action,
          check: flags.check,
          dryRun: flags.dryRun,
        },
        view: async () => (await import('../ui/pitr-view.ts')).pitrView,
      }),
    );
}

/** To where; a standby has no moment. */
function moment(flags: Flags, session: Session): Pick<PitrOptions, 'to' | 'standby'> {
  const { to, type, primaryUrlEnv, slot } = flags;
  if (type === 'standby') {
    const primaryUrl = primaryUrlEnv === undefined ? undefined : urlFrom(primaryUrlEnv, session, '--primary-url-env');
    return { to: to ?? 'immediate', standby: { primaryUrl, slot } };
  }
  if (primaryUrlEnv !== undefined || slot !== undefined) {
    throw new LifeboatError('usage', '--primary-url-env and --slot belong to --type standby');
  }
  if (to !== undefined) return { to };
  throw new LifeboatError('usage', "required option '--to <moment>' not specified", {
    hint: 'see: lifeboat pitr --help',
  });
}

/** What is copied or restored beside the cluster, by the rules of `restore`. */
function restores(
  flags: Flags,
  session: Session,
): Pick<PitrOptions, 'intoDatabase' | 'with' | 'others' | 'safetyBackup'> {
  if (!needsTarget(flags)) {
    const wrong = (['tables', 'intoLive', 'toDatabase', 'toUrlEnv', 'globals', 'asRole', 'toDir'] as const).find(
      (name) => flags[name] !== undefined,
    );
    if (wrong !== undefined) {
      throw new LifeboatError(
        'usage',
        `--${wrong.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} belongs to --into-database or --with`,
      );
    }
    return {};
  }
  const { intoDatabase, with: names } = flags;
  if (intoDatabase === undefined && flags.tables !== undefined) {
    throw new LifeboatError('usage', '--tables wants the database they are of', { hint: 'name it by --into-database' });
  }
  // In place is right for tables here, which a restore by swap refuses.
  const { postgres, redis, files, safetyBackup } = restoreOptions(
    '',
    { ...flags, ...(intoDatabase === undefined ? {} : { database: intoDatabase }) },
    session,
  );
  return {
    intoDatabase: intoDatabase === undefined ? undefined : postgres,
    with: names,
    others: { redis, files },
    safetyBackup,
  };
}

function needsTarget({ intoDatabase, with: names }: Flags): boolean {
  return intoDatabase !== undefined || names !== undefined;
}

function tablespaceMap(texts: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {};
  for (const text of texts) {
    const [, old, place] = /^(.+?)=(.+)$/s.exec(text) ?? [];
    if (old === undefined || place === undefined) {
      throw new LifeboatError('usage', `"${text}" is not a tablespace mapping`, {
        hint: 'write --tablespace-map /old/path=/new/path, or name=/new/path',
      });
    }
    map[old] = place;
  }
  return map;
}
