/** lifeboat wal push|fetch|status */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

const need = { repository: true, encryption: true } as const;

export function declare(command: Command, session: Session): void {
  declarePush(command, session);
  declareFetch(command, session);
  command
    .command('status')
    .description('what log is archived, what is missing in it, and how far the server is ahead')
    .action(async () =>
      session.perform({
        need: { ...need, targets: { name: session.flags.target } },
        operation: async () => (await import('../operations/wal-status.ts')).walStatus,
        request: () => ({ target: session.flags.target }),
        view: async () => (await import('../ui/wal-view.ts')).walStatusView,
      }),
    );
}

function declarePush(command: Command, session: Session): void {
  command
    .command('push')
    .description('archive_command: archive one file of write-ahead log, and all that is ready besides; fails with 1 to 125')
    .argument('<path>', '%p')
    .option('--shipped <folder>', 'where to note what was archived along; see lifeboat init --archive-command')
    .option('--accept-new-system', "take this cluster's log although the target's was that of another one")
    .action(async (path: string, flags: { shipped?: string; acceptNewSystem?: boolean }) =>
      session.perform({
        need,
        operation: async () => (await import('../operations/wal-push.ts')).walPush,
        request: () => ({
          path: session.path(path),
          cwd: session.io.cwd,
          target: session.flags.target,
          shippedDir: flags.shipped === undefined ? undefined : session.path(flags.shipped),
          acceptNewSystem: flags.acceptNewSystem === true,
        }),
        view: async () => (await import('../ui/wal-view.ts')).walPushView,
      }),
    );
}

function declareFetch(command: Command, session: Session): void {
  command
    .command('fetch')
    .description('restore_command: deliver one file of write-ahead log; exits with 1 only if it is proven absent, with 126 or more after any trouble')
    .argument('<name>', '%f')
    .argument('<path>', '%p')
    .option('--system-id <number>', "the cluster's system identifier (default: that of the data directory)")
    .option('--standby', 'for a standby: wait until trouble is over')
    .option('--force', 'take log that no trusted writer signed')
    .action(async (name: string, path: string, flags: { systemId?: string; standby?: boolean; force?: boolean }) =>
      session.perform({
        need,
        operation: async () => (await import('../operations/wal-fetch.ts')).walFetch,
        request: () => ({ name, path: session.path(path), cwd: session.io.cwd, systemId: flags.systemId, standby: flags.standby === true, force: flags.force === true }),
        view: async () => (await import('../ui/wal-view.ts')).walFetchView,
      }),
    );
}
