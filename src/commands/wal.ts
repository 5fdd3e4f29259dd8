/** lifeboat wal push|fetch|stream|status */
import { Option, type Command } from 'commander';
import { write } from '../ui/terminal.ts';
import { walStreamDefaults } from '../operations/wal/request.ts';
import { confirmFlag, gigabytesText, oneOf, secondsText, size, timeSpan } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  declarePush(command, session);
  declareFetch(command, session);
  declareStream(command, session);
  command
    .command('status')
    .description('what log is archived, what is missing in it, and how far the server is ahead')
    .action(async () =>
      session.perform({
        operation: async () => (await import('../operations/wal/status.ts')).walStatusOperation,
        options: { target: session.flags.target },
        view: async () => (await import('../ui/wal-view.ts')).walStatusView,
      }),
    );
}

function declarePush(command: Command, session: Session): void {
  command
    .command('push')
    .description(
      'archive_command: archive one file of write-ahead log, and all that is ready besides; fails with 1 to 125',
    )
    .argument('<path>', '%p')
    .option('--shipped <folder>', 'where to note what was archived along; see lifeboat init --archive-command')
    .option('--accept-new-system', "take this cluster's log although the target's was that of another one")
    .action(async (path: string, flags: { shipped?: string; acceptNewSystem?: boolean }) =>
      session.perform({
        operation: async () => (await import('../operations/wal/push.ts')).walPushOperation,
        options: {
          path,
          target: session.flags.target,
          shippedDir: flags.shipped,
          acceptNewSystem: flags.acceptNewSystem,
        },
        view: async () => (await import('../ui/wal-view.ts')).walPushView,
      }),
    );
}

function declareFetch(command: Command, session: Session): void {
  command
    .command('fetch')
    .description(
      'restore_command: deliver one file of write-ahead log; exits with 1 only if it is proven absent, with 126 ' +
        'or more after any trouble',
    )
    .argument('<name>', '%f')
    .argument('<path>', '%p')
    .option('--system-id <number>', "the cluster's system identifier (default: that of the data directory)")
    .option('--standby', 'for a standby: wait until trouble is over')
    .option('--force', 'take log that no trusted writer signed')
    .action(async (name: string, path: string, flags: { systemId?: string; standby?: boolean; force?: boolean }) =>
      session.perform({
        operation: async () => (await import('../operations/wal/fetch.ts')).walFetchOperation,
        options: { name, path, systemId: flags.systemId, standby: flags.standby, force: flags.force },
        view: async () => (await import('../ui/wal-view.ts')).walFetchView,
      }),
    );
}

interface StreamFlags {
  readonly slot: string;
  readonly createSlot?: boolean;
  readonly dropSlot?: boolean;
  readonly interval: number;
  readonly report: number;
  readonly maxSpool: number;
  readonly ifRunning: 'fail' | 'skip';
  readonly acceptNewSystem?: boolean;
  readonly acceptGap?: boolean;
  readonly confirm?: string;
}

function declareStream(command: Command, session: Session): void {
  command
    .command('stream')
    .description(
      'receive the log of the running server over a replication slot and archive it, seconds behind, until ' +
        'stopped (SIGTERM, SIGINT); does without archive_command',
    )
    .option('--slot <name>', 'the physical replication slot: one for each receiver', walStreamDefaults.slot)
    .option('--create-slot', 'make the slot if it is not there')
    .addOption(
      new Option('--drop-slot', 'only remove the slot, so that the server no longer keeps log for it').conflicts(
        'createSlot',
      ),
    )
    .addOption(
      new Option('--interval <duration>', 'how often the partial segment is archived')
        .argParser(timeSpan(100))
        .default(walStreamDefaults.intervalMs, secondsText(walStreamDefaults.intervalMs)),
    )
    .addOption(
      new Option('--report <duration>', 'how often to say how far it is behind: with --json a line on standard output')
        .argParser(timeSpan(100))
        .default(walStreamDefaults.reportMs, secondsText(walStreamDefaults.reportMs)),
    )
    .addOption(
      new Option(
        '--max-spool <size>',
        'how much received log may wait on this host while the repository is away; beyond it the server keeps it',
      )
        .argParser(size)
        .default(walStreamDefaults.maxSpoolBytes, gigabytesText(walStreamDefaults.maxSpoolBytes)),
    )
    .addOption(
      new Option('--if-running <how>', 'while another receiver of this cluster runs: fail or skip')
        .argParser(oneOf(['fail', 'skip'] as const))
        .default(walStreamDefaults.skipIfRunning ? 'skip' : 'fail'),
    )
    .option('--accept-new-system', "take this cluster's log although the target's was that of another one")
    .option('--accept-gap', 'start again where the slot begins, although the server no longer has what comes before')
    .addOption(confirmFlag())
    .action(async (flags: StreamFlags) => {
      const { io } = session;
      const isJson = session.flags.json === true;
      await session.perform({
        confirmed: flags.confirm,
        operation: async () => (await import('../operations/wal/stream/stream.ts')).walStreamOperation,
        options: {
          target: session.flags.target,
          slot: flags.slot,
          createSlot: flags.createSlot,
          dropSlot: flags.dropSlot,
          intervalMs: flags.interval,
          reportMs: flags.report,
          maxSpoolBytes: flags.maxSpool,
          skipIfRunning: flags.ifRunning === 'skip',
          acceptNewSystem: flags.acceptNewSystem,
          acceptGap: flags.acceptGap,
          report: isJson
            ? (report) => void write(io.stdout, `${JSON.stringify({ schema: 'lifeboat.wal-stream/v1', ...report })}\n`)
            : undefined,
        },
        view: async () => (await import('../ui/wal-view.ts')).walStreamView,
      });
    });
}
