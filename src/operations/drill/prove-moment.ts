/**
 * Holds a recovered cluster against the moment that it was recovered to: what was committed up to it is there, what was
 * committed later is not.
 */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { withConnection, type Connection } from '../../source/postgres/server/connection.ts';
import { isWhole } from '../../source/postgres/server/databases.ts';
import type { RecoveringServer } from '../../source/postgres/cluster/recovery.ts';
import type { DrillRecord } from './subject.ts';
import type { WalMoment, WalTransaction } from './wal-transactions.ts';
import { formatMicroseconds, parseTime } from '../pitr/moment.ts';
import type { WalRow } from '../../source/postgres/wal/dumped-records.ts';

/** Throws `integrity` (14). The server must be at rest at the moment, or promoted from there. */
export async function proveMoment(
  server: Pick<RecoveringServer, 'url'>,
  moment: WalMoment,
  record: DrillRecord,
  { signal }: Pick<RunContext, 'signal'>,
): Promise<void> {
  const at = formatMicroseconds(moment.atUs);
  await withConnection(server.url, { signal }, async (connection) => {
    const [row] = await connection.query(
      `SELECT to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last`,
    );
    const lastUs = parseTime(row?.['last'] ?? '1970-01-01T00:00:00Z');
    if (lastUs !== moment.lastUs) {
      throw wrong(
        `the last transaction that was replayed ended at ${formatMicroseconds(lastUs)}; the last one up to ${at} ` +
          `ended at ${formatMicroseconds(moment.lastUs)}`,
      );
    }
    for (const each of moment.before) {
      if ((await statusOf(connection, each)) !== 'committed') {
        throw wrong(`transaction ${each.xid}, committed at ${formatMicroseconds(each.atUs)}, is not there at ${at}`);
      }
    }
    for (const each of moment.after) {
      if ((await statusOf(connection, each)) === 'committed') {
        throw wrong(`transaction ${each.xid}, committed only at ${formatMicroseconds(each.atUs)}, is there at ${at}`);
      }
    }
  });
  record.count('transactionsThere', moment.before.length);
  record.count('transactionsAbsent', moment.after.length);
  const there = await look(server, moment.rowsBefore, signal);
  const lost = there.find(({ isThere }) => !isThere);
  if (lost !== undefined) throw wrong(`a row that transaction ${lost.row.xid} wrote before ${at} is not there`);
  const early = (await look(server, moment.rowsAfter, signal)).find(({ isThere }) => isThere);
  if (early !== undefined) {
    throw wrong(`a row of transaction ${early.row.xid}, which was committed after ${at}, is there`);
  }
  record.count('rowsThere', there.length);
  record.count('rowsAbsent', moment.rowsAfter.length);
  record.compared.push(
    'transactions committed after the base backup and up to the moment: there',
    'transactions committed after the moment: not there',
  );
  if (there.length > 0) {
    record.compared.push(
      'rows written after the base backup and up to the moment: there, those of later transactions: not',
    );
  } else {
    record.notes.push(
      'before the moment no row was written that nothing touched again: it is proven by the transactions only',
    );
  }
}

function wrong(what: string): LifeboatError {
  return new LifeboatError('integrity', `the recovery did not stop where it should: ${what}`);
}

/** "committed", "aborted", "in progress"; "unknown" for one that the cluster has not seen. */
async function statusOf(connection: Connection, { xid }: WalTransaction): Promise<string> {
  try {
    const [row] = await connection.query(`SELECT pg_xact_status('${xid}'::xid8) AS status`);
    return row?.['status'] ?? 'unknown';
  } catch (error) {
    if (/is in the future/.test(messageOf(error))) return 'unknown';
    throw error;
  }
}

interface LookedAt {
  readonly row: WalRow;
  readonly isThere: boolean;
}

/**
 * Rows of tables that have meanwhile been dropped or written anew cannot be found by their place; they are left out.
 */
async function look(
  { url }: Pick<RecoveringServer, 'url'>,
  rows: readonly WalRow[],
  signal: AbortSignal,
): Promise<LookedAt[]> {
  const found: LookedAt[] = [];
  const names = await withConnection(url, { signal }, async (connection) =>
    connection.query(
      `SELECT oid::text AS oid, datname::text AS name FROM pg_database WHERE datallowconn AND ${isWhole}`,
    ),
  );
  for (const [oid, some] of Map.groupBy(rows, ({ database }) => database)) {
    const database = names.find((each) => each['oid'] === String(oid))?.['name'];
    if (database === null || database === undefined) continue;
    await withConnection(url, { database, signal }, async (connection) => {
      for (const row of some) {
        const [table] = await connection.query(
          "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = " +
            `c.relnamespace WHERE c.oid = pg_filenode_relation(${row.tablespace}, ${row.filenode}) AND c.relkind IN ` +
            "('r', 'm', 't')",
        );
        const name = table?.['name'];
        if (name === null || name === undefined) continue;
        const seen = await connection.query(
          `SELECT 1 AS seen FROM ${name} WHERE ctid = '(${row.block},${row.offset})'::tid AND xmin = '${row.xid}'::xid`,
        );
        found.push({ row, isThere: seen.length > 0 });
      }
    });
  }
  return found;
}
