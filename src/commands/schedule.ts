/** lifeboat schedule list|show|add|update|remove|enable|disable|run|publish|print|install */
import type { Command } from 'commander';
import { exitCodeWarnings, LifeboatError } from '../lib/errors.ts';
import type { ScheduleChange } from '../operations/schedule/request.ts';
import { userConfigFolder } from '../config/discover.ts';
import { programPath } from '../lib/program-path.ts';
import { count, dryRunFlag, several } from './shared/flags.ts';
import { changeOf, scheduleFlags, type ScheduleFlags } from './shared/schedule-flags.ts';
import type { Session } from './shared/session.ts';

const views = async () => import('../ui/schedule-view.ts');

export function declare(command: Command, session: Session): void {
  declareList(command, session);
  declareEdits(command, session);
  declareRun(command, session);
  declarePublish(command, session);
  declarePrint(command, session);
  declareInstall(command, session);
}

function declareList(command: Command, session: Session): void {
  command
    .command('list')
    .description('the schedules of the configuration, and when each runs next')
    .action(async () => {
      const { listSchedules } = await import('../operations/schedule/list.ts');
      await session.show(listSchedules(await session.load({})), (await views()).scheduleListView);
    });
  command
    .command('show')
    .description('one schedule, its next moments and the last ones')
    .argument('<id>', 'of the schedule')
    .option('--count <number>', 'so many moments each way', count, 5)
    .action(async (id: string, { count }: { count: number }) => {
      const { chooseSchedule } = await import('../operations/schedule/choose.ts');
      chooseSchedule(await session.load({}, { silent: true }), id);
      const unreadable = await whyUnreadable(session);
      await session.perform({
        operation: async () => (await import('../operations/schedule/show.ts')).scheduleShowOperation,
        options: { id, count, unreadable },
        view: async () => (await views()).scheduleShowView,
      });
    });
}

/** Moments can be shown without the key, too. */
async function whyUnreadable(session: Session): Promise<string | undefined> {
  try {
    await session.load({ repository: true, encryption: true }, { silent: true });
    return undefined;
  } catch (error) {
    if (error instanceof LifeboatError) return error.message;
    throw error;
  }
}

function declareEdits(command: Command, session: Session): void {
  const add = command
    .command('add')
    .description('write one more schedule into the configuration file, and say when it runs')
    .argument('<id>', 'a name of a-z, 0-9 and -')
    .requiredOption('--cron <expression>', 'when, as in crontab: "15 2 * * *"');
  scheduleFlags(add).action(async (id: string, flags: ScheduleFlags) =>
    edit(session, changeOf('add', id, flags, session.flags.target), flags),
  );
  const update = command
    .command('update')
    .description('change what a schedule in the configuration file says')
    .argument('<id>', 'of the schedule')
    .option('--cron <expression>', 'when, as in crontab: "15 2 * * *"')
    .option('--unset <name>', 'back to its default: a part (timezone, …) or an option; may be repeated', several);
  scheduleFlags(update).action(async (id: string, flags: ScheduleFlags) =>
    edit(session, changeOf('update', id, flags, session.flags.target), flags),
  );
  const others = [
    ['remove', 'take a schedule out of the configuration file'],
    ['enable', 'switch a schedule on again'],
    ['disable', 'switch a schedule off, and keep it'],
  ] as const;
  for (const [act, sentence] of others) {
    command
      .command(act)
      .description(sentence)
      .argument('<id>', 'of the schedule')
      .addOption(dryRunFlag())
      .action(async (id: string, flags: { dryRun?: boolean }) => edit(session, { act, id }, flags));
  }
}

async function edit(session: Session, change: ScheduleChange, { dryRun = false }: { dryRun?: boolean }): Promise<void> {
  const { editSchedules } = await import('../operations/schedule/edit.ts');
  const loaded = await session.load({});
  const reload = async (file: string, text: string) =>
    session.load({}, { silent: true, texts: new Map([[file, text]]) });
  const result = await editSchedules(loaded, change, { dryRun, reload });
  await session.show(result, (await views()).scheduleEditView, result.warnings.length > 0 ? exitCodeWarnings : 0);
}

