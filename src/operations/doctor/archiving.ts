/**
 * What `lifeboat doctor` says of a server's write-ahead log: does it come here, and what does the server hold back for
 * slots?
 */
import type { PostgresConfig } from '../../config/config.ts';
import { counted, formatBytes } from '../../lib/units.ts';
import type { ArchiverState, ReplicationSlot } from '../../source/postgres/server/archiver.ts';
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
): DoctorCheck[] {
  const slots = state.slots.flatMap((slot) => judgeSlot(name, slot));
  const streamed = state.slots.find(
    ({ kind, isActive, name: slot }) => kind === 'physical' && isActive && slot.startsWith('lifeboat'),
  );
  const comesHere = pushesHere(state) || streamed !== undefined;
  if (state.isStandby || (base === undefined && !comesHere)) return slots;
  const faults = [...ofSettings(name, state, streamed !== undefined), ...slots];
  if (faults.length > 0) return faults;
  const how = pushesHere(state)
    ? 'archive_command hands it over, ' +
      (state.lastArchived === undefined
        ? 'nothing yet'
        : `last ${state.lastArchived} at ${state.lastArchivedAt ?? 'an unknown time'}`)
    : `it is received over slot ${streamed?.name ?? ''}`;
  return [
    passed(
      name,
      `write-ahead log (wal_level ${state.walLevel}) comes here: ${how}; failures so far: ${state.failures}`,
    ),
  ];
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
  const { walLevel, archiveMode, archiveCommand, archiveLibrary, isFailing, failures, lastFailed, lastFailedAt } =
    state;
  if (walLevel === 'minimal') {
    return [
      failed(
        name,
        'wal_level is minimal: the log is not enough for a recovery',
        'set wal_level = replica and restart the server',
        'source',
      ),
    ];
  }
  if (isStreamed) return [];
  if (archiveMode === 'off') {
    return [
      warned(
        name,
        'archive_mode is off, and no wal stream receives the log: without it base backups are of no use',
        recipe,
      ),
    ];
  }
  if (archiveLibrary !== '') {
    return [
      warned(
        name,
        `archive_library is set (${archiveLibrary}), so that archive_command is not called`,
        `set archive_library = '', then ${recipe}`,
      ),
    ];
  }
  if (archiveCommand === undefined) {
    return [
      warned(
        name,
        'this user may not see archive_command',
        'GRANT pg_read_all_settings to it, or look at SHOW archive_command',
      ),
    ];
  }
  if (!pushesHere(state)) {
    return [
      warned(
        name,
        archiveCommand === ''
          ? 'archive_command is empty: the server keeps all of its log'
          : 'archive_command does not call lifeboat wal push: the log goes elsewhere',
        recipe,
      ),
    ];
  }
  if (isFailing) {
    return [
      failed(
        name,
        `archive_command fails: ${counted(failures, 'failure')}, last for ${lastFailed ?? 'a file'} at ` +
          `${lastFailedAt ?? 'an unknown time'}; the server keeps the log until its disk is full`,
        "the server's log has what it said; run it by hand as the server's user",
        'source',
      ),
    ];
  }
  return [];
}

function judgeSlot(name: string, { name: slot, isActive, heldBytes, walStatus }: ReplicationSlot): DoctorCheck[] {
  if (walStatus === 'lost') {
    return [
      warned(
        name,
        `replication slot ${slot} has lost log that its consumer needs`,
        `drop it, and set up its consumer anew: SELECT pg_drop_replication_slot('${slot}')`,
      ),
    ];
  }
  if (heldBytes <= slotLimitBytes) return [];
  const hint = isActive
    ? 'see what slows its consumer'
    : `if its consumer is gone for good: SELECT pg_drop_replication_slot('${slot}')`;
  return [
    warned(
      name,
      `replication slot ${slot} (${isActive ? 'active' : 'not active'}) holds back ${formatBytes(heldBytes)} of ` +
        'log on the server',
      hint,
    ),
  ];
}
