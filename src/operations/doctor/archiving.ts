/**
 * What `lifeboat doctor` says of a server's write-ahead log: does it come here, and what does the server hold back for
 * slots?
 */
import type { PostgresConfig } from '../../config/config.ts';
import { counted, formatBytes } from '../../lib/units.ts';
import type { ArchiverState, ReplicationSlot } from '../../source/postgres/server/archiver.ts';
import { newerLifeboat, unknownMajor } from '../../source/postgres/wal/known-majors.ts';
import { failed, passed, warned } from './check.ts';
import type { DoctorCheck } from './request.ts';

const recipe =
  'set archive_mode = on and the archive_command that this prints, restart the server: lifeboat init ' +
  '--archive-command; or let it be received: lifeboat wal stream';

/** A slot may hold back so much before it is told: a consumer that is gone fills the disk. */
const slotLimitBytes = 1024 ** 3;

/** Pure. Says nothing where no base backups are configured and the log goes elsewhere or nowhere. */
export function judgeArchiving(
  name: string,
  state: ArchiverState,
  { base }: Pick<PostgresConfig, 'base'>,
  serverMajor: number,
): DoctorCheck[] {
  const slots = state.slots.flatMap((slot) => judgeSlot(name, slot));
  const streamed = state.slots.find(
    ({ kind, isActive, name: slot }) => kind === 'physical' && isActive && slot.startsWith('lifeboat'),
  );
  const comesHere = pushesHere(state) || streamed !== undefined;
  if (state.isStandby || (base === undefined && !comesHere)) return slots;
  const unknown = unknownMajor(serverMajor);
  if (unknown !== undefined) return [failed(name, unknown, newerLifeboat, 'source'), ...slots];
  const faults = [...ofSettings(name, state, streamed !== undefined), ...slots];
  if (faults.length > 0) return faults;
  const how = pushesHere(state) ? handedOver(state) : `it is received over slot ${streamed?.name ?? ''}`;
  const level = `wal_level ${state.walLevel}`;
  const message = `write-ahead log (${level}) comes here: ${how}; failures so far: ${state.failures}`;
  return [passed(name, message)];
}

function handedOver({ lastArchived, lastArchivedAt = 'an unknown time' }: ArchiverState): string {
  const last = lastArchived === undefined ? 'nothing yet' : `last ${lastArchived} at ${lastArchivedAt}`;
  return `archive_command hands it over, ${last}`;
}

/** The recipe's call, wherever the program lies. */
function pushesHere({ archiveMode, archiveCommand, archiveLibrary }: ArchiverState): boolean {
  return (
    archiveMode !== 'off' &&
    archiveLibrary === '' &&
    archiveCommand !== undefined &&
    /\blifeboat(\.js)?["']?\s+wal\s+push\b/.test(archiveCommand)
  );
}

function ofSettings(name: string, state: ArchiverState, isStreamed: boolean): DoctorCheck[] {
  if (state.walLevel === 'minimal') {
    const hint = 'set wal_level = replica and restart the server';
    return [failed(name, 'wal_level is minimal: the log is not enough for a recovery', hint, 'source')];
  }
  if (isStreamed) return [];
  const fault = notArchivedHere(name, state) ?? archivingFails(name, state);
  return fault === undefined ? [] : [fault];
}

/** Why the server's settings hand no log to us. Undefined: they do. */
function notArchivedHere(name: string, state: ArchiverState): DoctorCheck | undefined {
  const { archiveMode, archiveCommand, archiveLibrary } = state;
  if (archiveMode === 'off') {
    const message = 'archive_mode is off, and no wal stream receives the log: without it base backups are of no use';
    return warned(name, message, recipe);
  }
  if (archiveLibrary !== '') {
    const message = `archive_library is set (${archiveLibrary}), so that archive_command is not called`;
    return warned(name, message, `set archive_library = '', then ${recipe}`);
  }
  if (archiveCommand === undefined) {
    const hint = 'GRANT pg_read_all_settings to it, or look at SHOW archive_command';
    return warned(name, 'this user may not see archive_command', hint);
  }
  if (pushesHere(state)) return undefined;
  const message =
    archiveCommand === ''
      ? 'archive_command is empty: the server keeps all of its log'
      : 'archive_command does not call lifeboat wal push: the log goes elsewhere';
  return warned(name, message, recipe);
}

function archivingFails(name: string, state: ArchiverState): DoctorCheck | undefined {
  const { isFailing, failures, lastFailed = 'a file', lastFailedAt = 'an unknown time' } = state;
  if (!isFailing) return undefined;
  return failed(
    name,
    `archive_command fails: ${counted(failures, 'failure')}, last for ${lastFailed} at ${lastFailedAt}; ` +
      'the server keeps the log until its disk is full',
    "the server's log has what it said; run it by hand as the server's user",
    'source',
  );
}

function judgeSlot(name: string, { name: slot, isActive, heldBytes, walStatus }: ReplicationSlot): DoctorCheck[] {
  if (walStatus === 'lost') {
    const message = `replication slot ${slot} has lost log that its consumer needs`;
    const hint = `drop it, and set up its consumer anew: SELECT pg_drop_replication_slot('${slot}')`;
    return [warned(name, message, hint)];
  }
  if (heldBytes <= slotLimitBytes) return [];
  const held = `holds back ${formatBytes(heldBytes)} of log on the server`;
  const hint = isActive
    ? 'see what slows its consumer'
    : `if its consumer is gone for good: SELECT pg_drop_replication_slot('${slot}')`;
  return [warned(name, `replication slot ${slot} (${isActive ? 'active' : 'not active'}) ${held}`, hint)];
}
