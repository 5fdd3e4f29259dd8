/**
 * What goes into a database that exists, as one script of pg_restore's, fed to one psql in one transaction: either all
 * of it is there afterwards or nothing has changed, whatever fails.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { type RunningTool, ToolError, startTool } from '../../../lib/exec.ts';
import { Inlets } from '../../../lib/inlets.ts';
import type { ArtifactReader } from '../../source.ts';
import { startPsql } from '../server/libpq.ts';
import { largeBuffers } from '../server/stdio-buffers.ts';
import { feed } from './data.ts';
import type { FillPlan } from './fill.ts';
import { saysServerLost } from './issues.ts';
import { type RestoreTarget, restoreEnvironment } from './pg-restore.ts';
import { writeList } from './schema.ts';

/** What the script is made of. */
export interface ScriptParts {
  readonly target: RestoreTarget;
  readonly reader: ArtifactReader;
  readonly plan: FillPlan;
  /** For rows alone: SQL that follows them. Undefined: definitions, rows, indexes. */
  readonly afterRows: string | undefined;
}

/**
 * Runs it; the commit that psql sends at its end is the commit point. Throws `integrity` (14) with psql's words for
 * what does not fit, `source` (13) where the server was lost.
 */
export async function runScript(parts: ScriptParts, context: RunContext): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const psql = await startPsql({
    file: parts.target.tools.psql,
    database: parts.target.database,
    // Nothing after the transaction's own commit flushes it.
    env: restoreEnvironment(parts.target, true),
    stdout: 'ignore',
    signal,
  });
  await using inlets = new Inlets();
  try {
    await writeScript({ ...parts, psql, inlets, signal });
    await psql.result;
  } catch (error) {
    // Ending psql before its COMMIT takes everything back.
    const said = await lastWords(psql, error);
    stop.abort(error);
    await psql.result.catch(() => {});
    context.signal.throwIfAborted();
    throw scriptFailure(said ?? error);
  }
}

interface Script extends ScriptParts {
  readonly psql: RunningTool;
  readonly inlets: Inlets;
  readonly signal: AbortSignal;
}

async function writeScript(script: Script): Promise<void> {
  const { psql, target, plan, afterRows } = script;
  await write(psql, 'BEGIN;\n');
  await write(psql, afterRows === undefined ? beforeDefinitions(target) : beforeRows(target));
  for (const step of await steps(plan, afterRows !== undefined)) await runStep(step, script);
  if (afterRows !== undefined) await write(psql, afterRows);
  await write(psql, 'COMMIT;\n');
  psql.stdin?.end();
}

/** What psql died of, if it did: that tells more than the broken pipe before it. */
async function lastWords(psql: RunningTool, error: unknown): Promise<unknown> {
  const ended = psql.result.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return Promise.race([ended, sleep(error instanceof BrokenScript ? 10_000 : 0, undefined, { ref: false })]);
}

/** What pg_restore makes of a part of the backup, into psql. */
async function runStep(step: Step, { target, reader, plan, psql, inlets, signal }: Script): Promise<void> {
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
    feed(inlet, tool.result, reader.open(step.artifact), () => {}, signal),
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

/**
 * Event triggers that are there already do not fire for what a superuser restores, but for those that are made to fire
 * always. Foreign keys are checked all the same: no trigger does that when one is made.
 */
function beforeDefinitions(target: RestoreTarget): string {
  return target.isSuperuser ? 'SET LOCAL session_replication_role = replica;\n' : '';
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
