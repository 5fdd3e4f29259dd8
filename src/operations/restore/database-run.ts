/** One database restored: into a new one, into tables that are there, or beside the live one and swapped with it. */
import type { RunContext } from '../../lib/events.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import { counted } from '../../lib/units.ts';
import type { ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { PostgresFacts } from '../../source/postgres/facts/facts.ts';
import { restoreIntoExisting } from '../../source/postgres/restore/existing-database.ts';
import { restorePostgres } from '../../source/postgres/restore/new-database.ts';
import type { PostgresRestoreReport } from '../../source/postgres/restore/request.ts';
import { swapDatabases, SwapUnknownError, type SwapReport } from '../../source/postgres/restore/swap.ts';
import type { VerifyReport } from '../../source/postgres/restore/verify.ts';
import { noteDatabase } from './marks.ts';
import type { RestoredComponent } from './request.ts';
import type { RestoreSubject } from './step.ts';

/** One database, or chosen tables or rows of it, into `name`. */
export async function restoreOne(
  { config, target, request, reader, component }: RestoreSubject,
  facts: PostgresFacts,
  database: string,
  url: PostgresUrl,
  name: string,
  context: RunContext,
  live = name,
): Promise<RestoredComponent> {
  const started = performance.now();
  const { tables, content, asRole, noOwner, noAcl, keepFailed, subscriptions } = request.postgres;
  const selection = {
    ...(tables.length === 0 ? {} : { tables }),
    schemaOnly: content === 'schema',
    dataOnly: content === 'data',
  };
  const options = {
    selection,
    jobs: config.jobs,
    asRole,
    noOwner: noOwner === true,
    noAcl: noAcl === true,
    keepFailed: keepFailed === true,
    subscriptions: subscriptions === true,
    trustedExtensions: target?.postgres?.trustedExtensions,
  };
  context.emit({ type: 'step', component: component.name, message: `restoring database ${database} as ${name}` });
  const onCreated = async (oid: string): Promise<void> =>
    noteDatabase(request.marks, url, database, { live }, oid, context.signal);
  const run = content === 'data' ? restoreIntoExisting : restorePostgres;
  const where = { reader, facts, database, targetUrl: url, targetDatabase: name };
  const report = await run({ ...where, ...options, onCreated }, context);
  return restoredTables(component, report, performance.now() - started);
}

/** What a restore of a database, or of tables, tells of itself. */
export function restoredTables(
  { name, kind }: Pick<RestoreSubject['component'], 'name' | 'kind'>,
  { database, readBytes, tables, verified }: PostgresRestoreReport,
  durationMs: number,
): RestoredComponent {
  return {
    name,
    kind,
    to: database,
    bytes: readBytes,
    durationMs,
    verified: verdict(verified),
    summary:
      verified === undefined
        ? counted(tables, 'table')
        : `${counted(verified.tables, 'table')}, ${counted(Number(verified.rows), 'row')}`,
  };
}

function verdict(verified: VerifyReport | undefined): RestoredComponent['verified'] {
  if (verified === undefined) return 'not-checked';
  return verified.fingerprinted === verified.tables && verified.notes.length === 0 ? 'equal' : 'partial';
}

/**
 * Restores beside the live database, then swaps the two. `made`: the oid of what an earlier attempt has restored beside
 * and compared; it is only swapped.
 */
export async function restoreAndSwap(
  subject: RestoreSubject,
  facts: PostgresFacts,
  database: string,
  url: PostgresUrl,
  names: { live: string; beside: string; made: string | undefined },
  context: RunContext,
): Promise<RestoredComponent> {
  if (names.made !== undefined) {
    await noteDatabase(subject.request.marks, url, database, names, names.made, context.signal);
  }
  const restored =
    names.made === undefined
      ? await restoreOne(subject, facts, database, url, names.beside, context, names.live)
      : inPlace(subject.component, names.live, undefined);
  let swap: SwapReport;
  try {
    swap = await swapDatabases({ url, live: names.live, restored: names.beside, at: subject.at }, context);
  } catch (error) {
    if (!(error instanceof SwapUnknownError)) {
      context.emit({
        type: 'warning',
        component: 'postgres',
        message: `the restored copy is complete and stays as database "${names.beside}"`,
      });
    }
    throw error;
  }
  return { ...restored, to: names.live, kept: swap.keptAs, undo: `lifeboat restore --undo ${swap.keptAs}` };
}

/** What is told of a database that an earlier attempt has restored. */
export function inPlace({ name, kind }: ManifestComponent, to: string, kept: string | undefined): RestoredComponent {
  return {
    name,
    kind,
    to,
    bytes: 0,
    durationMs: 0,
    verified: 'equal',
    summary: 'compared before the interruption',
    kept,
    undo: kept === undefined ? undefined : `lifeboat restore --undo ${kept}`,
  };
}
