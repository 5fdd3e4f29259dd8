/**
 * A recovered cluster looked at as a whole: it is the one that was backed up, every table of every database can be
 * read, and its structure is sound.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import type { RecoveringServer } from '../../source/postgres/cluster/recovery.ts';
import { blaming } from './recover.ts';
import type { DrillRecord } from './subject.ts';
import { recordStructure } from './structure.ts';

export interface RecoveredCluster {
  readonly server: RecoveringServer;
  readonly facts: BaseFacts;
  readonly programs: string;
  readonly jobs: number;
  /** At the first consistent moment, before anything else was replayed. */
  readonly isAtBase: boolean;
}

/**
 * Promotes the server first: a transaction that had not ended at the target holds its tables locked until then, and
 * pg_amcheck needs to write. Throws `integrity` (14).
 */
export async function checkCluster(cluster: RecoveredCluster, record: DrillRecord, context: RunContext): Promise<void> {
  const { server } = cluster;
  await record.step('compare', () => compareFacts(cluster, context));
  record.compared.push(
    'system identifier, version, timeline, checksums, segment size, superuser and tablespaces with what was recorded',
  );
  await blaming('the recovered cluster cannot be promoted', () => server.promote(context.signal), context);
  const databases = await record.step('read', () =>
    blaming('a table of the recovered cluster cannot be read', () => server.readAll(context), context),
  );
  record.compared.push('every table of every database, read to its end');
  record.count('databases', databases.length);
  for (const database of databases) record.count('tables', await countTables(server, database, context));
  await recordStructure(
    {
      url: server.url,
      databases,
      named: (database) => `database "${database}" of the recovered cluster`,
      component: 'base',
      programs: cluster.programs,
      jobs: cluster.jobs,
    },
    record,
    context,
  );
}

async function compareFacts({ server, facts, isAtBase }: RecoveredCluster, { signal }: RunContext): Promise<void> {
  const [row = {}] = await withConnection(server.url, { signal }, async (client) =>
    client.query(`
      SELECT s.system_identifier::text AS "systemIdentifier",
        c.timeline_id::text AS timeline,
        i.bytes_per_wal_segment::text AS "walSegmentBytes",
        (i.data_page_checksum_version > 0)::text AS "dataChecksums",
        (current_setting('server_version_num')::int / 10000)::text AS major,
        (SELECT rolname::text FROM pg_roles WHERE oid = 10) AS superuser,
        (SELECT coalesce(string_agg(spcname::text, ', ' ORDER BY spcname::text COLLATE "C"), '')
          FROM pg_tablespace WHERE oid >= 16384) AS tablespaces,
        (pg_last_wal_replay_lsn() >= '${facts.stopLsn}')::text AS "isConsistent"
      FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_init() i`),
  );
  const expected: Record<string, string> = {
    systemIdentifier: facts.systemIdentifier,
    walSegmentBytes: String(facts.walSegmentBytes),
    dataChecksums: String(facts.dataChecksums),
    major: String(Math.floor(facts.serverVersionNum / 10000)),
    superuser: facts.superuser,
    isConsistent: 'true',
    // Later ones may have been made, or dropped.
    ...(isAtBase
      ? {
          timeline: String(facts.timeline),
          tablespaces: facts.tablespaces
            .map(({ name }) => name)
            .toSorted((a, b) => (a < b ? -1 : 1))
            .join(', '),
        }
      : {}),
  };
  const different = Object.entries(expected).flatMap(([name, value]) =>
    row[name] === value ? [] : [`${name} is ${row[name] ?? 'unknown'}, not ${value}`],
  );
  if (different.length > 0) {
    throw new LifeboatError('integrity', `the recovered cluster is not what was recorded: ${different.join('; ')}`);
  }
}

async function countTables({ url }: RecoveringServer, database: string, { signal }: RunContext): Promise<number> {
  const [row] = await withConnection(url, { database, signal }, async (client) =>
    client.query(
      'SELECT count(*)::text AS tables FROM pg_class WHERE relkind IN ' +
        "('r', 'm') AND relpersistence = 'p' AND oid >= 16384",
    ),
  );
  return Number(row?.['tables'] ?? 0);
}
