/** The settings of a server that recovers a base backup: ours only, on a private socket. */
import { join } from 'node:path';
import type { BaseFacts } from '../base/facts.ts';

/** What the settings depend on. */
export interface RecoverySettings {
  /** Private, reachable for the owner, short enough for a socket. */
  readonly folder: string;
  readonly facts: Pick<BaseFacts, 'minima' | 'serverVersionNum' | 'superuser'>;
  readonly restoreCommand: string;
  /** recovery_target* settings, e.g. { recovery_target_time: '…' }. */
  readonly target: Readonly<Record<string, string>>;
}

/** The text of its configuration file; hba.conf and ident.conf are expected beside it. */
export function recoverySettings({ folder, facts, restoreCommand, target }: RecoverySettings): string {
  const major = Math.floor(facts.serverVersionNum / 10000);
  const all: Record<string, string> = {
    ...facts.minima,
    listen_addresses: '',
    unix_socket_directories: folder,
    unix_socket_permissions: '0700',
    port: '5432',
    hba_file: join(folder, 'hba.conf'),
    ident_file: join(folder, 'ident.conf'),
    hot_standby: 'on',
    // A clone that archives would write into the history of the original.
    archive_mode: 'off',
    autovacuum: 'off',
    logging_collector: 'off',
    log_min_messages: 'info',
    restore_command: restoreCommand,
    ...(major >= 15 ? { recovery_prefetch: 'off' } : {}),
    ...target,
    recovery_target_action: 'pause',
  };
  return Object.entries(all)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join('');
}
