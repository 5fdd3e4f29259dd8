/**
 * The structure of every table and index of a recovered cluster, by pg_amcheck. What it needs in a database
 * (an extension) is taken away again. A server that takes no writes is checked where the extension is there.
 */
import { LifeboatError } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import type { Secret } from '../lib/secret.ts';
import { amcheck } from '../source/postgres/amcheck.ts';
import { withConnection } from '../source/postgres/connection.ts';
import type { StructureCheck } from './pitr-requests.ts';

export interface ClusterCheckOptions {
  /** Of a superuser. */
  readonly url: Secret;
  readonly databases: readonly string[];
  readonly programs: string;
  readonly jobs: number;
  /** False: the server is read-only. */
  readonly writable: boolean;
}

/** What could be checked is clean, if it resolves. Throws `integrity` (14) naming what is damaged. */
export async function checkCluster(options: ClusterCheckOptions, context: RunContext): Promise<StructureCheck> {
  const checked: string[] = [];
  const notes: string[] = [];
  const damaged: string[] = [];
  for (const database of options.databases) {
    context.emit({ type: 'step', component: 'base', message: `checking the structure of database ${database} by pg_amcheck` });
    const report = await checkDatabase(options, database, context);
    if (report.outcome === 'clean') checked.push(database);
    else if (report.outcome === 'damaged') damaged.push(`database "${database}": ${report.said}`);
    else notes.push(report.outcome === 'unable' ? `database "${database}" could not be checked: ${report.said}` : 'pg_amcheck is not installed: the structure of tables and indexes was not checked');
    if (report.outcome === 'absent') break;
  }
  if (damaged.length > 0) throw new LifeboatError('integrity', `pg_amcheck finds the recovered cluster damaged: ${damaged.join('; ')}`, { facts: { damaged } });
  return { outcome: checked.length === 0 ? 'not-checked' : checked.length === options.databases.length ? 'clean' : 'partly', databases: checked, notes };
}

async function checkDatabase({ url, programs, jobs, writable }: ClusterCheckOptions, database: string, context: RunContext): ReturnType<typeof amcheck> {
  const { signal, emit } = context;
  const ask = async (sql: string): Promise<number> => withConnection(url, { database, signal }, async (client) => (await client.query(sql)).length);
  const isThere = (await ask("SELECT 1 FROM pg_extension WHERE extname = 'amcheck'")) > 0;
  if (!isThere && !writable) return { outcome: 'unable', said: 'it has no extension amcheck, and none can be made while the recovery is held' };
  if (!writable && (await ask("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND locktype = 'relation'")) > 0) return { outcome: 'unable', said: 'a transaction that had not ended at that moment holds locks' };
  let toldMs = performance.now();
  const onProgress = (line: string): void => {
    if (!/^\s*\d+\/\d+ relations/.test(line) || performance.now() - toldMs < 5000) return;
    toldMs = performance.now();
    emit({ type: 'step', component: 'base', message: `pg_amcheck of database ${database}: ${line.trim()}` });
  };
  const report = await amcheck({ url, database, programs, jobs, install: !isThere, onProgress }, context);
  if (!isThere && report.outcome !== 'absent') await ask('SET default_transaction_read_only = off; DROP EXTENSION IF EXISTS amcheck');
  return report;
}
