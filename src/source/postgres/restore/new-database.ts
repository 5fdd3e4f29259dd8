/**
 * Restores one database of a logical backup into a new one. It is filled, analysed and compared with
 * what was recorded under a temporary name; taking the wanted name is the commit point. Whatever goes
 * wrong before it, nothing is left that looks complete: the unfinished database is dropped, or renamed
 * to …_failed_… on request; after a SIGKILL its comment tells the next run.
 */
import { lendDatabase, requireActingRole } from './acting-role.ts';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { withScratchFolder } from '../../../lib/fs.ts';
import { finishDatabase, applySettings } from './database-settings.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { type FillPlan, eventTriggersOf, fillDatabase, planFill, restoreEventTriggers } from './fill.ts';
import { type MaintenanceOptions, type Queries, serverWords, withMaintenance } from '../server/maintenance.ts';
import { checkDatabaseName, failedName, restoringName } from './names.ts';
import { actingAs } from '../server/libpq.ts';
import { quoteIdentifier } from '../server/quote.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type PostgresRestoreReport, type PostgresRestoreRequest, checkRequest, restoreFlags } from './request.ts';
import type { RestoreTarget } from './pg-restore.ts';
import { createMarkedDatabase } from './create-database.ts';
import { type TargetServer, databaseExists, dropDatabase, majorOf, readTargetServer } from './target-database.ts';
import { analyze } from './statistics.ts';
import { timed } from './timed.ts';
import { dropDeadRestores } from './unfinished.ts';
import { type PostgresTools, findRestoreTools } from '../server/tools.ts';
import { type VerifyReport, type VerifyRequest, assertVerified, verifyDatabase } from './verify.ts';

/**
 * Restores. Throws `confirmation` (18) if the target exists, `integrity` (14), `source` (13), `tool` (16), `space`
 * (15), and the reader's own errors as they are.
 */
export async function restorePostgres(
  request: PostgresRestoreRequest,
  context: RunContext,
): Promise<PostgresRestoreReport> {
  const { facts, selection } = checkRequest(request);
  checkDatabaseName(request.targetDatabase);
  if (selection.dataOnly) {
    throw new LifeboatError('usage', 'rows without definitions cannot make a new database', {
      hint: 'restore them into an existing database',
      state: 'nothing was changed',
    });
  }
  return withScratchFolder(async (folder) => {
    const { server, tools } = await prepare(request, context);
    const plan = await planFill(request.reader, facts, selection, folder);
    tellOmissions(request, facts, plan, context);
    const working = restoringName(request.targetDatabase);
    const target: RestoreTarget = {
      url: workUrl(request),
      database: working,
      encoding: facts.encoding,
      tools,
      versionNum: server.versionNum,
      isSuperuser: server.isSuperuser && request.asRole === undefined,
      flags: restoreFlags(request),
      filler: request.filler,
    };
    try {
      await begin(request, server, facts, working, context);
      const report = await withLentDatabase(request, working, () =>
        fillAndCheck(request, target, facts, plan, context),
      );
      await request.inspect?.(working, report);
      if (request.asRole === undefined) await restoreEventTriggers(target, plan, context);
      await finish(request, facts, working, context);
      return report;
    } catch (error) {
      const state = await giveUp(request, working, context);
      throw error instanceof LifeboatError && error.state === undefined ? error.withState(state) : error;
    }
  }, request.scratchParent);
}

/** What the target server is; nothing but what dead restores left is changed. */
async function prepare(
  request: PostgresRestoreRequest,
  context: RunContext,
): Promise<{ server: TargetServer; tools: PostgresTools }> {
  return withMaintenance(maintenance(request, context.signal), async (client) => {
    const server = await readTargetServer(client);
    const { toolVersion } = request.facts;
    const tools = await findRestoreTools(majorOf(server), toolVersion, { folder: request.toolsFolder });
    if (request.asRole !== undefined) await requireActingRole(client, request.asRole);
    await dropDeadRestores(client, context.emit);
    await refuseExisting(client, request.targetDatabase);
    return { server, tools };
  });
}

/** Makes the database, marked as unfinished. */
async function begin(
  request: PostgresRestoreRequest,
  server: TargetServer,
  facts: DatabaseFacts,
  working: string,
  { signal, emit }: RunContext,
): Promise<void> {
  await withMaintenance(maintenance(request, signal), async (client) => {
    const options = { drill: request.drill ?? false, emit };
    await createMarkedDatabase(client, server, facts, working, request.targetDatabase, options);
    const [row] = await client.query('SELECT oid FROM pg_database WHERE datname = $1', [working]);
    await request.onCreated?.(row?.['oid'] ?? '');
    await applySettings(client, facts, working, { asRole: request.asRole, emit });
  });
}

/** Of the sessions that fill it. */
function workUrl({ targetUrl, asRole }: PostgresRestoreRequest): PostgresUrl {
  return asRole === undefined ? targetUrl : actingAs(targetUrl, asRole);
}

async function withLentDatabase<T>(
  { targetUrl, asRole }: PostgresRestoreRequest,
  working: string,
  work: () => Promise<T>,
): Promise<T> {
  if (asRole === undefined) return work();
  const lent = await lendDatabase(targetUrl, working, asRole);
  const done = await work();
  await lent.takeBack();
  return done;
}

