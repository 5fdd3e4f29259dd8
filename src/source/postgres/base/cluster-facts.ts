/** What a server tells of its cluster before and after a base backup, and whether its user may take one. */
import type { Problem } from '../../source.ts';
import type { ClusterFacts } from './facts.ts';
import type { Connection } from '../server/connection.ts';
import { readControl } from '../server/control.ts';
import { newerLifeboat, unknownMajor } from '../wal/known-majors.ts';

const minima = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
];

/** A tablespace outside of the data directory. */
export interface TablespacePlace {
  /** Decimal. */
  readonly oid: string;
  readonly name: string;
  readonly path: string;
}

export type Cluster = Omit<ClusterFacts, 'toolVersion' | 'startedAt' | 'stoppedAt' | 'tablespaces'> & {
  readonly tablespaces: readonly TablespacePlace[];
  readonly now: string;
};

/** What the cluster says of itself now. `now`: its clock, RFC 3339 in UTC. */
export async function readCluster(connection: Connection): Promise<Cluster> {
  const { systemId, segmentBytes } = await readControl(connection);
  const [row] = await connection.query(`
    SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
      current_setting('data_checksums') AS checksums,
      pg_get_userbyid(10) AS superuser,
      pg_snapshot_xmin(pg_current_snapshot()) AS xid,
      to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now`);
  const settings = await connection.query(
    `SELECT name, setting FROM pg_settings WHERE name IN (${minima.map((name) => `'${name}'`).join(', ')})`,
  );
  const outside = await connection.query(`
    SELECT f.name, f.setting FROM pg_settings f, pg_settings d
    WHERE d.name = 'data_directory'
      AND f.name IN ('config_file', 'hba_file', 'ident_file')
      AND NOT starts_with(f.setting, d.setting || '/')`);
  // Those inside of the data directory (allow_in_place_tablespaces) have a relative path and are part of its tar.
  const spaces = await connection.query(
    'SELECT oid, spcname AS name, pg_tablespace_location(oid) AS path FROM pg_tablespace WHERE ' +
      "pg_tablespace_location(oid) LIKE '/%' ORDER BY oid",
  );
  const byName = (rows: readonly Readonly<Record<string, string | null>>[]): Record<string, string> =>
    Object.fromEntries(rows.map((each) => [each['name'] ?? '', each['setting'] ?? '']));
  return {
    serverVersion: row?.['version'] ?? '',
    serverVersionNum: connection.serverVersionNum,
    systemIdentifier: systemId,
    walSegmentBytes: segmentBytes,
    dataChecksums: row?.['checksums'] === 'on',
    superuser: row?.['superuser'] ?? 'postgres',
    oldestXid: row?.['xid'] ?? '0',
    minima: byName(settings),
    outsideFiles: byName(outside),
    tablespaces: spaces.map((each) => ({ oid: each['oid'] ?? '', name: each['name'] ?? '', path: each['path'] ?? '' })),
    now: row?.['now'] ?? '',
  };
}

/** Why a base backup of this server could not be recovered: its log would be refused. */
export function majorProblems({ serverVersionNum }: Pick<Connection, 'serverVersionNum'>): Problem[] {
  const message = unknownMajor(Math.trunc(serverVersionNum / 10_000));
  return message === undefined ? [] : [{ message, hint: newerLifeboat, fatal: true }];
}

/** Why the user could not take a base backup. */
export async function rightProblems(connection: Connection): Promise<Problem[]> {
  const [role] = await connection.query(
    'SELECT rolsuper OR rolreplication AS may FROM pg_roles WHERE rolname = current_user',
  );
  if (role?.['may'] === 't') return [];
  return [
    {
      message: 'the user may not take base backups',
      hint: 'ALTER ROLE … REPLICATION for the backup user',
      fatal: true,
    },
  ];
}

/** All of the cluster, as far as the user may ask: bytes. */
export async function clusterBytes(connection: Connection): Promise<number> {
  const [size] = await connection.query(`
    SELECT CASE
      WHEN (SELECT bool_and(rolsuper OR pg_has_role('pg_read_all_stats', 'USAGE'))
        FROM pg_roles WHERE rolname = current_user)
      THEN (SELECT sum(pg_tablespace_size(oid)) FROM pg_tablespace)
      ELSE (SELECT sum(pg_database_size(oid))
        FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')) END AS bytes`);
  return Number(size?.['bytes'] ?? 0);
}
