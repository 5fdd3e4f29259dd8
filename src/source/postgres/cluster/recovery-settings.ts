/** The settings of a server that recovers a base backup: ours only, on a private socket. */
import type { BaseFacts } from '../base/facts.ts';

/** What the settings depend on. */
export interface RecoverySettings {
  /** The server's own, for its socket; short enough for one. */
  readonly run: string;
  readonly facts: Pick<BaseFacts, 'minima' | 'serverVersionNum' | 'superuser' | 'walSegmentBytes'>;
  readonly restoreCommand: string;
  /** recovery_target* settings, e.g. { recovery_target_time: '…' }. */
  readonly target: Readonly<Record<string, string>>;
}

/** Those of its configuration file, without who may connect. */
export function recoverySettings({ run, facts, restoreCommand, target }: RecoverySettings): Record<string, string> {
  const major = Math.floor(facts.serverVersionNum / 10000);
  const segmentMiB = facts.walSegmentBytes / (1024 * 1024);
  return {
    ...facts.minima,
    listen_addresses: '',
    unix_socket_directories: run,
    unix_socket_permissions: '0700',
    port: '5432',
    hot_standby: 'on',
    // A clone that archives would write into the history of the original.
    archive_mode: 'off',
    // PostgreSQL does not start where there is no room for two segments; its own values are 80 MB and 1 GB.
    min_wal_size: `${Math.max(80, 2 * segmentMiB)}MB`,
    max_wal_size: `${Math.max(1024, 4 * segmentMiB)}MB`,
    autovacuum: 'off',
    logging_collector: 'off',
    log_min_messages: 'info',
    restore_command: restoreCommand,
    ...(major >= 15 ? { recovery_prefetch: 'off' } : {}),
    ...target,
    recovery_target_action: 'pause',
  };
}
