/**
 * Restores into a database that exists: chosen tables, or rows alone, all or nothing (psql-script.ts). That costs the
 * side-by-side work, which is right for parts.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { withScratchFolder } from '../../../lib/fs.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { withConnection } from '../server/connection.ts';
import { actingAs } from '../server/libpq.ts';
import { assertRestrictsPsql, findRestoreTools } from '../server/tools.ts';
import { requireActingRole } from './acting-role.ts';
import { type FillPlan, planFill } from './fill.ts';
import { checkForeignKeysSql } from './foreign-keys.ts';
import type { RestoreTarget } from './pg-restore.ts';
import { runScript } from './psql-script.ts';
import { type PostgresRestoreReport, type PostgresRestoreRequest, checkRequest, restoreFlags } from './request.ts';
import { refuseExistingTables, refuseUnfitTables } from './tables-there.ts';
import { majorOf, readTargetServer } from './target-database.ts';
import { timed } from './timed.ts';
import { assertVerified, verifyDatabase, type VerifyReport } from './verify.ts';

export interface ExistingRestoreRequest extends PostgresRestoreRequest {
  /** Rows alone: also into tables that hold rows (they are added; equal keys fail). Default false. */
  readonly appendRows?: boolean;
}

/**
 * Restores into `targetDatabase`, all or nothing. Throws `confirmation` (18) where tables exist already, or hold rows;
 * `integrity` (14) with psql's words for what does not fit.
 */
export async function restoreIntoExisting(
  request: ExistingRestoreRequest,
  context: RunContext,
): Promise<PostgresRestoreReport> {
  const { facts, selection } = checkRequest(request);
  const { dataOnly } = selection;
  if (selection.patterns === undefined && !dataOnly) {
    throw new LifeboatError('usage', 'only chosen tables, or rows alone, are restored into an existing database', {
      hint: 'name the tables, or restore all of it into a new database',
      state: 'nothing was changed',
    });
  }
  return withScratchFolder(async (folder) => {
    const plan = await planFill(request.reader, facts, selection, folder);
    for (const message of plan.notes) context.emit({ type: 'warning', component: 'postgres', message });
    const tables = facts.tables.filter((table) => table.kind === 'r' && (plan.only?.(table) ?? true));
    const target = await meetTarget(request, tables, dataOnly, context);
    const script = {
      target,
      reader: request.reader,
      plan,
      afterRows: dataOnly ? checkForeignKeysSql(tables) : undefined,
    };
    const seconds: Record<string, number> = { data: await timed('data', context, () => runScript(script, context)) };
    let verified: VerifyReport | undefined;
    if (request.verify !== false && request.appendRows !== true) {
      seconds['verify'] = await timed('verify', context, async () => {
        verified = await compare(target, request, facts, plan, context);
      });
    }
    return {
      database: target.database,
      tables: tables.length,
      readBytes: plan.streams.reduce((sum, { bytes }) => sum + bytes, 0),
      retriedEntries: 0,
      verified,
      notes: [...plan.notes, ...(verified?.notes ?? [])],
      seconds,
    };
  }, request.scratchParent);
}

/** Looks at the database and finds the tools; changes nothing. */
async function meetTarget(
  request: ExistingRestoreRequest,
  tables: DatabaseFacts['tables'],
  dataOnly: boolean,
  { signal }: RunContext,
): Promise<RestoreTarget> {
  const { targetUrl: url, targetDatabase: database, toolsFolder: folder } = request;
  return withConnection(url, { database, signal }, async (client) => {
    const server = await readTargetServer(client);
    if (request.asRole !== undefined) await requireActingRole(client, request.asRole);
    const wanted = { tables, copy: { url, toolFolder: folder, signal } };
    if (dataOnly) await refuseUnfitTables(client, wanted, request.appendRows === true);
    else await refuseExistingTables(client, wanted);
    const tools = await findRestoreTools(majorOf(server), request.facts.toolVersion, { folder });
    assertRestrictsPsql(tools);
    const { asRole } = request;
    return {
      url: asRole === undefined ? url : actingAs(url, asRole),
      database,
      encoding: client.encoding,
      tools,
      versionNum: server.versionNum,
      isSuperuser: server.isSuperuser && asRole === undefined,
      flags: restoreFlags(request),
    };
  });
}

/** Throws `integrity` (14) for what differs from what was recorded. */
async function compare(
  { database, tools }: RestoreTarget,
  // Not as the role that owns the tables: it would trust itself.
  { targetUrl: url, jobs, trustedExtensions }: ExistingRestoreRequest,
  facts: DatabaseFacts,
  plan: FillPlan,
  context: RunContext,
): Promise<VerifyReport> {
  const { only = () => true, schemaOnly } = plan;
  const compared = { url, database, facts, jobs, toolFolder: tools.folder, trustedExtensions, only, schemaOnly };
  const report = await verifyDatabase(compared, context);
  assertVerified(report, database);
  return report;
}
