/**
 * What a server tells of the archiving of its write-ahead log: settings, how the archiver fares, and what its slots
 * hold back. Changes nothing.
 */
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, withConnection } from './connection.ts';
import { readSystemId } from './control.ts';
import { type PasswordEnd, readPasswordEnd } from './password-end.ts';
import { writtenLsn } from './log-position.ts';
import { segmentAt } from '../wal/file-name.ts';
import { parseLsn } from '../wal/lsn.ts';

/** Times RFC 3339 in UTC, positions as PostgreSQL writes them. */
export interface ArchiverState {
  /** Decimal; undefined where it may not be read. */
  readonly systemId: string | undefined;
  readonly isStandby: boolean;
  /** How far the log is written; on a standby: received or replayed. */
  readonly currentLsn: string;
  /** Name of the segment that holds what is before it. */
  readonly currentSegment: string;
  readonly segmentBytes: number;
  readonly walLevel: string;
  readonly archiveMode: string;
  /** Undefined where it may not be read. */
  readonly archiveCommand: string | undefined;
  /** Empty where there is none. */
  readonly archiveLibrary: string;
  readonly lastArchived: string | undefined;
  readonly lastArchivedAt: string | undefined;
  /** By the server's clock. */
  readonly lastArchivedAgoMs: number | undefined;
  readonly failures: number;
  readonly lastFailed: string | undefined;
  readonly lastFailedAt: string | undefined;
  /** The last attempt failed. */
  readonly isFailing: boolean;
  readonly slots: readonly ReplicationSlot[];
  /** Of the role that asked. */
  readonly passwordEnd: PasswordEnd | undefined;
}

export interface ReplicationSlot {
  readonly name: string;
  readonly kind: string;
  readonly isActive: boolean;
  /** Log that the server keeps for it. */
  readonly heldBytes: number;
  /** reserved, extended, unreserved, lost. */
  readonly walStatus: string;
}

export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  readonly connectTimeoutMs?: number;
}

/** Connects and asks. Throws `source` (13) as withConnection does. */
export async function askArchiver(url: PostgresUrl, options: AskOptions): Promise<ArchiverState> {
  return withConnection(url, options, readArchiver);
}

/** The same over a connection that is there. */
export async function readArchiver(connection: Connection): Promise<ArchiverState> {
  const systemId = await readSystemId(connection);
  const [row] = await connection.query(stateSql);
  const command = await connection.query("SELECT current_setting('archive_command') AS command").catch(() => []);
  const slots = await connection.query(slotsSql);
  const passwordEnd = await readPasswordEnd(connection);
  const text = (name: string): string | undefined => row?.[name] ?? undefined;
  const archivedAgo = text('archived_ago');
  const currentLsn = text('lsn') ?? '0/0';
  const segmentBytes = Number(text('segment_bytes') ?? 16_777_216);
  return {
    systemId,
    isStandby: text('standby') === 't',
    currentLsn,
    currentSegment: text('segment') ?? segmentBefore(currentLsn, Number(text('standby_timeline')), segmentBytes),
    segmentBytes,
    walLevel: text('wal_level') ?? '',
    archiveMode: text('mode') ?? 'off',
    archiveCommand: command[0]?.['command'] ?? undefined,
    archiveLibrary: text('library') ?? '',
    lastArchived: text('last_archived_wal'),
    lastArchivedAt: text('archived_at'),
    lastArchivedAgoMs: archivedAgo === undefined ? undefined : Math.max(0, Number(archivedAgo) * 1000),
    failures: Number(text('failed_count') ?? 0),
    lastFailed: text('last_failed_wal'),
    lastFailedAt: text('failed_at'),
    isFailing: text('failing') === 't',
    passwordEnd,
    slots: slots.map((slot) => ({
      name: slot['name'] ?? '',
      kind: slot['kind'] ?? '',
      isActive: slot['active'] === 't',
      heldBytes: Number(slot['held'] ?? 0),
      walStatus: slot['status'] ?? '',
    })),
  };
}

/** A standby refuses pg_walfile_name(). */
function segmentBefore(lsn: string, timeline: number, segmentBytes: number): string {
  const position = parseLsn(lsn);
  return segmentAt(timeline, position === 0n ? 0n : position - 1n, segmentBytes);
}

const utc = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const stateSql = `
  SELECT pg_is_in_recovery() AS standby,
    lsn,
    coalesce((SELECT received_tli FROM pg_stat_wal_receiver), c.timeline_id) AS standby_timeline,
    CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(lsn) END AS segment,
    pg_size_bytes(current_setting('wal_segment_size')) AS segment_bytes,
    current_setting('wal_level') AS wal_level,
    current_setting('archive_mode') AS mode,
    current_setting('archive_library', true) AS library,
    last_archived_wal,
    ${utc('last_archived_time')} AS archived_at,
    extract(epoch FROM now() - last_archived_time) AS archived_ago,
    failed_count,
    last_failed_wal,
    ${utc('last_failed_time')} AS failed_at,
    coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing
  FROM pg_stat_archiver, pg_control_checkpoint() c, (SELECT ${writtenLsn} AS lsn) AS position`;

const slotsSql = `
  SELECT slot_name::text AS name,
    slot_type AS kind,
    active,
    coalesce(pg_wal_lsn_diff(${writtenLsn}, restart_lsn), 0)::bigint AS held,
    coalesce(wal_status, 'reserved') AS status
  FROM pg_replication_slots
  ORDER BY slot_name`;
