/** Runs of pg_restore against the database that is being filled, and the judgement on what they say. */
import type { RunContext } from '../../../lib/events.ts';
import { type RunningTool, startTool } from '../../../lib/exec.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { FillLogin } from '../cluster/fill-login.ts';
import { type IssueCollector, type RestoreIssue, collectIssues, harmlessReason, restoreFailure } from './issues.ts';
import { conninfo } from '../server/quote.ts';
import { largeBuffers } from '../server/stdio-buffers.ts';
import type { PostgresTools } from '../server/tools.ts';
import { libpqEnvironment } from '../server/libpq.ts';
import { type ServerRights, fillingDefaults } from '../server/session-settings.ts';

/** Where and how all runs of one restore go. */
export interface RestoreTarget extends ServerRights {
  readonly url: PostgresUrl;
  /** The database that is filled. */
  readonly database: string;
  /** Encoding of that database, e.g. UTF8. */
  readonly encoding: string;
  readonly tools: PostgresTools;
  /** Arguments of every run: --no-owner, --no-acl, --no-subscriptions, … */
  readonly flags: readonly string[];
  /** Of a throwaway server: who puts in rows and builds on them. */
  readonly filler?: FillLogin | undefined;
}

/** A run of pg_restore that is going on. */
export interface RestoreRun {
  readonly tool: RunningTool;
  readonly issues: IssueCollector;
}

/** Starts pg_restore with the given arguments; without a file name it reads the archive from standard input. */
export async function startRestore(
  target: RestoreTarget,
  args: readonly string[],
  stdin: 'ignore' | number,
  signal: AbortSignal,
): Promise<RestoreRun> {
  const issues = collectIssues();
  const tool = await startTool({
    file: target.tools.pgRestore,
    // --verbose: only then does it name the entry that an error belongs to.
    args: ['--verbose', '--no-password', '--dbname', conninfo(target.database), ...target.flags, ...args],
    env: { ...restoreEnvironment(target), ...(stdin === 'ignore' ? {} : largeBuffers('input')) },
    stdin,
    stdout: 'ignore',
    signal,
    okExitCodes: [0, 1],
    onStderrLine: issues.onLine,
  });
  return { tool, issues };
}

/**
 * Connection settings of the tools that fill a database. Durable: each commit is flushed to the disk; without it, the
 * one that ends the restore flushes them all.
 */
export function restoreEnvironment(
  { url, database, encoding, ...rights }: Pick<RestoreTarget, 'url' | 'database' | 'encoding' | keyof ServerRights>,
  durable = false,
): Record<string, string> {
  // Recorded settings of the database are in force already.
  const defaults = [...fillingDefaults(rights), `synchronous_commit=${durable ? 'on' : 'off'}`];
  return libpqEnvironment(url, { database, encoding, defaults });
}

/**
 * The errors of a finished serial run that count. Throws when the run broke off, or when its errors cannot be told
 * apart.
 */
export async function judge(run: RestoreRun, part: string, context: RunContext): Promise<RestoreIssue[]> {
  const { exitCode } = await run.tool.result;
  const issues = run.issues.issues();
  if (exitCode === 0) return [];
  const ignored = run.issues.ignored();
  if (ignored === undefined || ignored !== issues.length) throw restoreFailure(part, issues);
  return issues.filter((issue) => {
    const reason = harmlessReason(issue);
    if (reason !== undefined) {
      context.emit({ type: 'debug', component: 'postgres', message: `ignored: ${issue.message} (${reason})` });
    }
    return reason === undefined;
  });
}
