/**
 * Restores into a database that exists: chosen tables, or rows alone. All of it is one script of
 * pg_restore's, fed to one psql in one transaction: either everything is there afterwards or nothing has
 * changed, whatever fails. That costs the side-by-side work, which is right for parts.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { type RunningTool, ToolError, startTool } from '../../../lib/exec.ts';
import { withScratchFolder } from '../../../lib/fs.ts';
import { Inlets } from '../../../lib/inlets.ts';
import { saysServerLost } from './issues.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { readUnplannable } from '../facts/plannable.ts';
import { type CopySettings, hasRowsByCopy } from '../facts/table-copy.ts';
import { checkForeignKeysSql } from './foreign-keys.ts';
import { quoteQualified } from '../server/quote.ts';
import { feed } from './data.ts';
import { type FillPlan, planFill } from './fill.ts';
import { type PostgresRestoreRequest, checkRequest, restoreFlags } from './request.ts';
import { type RestoreTarget, restoreEnvironment } from './pg-restore.ts';
import { conninfo } from '../server/quote.ts';
import { writeList } from './schema.ts';
import type { PostgresRestoreReport } from './new-database.ts';
import { largeBuffers } from '../server/stdio-buffers.ts';
import { readTargetServer } from './target-database.ts';
import { timed } from './timed.ts';
import { assertRestrictsPsql, findTools } from '../server/tools.ts';
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
    const target = await withConnection(
      request.targetUrl,
      { database: request.targetDatabase, signal: context.signal },
      async (client): Promise<RestoreTarget> => {
        const server = await readTargetServer(client);
        await checkTables(client, facts, plan, request, dataOnly, context);
        const tools = await findTools(Math.trunc(server.versionNum / 10_000), { folder: request.toolsFolder });
        assertRestrictsPsql(tools);
        return {
          url: request.targetUrl,
          database: request.targetDatabase,
          encoding: client.encoding,
          tools,
          isSuperuser: server.isSuperuser,
          flags: restoreFlags(request),
        };
      },
    );
    const seconds: Record<string, number> = {
      data: await timed('data', context, () =>
        runScript(target, request, plan, dataOnly ? checkForeignKeysSql(tablesOf(facts, plan)) : undefined, context),
      ),
    };
    let verified: VerifyReport | undefined;
    const compared = {
      url: target.url,
      database: target.database,
      facts,
      jobs: request.jobs,
      toolFolder: target.tools.folder,
      only: plan.only ?? (() => true),
      schemaOnly: plan.schemaOnly,
    };
    if (request.verify !== false && request.appendRows !== true) {
      seconds['verify'] = await timed('verify', context, async () =>
        assertVerified((verified = await verifyDatabase(compared, context)), target.database),
      );
    }
    return {
      database: target.database,
      tables: tablesOf(facts, plan).length,
      readBytes: plan.streams.reduce((sum, { bytes }) => sum + bytes, 0),
      retriedEntries: 0,
      verified,
      notes: [...plan.notes, ...(verified?.notes ?? [])],
      seconds,
    };
  }, request.scratchParent);
}

function tablesOf(facts: DatabaseFacts, plan: FillPlan): DatabaseFacts['tables'] {
  return facts.tables.filter((table) => table.kind === 'r' && (plan.only?.(table) ?? true));
}

/** Definitions want tables that are not there yet, rows want tables that are, and are empty. */
async function checkTables(
  client: Connection,
  facts: DatabaseFacts,
  plan: FillPlan,
  request: ExistingRestoreRequest,
  dataOnly: boolean,
  context: RunContext,
): Promise<void> {
  const there = new Map(
    (
      await client.query(
        'SELECT c.oid, n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = ' +
          "c.relnamespace WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')",
      )
    ).map((row) => [quoteQualified(row['schema'] ?? '', row['name'] ?? ''), row['oid'] ?? ''] as const),
  );
  const tables = tablesOf(facts, plan);
  const names = tables.map(({ schema, name }) => quoteQualified(schema, name));
  if (!dataOnly) {
    const existing = names.filter((name) => there.has(name));
    if (existing.length > 0) {
      throw refused(
        'confirmation',
        `${list(existing)} exist${existing.length === 1 ? 's' : ''} in database "${request.targetDatabase}"`,
        'restore into a new database and copy from there, or rename or drop what is there first',
      );
    }
    return;
  }
  const missing = names.filter((name) => !there.has(name));
  if (missing.length > 0) {
    throw refused(
      'usage',
      `${list(missing)} do${missing.length === 1 ? 'es' : ''} not exist in database "${request.targetDatabase}"`,
      'restore the definitions too',
    );
  }
  if (request.appendRows === true) return;
  const unplannable = await readUnplannable(client);
  const filled: string[] = [];
  for (const table of tables) {
    const name = quoteQualified(table.schema, table.name);
    const hasRows = unplannable.has(there.get(name) ?? '')
      ? await hasRowsByCopy(client, { ...table, columns: [] }, copySettings(request, context))
      : (await client.query(`SELECT 1 FROM ONLY ${name} LIMIT 1`)).length > 0;
    if (hasRows) filled.push(name);
  }
  if (filled.length > 0) {
    throw refused(
      'confirmation',
      `${list(filled)} in database "${request.targetDatabase}" hold${filled.length === 1 ? 's' : ''} rows`,
      'empty them first, or confirm that rows are to be added',
    );
  }
}

