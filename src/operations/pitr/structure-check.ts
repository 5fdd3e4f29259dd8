/**
 * The structure of every table and index of restored databases, by pg_amcheck. What it needs in a database
 * (an extension) is taken away again. A server that takes no writes is checked where the extension is there.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import { amcheck } from '../../source/postgres/cluster/amcheck.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import type { StructureCheck } from './request.ts';

export interface StructureCheckOptions {
  /** Of a superuser. */
  readonly url: PostgresUrl;
  readonly databases: readonly string[];
  /** What a database is called in messages. */
  readonly named: (database: string) => string;
  /** Of events. */
  readonly component: string;
  readonly programs: string;
  readonly jobs: number;
  /** False: the server is read-only. */
  readonly writable: boolean;
}

/** What could be checked is clean, if it resolves. Throws `integrity` (14) naming all that is damaged. */
export async function checkStructure(options: StructureCheckOptions, context: RunContext): Promise<StructureCheck> {
  const checked: string[] = [];
  const notes: string[] = [];
  const damaged: string[] = [];
  for (const database of options.databases) {
    const name = options.named(database);
    context.emit({
      type: 'step',
      component: options.component,
      message: `checking the structure of ${name} by pg_amcheck`,
    });
    const report = await checkDatabase(options, database, context);
    if (report.outcome === 'clean') checked.push(database);
    else if (report.outcome === 'damaged') damaged.push(`${name}: ${report.said}`);
    else {
      notes.push(
        report.outcome === 'unable'
          ? `pg_amcheck could not check ${name}: ${report.said}`
          : 'pg_amcheck is not installed: the structure of tables and indexes was not checked',
      );
    }
    if (report.outcome === 'absent') break;
  }
  if (damaged.length > 0) {
    throw new LifeboatError('integrity', `pg_amcheck finds damage in ${damaged.join('; ')}`, { facts: { damaged } });
  }
  return {
    outcome: checked.length === 0 ? 'not-checked' : checked.length === options.databases.length ? 'clean' : 'partly',
    databases: checked,
    notes,
  };
}

async function checkDatabase(
  { url, programs, jobs, writable, named, component }: StructureCheckOptions,
  database: string,
  context: RunContext,
): ReturnType<typeof amcheck> {
  const { signal, emit } = context;
  const ask = async (sql: string): Promise<number> =>
    withConnection(url, { database, signal, changes: true }, async (client) => (await client.query(sql)).length);
  const isThere = (await ask("SELECT 1 FROM pg_extension WHERE extname = 'amcheck'")) > 0;
  if (!isThere && !writable) {
    return { outcome: 'unable', said: 'it has no extension amcheck, and none can be made while the recovery is held' };
  }
  if (
    !writable &&
    (await ask("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND locktype = 'relation'")) > 0
  ) {
    return { outcome: 'unable', said: 'a transaction that had not ended at that moment holds locks' };
  }
  let toldMs = performance.now();
  const onProgress = (line: string): void => {
    if (!/^\s*\d+\/\d+ relations/.test(line) || performance.now() - toldMs < 5000) return;
    toldMs = performance.now();
    emit({ type: 'step', component, message: `pg_amcheck of ${named(database)}: ${line.trim()}` });
  };
  const report = await amcheck({ url, database, programs, jobs, install: !isThere, onProgress }, context);
  const drop = (): Promise<unknown> => ask('SET session_replication_role = replica; DROP EXTENSION IF EXISTS amcheck');
  // In a damaged database that may fail: the damage is what is to be told.
  if (!isThere && report.outcome !== 'absent') {
    await drop().catch((error: unknown) =>
      report.outcome === 'damaged' ? signal.throwIfAborted() : Promise.reject(error),
    );
  }
  return report;
}
