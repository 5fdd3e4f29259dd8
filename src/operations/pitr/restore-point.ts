/** Names a moment in the WAL of a server, to come back to by `pitr --to name:…`. */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { switchWal } from '../../source/postgres/base/source.ts';
import { type Connection, withConnection } from '../../source/postgres/server/connection.ts';
import { audited } from '../audit/audited.ts';
import { noteWarnings } from '../warnings.ts';
import type { RestorePointRequest, RestorePointResult } from './request.ts';
import { chooseTarget } from '../targets.ts';
import type { Operation } from '../operation.ts';
import { targetNeeds } from '../complete.ts';

export const createRestorePoint = audited('create-restore-point', create);

export const createRestorePointOperation: Operation<RestorePointRequest, RestorePointRequest, RestorePointResult> = {
  need: targetNeeds,
  complete: (options) => options,
  run: createRestorePoint,
};

async function create(
  loaded: LoadedConfig,
  { name, target: wanted }: RestorePointRequest,
  context: RunContext,
): Promise<RestorePointResult> {
  const { context: watched, warnings } = noteWarnings(context);
  const target = chooseTarget(loaded, wanted);
  const url = target.postgres?.url;
  if (url === undefined) {
    throw new LifeboatError('usage', `target ${target.name} has no PostgreSQL`, { hint: 'set DATABASE_URL' });
  }
  if (name === '' || Buffer.byteLength(name) > 63) {
    throw new LifeboatError('usage', 'the name of a restore point has 1 to 63 bytes');
  }
  const { lsn, at, archives } = await withConnection(url, { signal: watched.signal }, (connection) =>
    writePoint(connection, name),
  );
  if (archives === 'off') {
    watched.emit({
      type: 'warning',
      message:
        'the server does not archive its WAL by archive_command; the restore point can be reached only if the WAL ' +
        'is received otherwise',
    });
  }
  // So that the segment with it is archived soon.
  await switchWal(url, watched.signal);
  return { name, target: target.name, lsn, at, warnings };
}

async function writePoint(
  connection: Connection,
  name: string,
): Promise<{ readonly lsn: string; readonly at: string; readonly archives: string }> {
  const [role] = await connection.query('SELECT pg_is_in_recovery() AS standby');
  if (role?.['standby'] === 't') {
    throw new LifeboatError('source', `cannot name a moment in the log of ${connection.server}: it is a standby`, {
      hint: 'name it on the primary, whose log this is: give the URL of the primary',
      state: 'nothing was written',
    });
  }
  const [row] = await connection.query(
    "SELECT pg_create_restore_point($1) AS lsn, to_char(clock_timestamp() AT TIME ZONE 'UTC', " +
      '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') AS at, current_setting(\'archive_mode\') AS archives',
    [name],
  );
  return { lsn: row?.['lsn'] ?? '', at: row?.['at'] ?? '', archives: row?.['archives'] ?? '' };
}
