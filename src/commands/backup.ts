/** lifeboat backup */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { LifeboatError } from '../lib/errors.ts';
import type { CompressionSettings } from '../config/compression.ts';
import { backupDefaults, type BackupOptions, type BackupRequest } from '../operations/backup/request.ts';
import type { ComponentName } from '../operations/operation.ts';
import {
  componentNames,
  compression,
  count,
  dryRunFlag,
  jobsFlag,
  overridesOf,
  several,
  severalOf,
  size,
  timeSpan,
} from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly label?: string;
  readonly tag?: string[];
  readonly jobs?: number;
  readonly compression?: CompressionSettings;
  readonly ifRunning: BackupRequest['ifRunning'];
  readonly yieldToDdl?: boolean;
  readonly withoutRows?: string[];
  readonly timeout?: number;
  readonly maxSize?: number;
  readonly acceptNewSystem?: boolean;
  readonly preDeploy?: string;
  readonly keepDays?: number;
  readonly summaryFile?: string;
  readonly dryRun?: boolean;
}

export function declare(command: Command, session: Session): void {
  command
    .argument('[component...]', `full, or some of ${componentNames.join(', ')}`, severalOf(['full', ...componentNames]))
    .option('--label <text>', 'a line that says why, shown in lists')
    .option('--tag <word>', 'a tag that list --tag finds it by; may be repeated', several)
    .addOption(jobsFlag())
    .option('--compression <method>', 'none, gzip, zstd or lz4, with :level', compression)
    .addOption(
      new Option('--if-running <how>', 'while another backup of the target runs: fail, skip, or wait=5m')
        .argParser(ifRunning)
        .default(backupDefaults.ifRunning, backupDefaults.ifRunning.action),
    )
    .option('--yield-to-ddl', 'begin anew whenever a session waits to change a table (ALTER TABLE, TRUNCATE, …)')
    .option('--without-rows <table>', 'leave the rows of a table out that cannot be read; may be repeated', several)
    .option('--timeout <duration>', 'end the backup if it takes longer, such as 6h (default: no limit)', timeSpan(1000))
    .option('--max-size <size>', 'refuse a backup that would store more, such as 20GB', size)
    .option('--accept-new-system', "take this PostgreSQL although the target's was another cluster")
    .option('--pre-deploy <label>', 'before a deployment: keep it for days, and print the command that goes back')
    .option('--keep-days <n>', 'with --pre-deploy: for how long (default: preDeploy.keepDays, 14)', count)
    .option('--summary-file <path>', 'with --pre-deploy: add Markdown to this file (default: $GITHUB_STEP_SUMMARY)')
    .addOption(dryRunFlag())
    .action(async (given: readonly ('full' | ComponentName)[] | undefined, flags: Flags) => {
      const components = new Set(given);
      const options: BackupOptions = {
        target: session.flags.target,
        components: components.has('full') ? undefined : componentNames.filter((each) => components.has(each)),
        label: flags.label,
        tags: flags.tag,
        ifRunning: flags.ifRunning,
        yieldToDdl: flags.yieldToDdl,
        withoutRows: flags.withoutRows,
        timeoutMs: flags.timeout,
        acceptNewSystem: flags.acceptNewSystem,
        dryRun: flags.dryRun,
      };
      const common = {
        overrides: overridesOf(flags),
        view: async () => (await import('../ui/backup-view.ts')).backupView,
      };
      const { preDeploy, keepDays } = flags;
      if (preDeploy === undefined) {
        refuseAlone(flags);
        const operation = async () => (await import('../operations/backup/backup.ts')).backupOperation;
        return session.perform({ ...common, options, operation });
      }
      refuseLabel(flags);
      const file = flags.summaryFile ?? session.io.env['GITHUB_STEP_SUMMARY'];
      const summaryFile = file === '' ? undefined : file;
      await session.perform({
        ...common,
        options: { ...options, label: preDeploy, keepDays, summaryFile },
        operation: async () => (await import('../operations/pre-deploy/pre-deploy.ts')).preDeployOperation,
      });
    });
}

function refuseAlone({ keepDays, summaryFile }: Flags): void {
  const flag = keepDays === undefined ? (summaryFile === undefined ? undefined : '--summary-file') : '--keep-days';
  if (flag !== undefined) throw new LifeboatError('usage', `${flag} belongs to --pre-deploy`);
}

function refuseLabel({ label }: Flags): void {
  if (label !== undefined) throw new LifeboatError('usage', '--label and --pre-deploy contradict each other: give one');
}

function ifRunning(text: string): BackupRequest['ifRunning'] {
  if (text === 'fail' || text === 'skip') return { action: text };
  const wait = /^wait=(.+)$/.exec(text)?.[1];
  if (wait === undefined) throw new InvalidArgumentError('It must be fail, skip or wait=5m.');
  return { action: 'wait', waitMs: timeSpan(0)(wait) };
}