function copySettings(request: ExistingRestoreRequest, { signal }: RunContext): CopySettings {
  return { url: request.targetUrl, toolFolder: request.toolsFolder, signal };
}

function refused(code: 'confirmation' | 'usage', message: string, hint: string): LifeboatError {
  return new LifeboatError(code, message, { hint, state: 'nothing was changed' });
}

function list(names: readonly string[]): string {
  return (
    `${names.length === 1 ? 'table' : 'tables'} ` +
    `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
  );
}

/** One psql, one transaction; the commit that it sends at its end is the commit point. */
async function runScript(
  target: RestoreTarget,
  request: ExistingRestoreRequest,
  plan: FillPlan,
  afterRows: string | undefined,
  context: RunContext,
): Promise<void> {
  const dataOnly = afterRows !== undefined;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const env = restoreEnvironment(target);
  // The transaction's own commit is to be durable: nothing after it flushes it.
  env['PGOPTIONS'] = (env['PGOPTIONS'] ?? '').replace('synchronous_commit=off', 'synchronous_commit=on');
  const psql = await startTool({
    file: target.tools.psql,
    args: [
      '--no-psqlrc',
      '--quiet',
      '--no-password',
      '--variable=ON_ERROR_STOP=1',
      `--dbname=${conninfo(target.database)}`,
    ],
    env,
    stdin: 'pipe',
    stdout: 'ignore',
    signal,
  });
  await using inlets = new Inlets();
  try {
    await write(psql, 'BEGIN;\n');
    if (dataOnly) await write(psql, beforeRows(target));
    for (const step of await steps(plan, dataOnly)) {
      await runStep(step, { target, request, plan, psql, inlets, signal });
    }
    if (dataOnly) await write(psql, afterRows);
    await write(psql, 'COMMIT;\n');
    psql.stdin?.end();
    await psql.result;
  } catch (error) {
    // Ending psql before its COMMIT takes everything back. What it said itself tells more than the broken pipe before
    // it.
    const said = await Promise.race([
      psql.result.then(
        () => undefined,
        (reason: unknown) => reason,
      ),
      sleep(error instanceof BrokenScript ? 10_000 : 0, undefined, { ref: false }),
    ]);
    stop.abort(error);
    await psql.result.catch(() => {});
    context.signal.throwIfAborted();
    throw scriptFailure(said ?? error);
  }
}

interface Script {
  readonly target: RestoreTarget;
  readonly request: ExistingRestoreRequest;
  readonly plan: FillPlan;
  readonly psql: RunningTool;
  readonly inlets: Inlets;
  readonly signal: AbortSignal;
}

/** What pg_restore makes of a part of the backup, into psql. */
async function runStep(step: Step, { target, request, plan, psql, inlets, signal }: Script): Promise<void> {
  const list = step.listFile === undefined ? [] : ['--use-list', step.listFile];
  const args = [
    '--file=-',
    ...target.flags,
    ...(plan.schemaOnly ? ['--schema-only'] : []),
    `--section=${step.section}`,
    ...list,
    ...(step.file === undefined ? [] : [step.file]),
  ];
  const start = (stdin: 'ignore' | number): Promise<RunningTool> =>
    startTool({ file: target.tools.pgRestore, args, env: largeBuffers('input'), stdin, stdout: 'pipe', signal });
  if (step.artifact === undefined) {
    const tool = await start('ignore');
    await Promise.all([copy(tool.stdout, psql), tool.result]);
    return;
  }
  const { tool, inlet } = await inlets.into(start);
  await Promise.all([
    feed(inlet, tool.result, request.reader.open(step.artifact), () => {}, signal),
    copy(tool.stdout, psql),
    tool.result,
  ]);
}

interface Step {
  readonly section: 'pre-data' | 'data' | 'post-data';
  readonly file?: string;
  readonly artifact?: string;
  readonly listFile?: string;
}

async function steps({ archive, streams }: FillPlan, dataOnly: boolean): Promise<Step[]> {
  const schema = { file: archive.file, listFile: await writeList(archive, 'schema', archive.toc) };
  const rows = streams.map(({ artifact, listFile }): Step => ({
    section: 'data',
    artifact,
    ...(listFile === undefined ? {} : { listFile }),
  }));
  return dataOnly ? rows : [{ section: 'pre-data', ...schema }, ...rows, { section: 'post-data', ...schema }];
}

/**
 * Rows alone come in any order: a superuser's session checks foreign keys when all are in, another's only those that
 * can wait.
 */
function beforeRows(target: RestoreTarget): string {
  return target.isSuperuser ? 'SET LOCAL session_replication_role = replica;\n' : 'SET CONSTRAINTS ALL DEFERRED;\n';
}

class BrokenScript extends Error {}

async function write(tool: RunningTool, data: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    if (tool.stdin === null) reject(new Error('psql was started without a pipe'));
    else {
      tool.stdin.write(data, (error) =>
        error === null || error === undefined
          ? resolve()
          : reject(new BrokenScript('psql ended early', { cause: error })),
      );
    }
  });
}

async function copy(from: Readable | null, to: RunningTool): Promise<void> {
  if (from === null) throw new Error('pg_restore was started without a pipe');
  let isFirst = true;
  for await (const chunk of from) {
    // pg_restore 17 and later writes this for every server; here an error would end the transaction.
    await write(
      to,
      isFirst
        ? Buffer.from((chunk as Buffer).toString('latin1').replace('\nSET transaction_timeout = 0;\n', '\n'), 'latin1')
        : (chunk as Buffer),
    );
    isFirst = false;
  }
}

/** psql says "psql:<stdin>:12: ERROR:  …"; then the transaction is gone. */
function scriptFailure(error: unknown): unknown {
  if (!(error instanceof ToolError) || error.tool !== 'psql') return error;
  const said =
    error.stderr
      .split('\n')
      .find((line) => /(ERROR|FATAL|error): /.test(line))
      ?.replace(/^psql:<stdin>:\d+: /, '') ?? error.message;
  const lost = saysServerLost(error.stderr) || error.toolSignal !== undefined;
  return new LifeboatError(lost ? 'source' : 'integrity', `restoring into the database failed: ${said}`, {
    hint: lost
      ? 'see the log of the PostgreSQL server, then restore again'
      : 'the definitions or rows of the backup do not fit what is ' +
        'there; restore into a new database and copy from there',
    state: 'nothing was changed: the transaction was rolled back',
    cause: error,
  });
}
