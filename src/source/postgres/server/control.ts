/** What a server tells of its pg_control: which cluster it is, and the shape of its log. */
import type { Queries } from './maintenance.ts';

/** As initdb and the last checkpoint have it. */
export interface ControlData {
  /** In decimal; equal on a primary and its standbys. */
  readonly systemId: string;
  readonly segmentBytes: number;
  /** Of the last checkpoint: on a standby it may be behind by a promotion. */
  readonly timeline: number;
}

/** The system identifier, in decimal; undefined where it may not be read. */
export async function readSystemId(connection: Queries): Promise<string | undefined> {
  const sql = 'SELECT system_identifier::text AS id FROM pg_control_system()';
  const [row] = await connection.query(sql).catch(() => []);
  return row?.['id'] ?? undefined;
}

/** All of it. Throws `source` (13) where it may not be read. */
export async function readControl(connection: Queries): Promise<ControlData> {
  const [row] = await connection.query(`
    SELECT s.system_identifier::text AS system,
      i.bytes_per_wal_segment::text AS segment,
      c.timeline_id::text AS timeline
    FROM pg_control_system() s, pg_control_init() i, pg_control_checkpoint() c`);
  return {
    systemId: row?.['system'] ?? '',
    segmentBytes: Number(row?.['segment']),
    timeline: Number(row?.['timeline']),
  };
}