function declareRun(command: Command, session: Session): void {
  command
    .command('run')
    .description('do now what a schedule stands for; exit code and audit record are those of its command')
    .argument('<id>', 'of the schedule')
    .option('--slot', 'only what is due and nobody has run yet, on whichever host; recorded in the repository')
    .action(async (id: string, { slot }: { slot?: boolean }) => {
      const { chooseSchedule } = await import('../operations/schedule/choose.ts');
      // Which secrets are needed, the schedule tells.
      const chosen = chooseSchedule(await session.load({}, { silent: true }), id);
      const target = session.flags.target ?? chosen.options.target;
      const schedule = target === undefined ? chosen : { ...chosen, options: { ...chosen.options, target } };
      const { scheduleRunOperation } = await import('../operations/schedule/run.ts');
      await session.perform({
        operation: async () => scheduleRunOperation(schedule),
        options: { schedule, slot },
        view: async () => (await views()).scheduleRunView,
      });
    });
}

function declarePublish(command: Command, session: Session): void {
  command
    .command('publish')
    .description('say in the repository which schedules are in force, so that status tells what never ran')
    .option('--withdraw <id>', 'a schedule of a host that is gone: it is in force no more')
    .action(async ({ withdraw }: { withdraw?: string }) =>
      session.perform({
        operation: async () => (await import('../operations/schedule/publish.ts')).schedulePublishOperation,
        options: { withdraw },
        view: async () => (await views()).schedulePublishView,
      }),
    );
}

interface PrintFlags {
  readonly cron?: boolean;
  readonly systemd?: boolean;
  readonly kubernetes?: boolean;
  readonly image: string;
}

function declarePrint(command: Command, session: Session): void {
  command
    .command('print')
    .description('lines and units that call the schedules, ready to be put in place')
    .argument('[id]', 'of the schedule; default: all that are switched on')
    .option('--cron', 'lines for crontab -e')
    .option('--systemd', 'services and timers')
    .option('--kubernetes', 'CronJobs')
    .option('--image <image>', '--kubernetes: the image that has lifeboat', 'lifeboat:latest')
    .action(async (id: string | undefined, { image, ...flags }: PrintFlags) => {
      const kinds = (['cron', 'systemd', 'kubernetes'] as const).filter((kind) => flags[kind] === true);
      const [kind] = kinds;
      if (kind === undefined || kinds.length > 1) {
        throw new LifeboatError('usage', 'say which: --cron, --systemd or --kubernetes');
      }
      const { printUnits } = await import('../operations/schedule/print.ts');
      const { chooseSchedule } = await import('../operations/schedule/choose.ts');
      const loaded = await session.load({});
      if (id !== undefined) chooseSchedule(loaded, id);
      const result = await printUnits(loaded, { kind, program: programPath, envFile: envFileOf(session), id, image });
      await session.show(result, (await views()).schedulePrintView, result.warnings.length > 0 ? exitCodeWarnings : 0);
    });
}

function envFileOf(session: Session): string | undefined {
  const { envFile } = session.flags;
  return envFile === undefined ? undefined : session.path(envFile);
}

interface InstallFlags {
  readonly cron?: boolean;
  readonly systemd?: boolean;
  readonly remove?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly root?: string;
}

function declareInstall(command: Command, session: Session): void {
  command
    .command('install')
    .description('put in place what calls the schedules that are switched on, or take it out again')
    .option('--cron', 'as root files in /etc/cron.d, else lines in the crontab of the user')
    .option('--systemd', 'services and timers, as root of the system, else of the user')
    .option('--remove', 'take out what this configuration has in place')
    .option('--yes', 'without a question')
    .option('--root <folder>', 'of another system (an image, a container): where its /etc lies')
    .addOption(dryRunFlag())
    .action(async ({ cron, systemd, yes, root, ...flags }: InstallFlags) => {
      if (cron === systemd) throw new LifeboatError('usage', 'say which: --cron or --systemd');
      await session.perform({
        operation: async () => (await import('../operations/schedule/install.ts')).scheduleInstallOperation,
        options: {
          ...flags,
          kind: cron === true ? 'cron' : 'systemd',
          root: root === undefined ? undefined : session.path(root),
          program: programPath,
          envFile: envFileOf(session),
          userFolder: userConfigFolder(session.io.env),
        },
        confirmed: yes === true ? 'yes' : undefined,
        view: async () => (await views()).scheduleInstallView,
      });
    });
}
