/** lifeboat pitr */
import { Option, type Command } from 'commander';
import type { PitrAction } from '../operations/pitr-requests.ts';
import { LifeboatError } from '../lib/errors.ts';
import { count, dryRunFlag, oneOf, several } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

const actions = ['shutdown', 'promote', 'pause'] as const satisfies readonly PitrAction[];

interface Flags {
  readonly to: string;
  readonly dataDir?: string;
  readonly tablespaceMap?: readonly string[];
  readonly timeline?: number;
  readonly inclusive?: boolean;
  readonly exclusive?: boolean;
  readonly action: PitrAction;
  readonly check?: boolean;
  readonly dryRun?: boolean;
}

export function declare(command: Command, session: Session): void {
  command
    .requiredOption('--to <moment>', 'a time with its zone, 15m ago, lsn:16/B374D848, xid:742, name:before-migration, latest, or immediate (as soon as the base backup is consistent)')
    .option('--data-dir <folder>', 'where to recover into: empty or not there')
    .option('--tablespace-map <old=new>', 'where a tablespace goes, by its old path or name: empty or not there (default: <data-dir>-tablespaces/<oid>); may stand several times', several)
    .option('--timeline <number>', 'along which timeline (default: the newest that comes from the base backup)', count)
    .addOption(new Option('--inclusive', 'stop behind the moment (default)').conflicts('exclusive'))
    .option('--exclusive', 'stop directly before it')
    .addOption(new Option('--action <what>', 'shutdown: promote and shut down, ready to be started; promote: leave it running on a private socket; pause: leave it there read-only, at the moment').argParser(oneOf(actions)).default('shutdown'))
    .option('--check', 'open every segment that is needed, and change nothing')
    .addOption(dryRunFlag())
    .action(async (flags: Flags) =>
      session.perform({
        need: { repository: true, encryption: true },
        operation: async () => (await import('../operations/pitr.ts')).pitr,
        request: () => ({
          to: flags.to,
          target: session.flags.target,
          tablespaceMap: tablespaceMap(flags.tablespaceMap ?? [], session),
          timeline: flags.timeline,
          inclusive: flags.exclusive !== true,
          dataDir: flags.dataDir === undefined ? undefined : session.path(flags.dataDir),
          action: flags.action,
          check: flags.check === true,
          dryRun: flags.dryRun === true,
        }),
        view: async () => (await import('../ui/pitr-view.ts')).pitrView,
      }),
    );
}

function tablespaceMap(texts: readonly string[], session: Session): Record<string, string> {
  const map: Record<string, string> = {};
  for (const text of texts) {
    const [, old, place] = /^(.+?)=(.+)$/s.exec(text) ?? [];
    if (old === undefined || place === undefined) throw new LifeboatError('usage', `"${text}" is no mapping of a tablespace`, { hint: 'write --tablespace-map /old/path=/new/path, or name=/new/path' });
    map[old] = session.path(place);
  }
  return map;
}