/** Gives it what belongs to it, and the wanted name: the commit point. */
async function finish(
  request: PostgresRestoreRequest,
  facts: DatabaseFacts,
  working: string,
  { signal, emit }: RunContext,
): Promise<void> {
  await withMaintenance(maintenance(request, signal), async (client) => {
    await endOwnSessions(client, working);
    const { asRole, noOwner = false, noAcl = false } = request;
    const owner = asRole ?? (noOwner ? undefined : facts.owner);
    await finishDatabase(client, facts, working, request.targetDatabase, { owner, noAcl, emit });
  });
}

async function fillAndCheck(
  request: PostgresRestoreRequest,
  target: RestoreTarget,
  facts: DatabaseFacts,
  plan: FillPlan,
  context: RunContext,
): Promise<PostgresRestoreReport> {
  const filled = await fillDatabase(target, request.reader, plan, request.jobs, context);
  for (const message of filled.notes) context.emit({ type: 'warning', component: 'postgres', message });
  const seconds: Record<string, number> = { ...filled.seconds };
  if (request.analyze !== false) {
    seconds['analyze'] = await timed('analyze', context, () => analyze(target, plan.searchPath, context));
  }
  let verified: VerifyReport | undefined;
  if (request.verify !== false) {
    seconds['verify'] = await timed('verify', context, async () => {
      verified = await verifyDatabase(
        {
          // Who logs in sees whether a query is safe there; a role that owns the tables would trust itself.
          url: request.targetUrl,
          database: target.database,
          facts,
          jobs: request.jobs,
          toolFolder: target.tools.folder,
          ...judgement(request, facts),
          only: plan.only,
          schemaOnly: plan.schemaOnly,
        },
        context,
      );
      assertVerified(verified, request.targetDatabase);
    });
  }
  const tables = facts.tables.filter((table) => plan.only?.(table) ?? true).length;
  return {
    database: request.targetDatabase,
    tables,
    readBytes: filled.readBytes,
    retriedEntries: filled.retriedEntries,
    verified,
    notes: [...plan.notes, ...filled.notes, ...(verified?.notes ?? [])],
    seconds,
  };
}

/**
 * Whoever is given a role to fill it with has a throwaway server: there what the backup says it trusted is trusted, and
 * nobody else has a session. Elsewhere a backup is not asked whom to trust.
 */
function judgement(
  { filler, trustedExtensions }: PostgresRestoreRequest,
  facts: DatabaseFacts,
): Pick<VerifyRequest, 'isAlone' | 'trustedExtensions'> {
  if (filler === undefined) return { trustedExtensions };
  return { isAlone: true, trustedExtensions: facts.trustedExtensions };
}

/** What the operator may miss is said before, not found later. */
function tellOmissions(
  request: PostgresRestoreRequest,
  facts: DatabaseFacts,
  plan: FillPlan,
  context: RunContext,
): void {
  for (const message of plan.notes) context.emit({ type: 'warning', component: 'postgres', message });
  const triggers = request.asRole === undefined ? [] : eventTriggersOf(plan);
  if (triggers.length > 0) {
    const message = `event triggers are not restored (${triggers.join(', ')}): only a superuser may make them`;
    context.emit({ type: 'warning', component: 'postgres', message });
  }
  if (facts.subscriptions.length > 0 && request.subscriptions !== true && request.drill !== true) {
    context.emit({
      type: 'warning',
      component: 'postgres',
      message:
        'subscriptions are not restored ' +
        `(${facts.subscriptions.join(', ')}): restored ones would take the place of the ` +
        'production ones at their publishers',
    });
  }
}

function maintenance(request: PostgresRestoreRequest, signal?: AbortSignal): MaintenanceOptions {
  return { url: request.targetUrl, except: [request.targetDatabase], ...(signal === undefined ? {} : { signal }) };
}

async function refuseExisting(client: Queries, name: string): Promise<void> {
  if (!(await databaseExists(client, name))) return;
  throw new LifeboatError('confirmation', `database "${name}" exists on the target server`, {
    hint:
      'restore under another name, or ask for a swap: the backup is ' +
      'restored beside it, compared, and takes its place',
    state: 'nothing was changed',
  });
}

/** A tool's or checker's session may still be going away: a rename waits 5 s for it, this asks it to hurry. */
async function endOwnSessions(client: Queries, database: string): Promise<void> {
  await client.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user AND ' +
      "backend_type = 'client backend'",
    [database],
  );
}

/**
 * Takes away, or renames, what was begun; without the run's signal, which may be what ended it. Returns the state in
 * words.
 */
async function giveUp(request: PostgresRestoreRequest, working: string, context: RunContext): Promise<string> {
  try {
    return await withMaintenance(maintenance(request), async (client) => {
      // Both cannot be: the name was free before. Only the answer to the commit was lost.
      if (await databaseExists(client, request.targetDatabase)) {
        return `database "${request.targetDatabase}" is there, complete`;
      }
      if (!(await databaseExists(client, working))) return nothingLeft;
      if (request.keepFailed !== true) {
        await dropDatabase(client, working);
        return nothingLeft;
      }
      const kept = failedName(request.targetDatabase, new Date());
      await endOwnSessions(client, working);
      await client.query(`ALTER DATABASE ${quoteIdentifier(working)} RENAME TO ${quoteIdentifier(kept)}`);
      return `what was restored until then is kept as database "${kept}": incomplete`;
    });
  } catch (error) {
    const state =
      `the unfinished database "${working}" may be left on the target server (${serverWords(error)}); its comment ` +
      'says that it is unfinished, and the next restore from this host drops it';
    context.emit({ type: 'warning', component: 'postgres', message: state });
    return state;
  }
}

/** Roles may have been made for it, by whoever called us. */
const nothingLeft = 'nothing of the database is left on the target server';
