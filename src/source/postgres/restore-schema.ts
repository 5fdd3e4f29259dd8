/**
 * Everything but rows, from the spooled schema archive: definitions before the rows, one after the other;
 * indexes, constraints and triggers after them, side by side. pg_restore's parallel mode fails at random on
 * foreign keys that reference multi-level partitioned tables (an entry lacks a dependency), so what failed
 * there is tried again alone, and only what fails then counts.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunContext } from '../../lib/events.ts';
import { runTool } from '../../lib/exec.ts';
import { restoreFailure } from './classify.ts';
import { type RestoreTarget, judge, startRestore } from './restore-run.ts';

/** The schema archive on disk. */
export interface SchemaArchive {
  readonly file: string;
  /** A private folder for lists. */
  readonly folder: string;
  /** File with the entries to restore; all of them without. */
  readonly listFile?: string;
}

/** Types, functions, tables, views, large objects' owners. Throws `integrity` for any error that is not harmless. */
export async function restorePreData(target: RestoreTarget, archive: SchemaArchive, context: RunContext): Promise<void> {
  await serially(target, archive, ['--section=pre-data'], archive.listFile, 'definitions', context);
}

export interface PostDataReport {
  /** Entries that the parallel run failed on and the serial one restored. */
  readonly retriedEntries: number;
}

/** Indexes, constraints, triggers, rules, materialized views' rows, on up to `jobs` connections. */
export async function restorePostData(target: RestoreTarget, archive: SchemaArchive, jobs: number, context: RunContext): Promise<PostDataReport> {
  if (jobs <= 1) {
    await serially(target, archive, ['--section=post-data'], archive.listFile, 'indexes and constraints', context);
    return { retriedEntries: 0 };
  }
  const list = archive.listFile === undefined ? [] : ['--use-list', archive.listFile];
  const run = await startRestore(target, ['--section=post-data', `--jobs=${jobs}`, ...list, archive.file], 'ignore', context.signal);
  const { exitCode } = await run.tool.result;
  if (exitCode === 0) return { retriedEntries: 0 };
  const failed = [...run.issues.failedEntries()];
  // A run that broke off, or whose errors belong to no entry, has nothing to retry.
  if (run.issues.ignored() === undefined || failed.length === 0) throw restoreFailure('indexes and constraints', run.issues.issues());
  context.emit({ type: 'step', component: 'postgres', message: `trying ${failed.length} entries again, one after the other` });
  const retryFile = join(archive.folder, 'retry.list');
  // In the archive's own order: a constraint may need the index before it.
  await writeFile(retryFile, await entriesInOrder(target, archive, failed), { mode: 0o600 });
  await serially(target, archive, ['--section=post-data'], retryFile, 'indexes and constraints', context);
  return { retriedEntries: failed.length };
}

async function serially(target: RestoreTarget, archive: SchemaArchive, args: readonly string[], listFile: string | undefined, part: string, context: RunContext): Promise<void> {
  const list = listFile === undefined ? [] : ['--use-list', listFile];
  const run = await startRestore(target, [...args, ...list, archive.file], 'ignore', context.signal);
  const issues = await judge(run, part, context);
  if (issues.length > 0) throw restoreFailure(part, issues);
}

/** Lines of the archive's listing for these entries; a number is followed by "; " there. */
async function entriesInOrder(target: RestoreTarget, archive: SchemaArchive, ids: readonly number[]): Promise<string> {
  const wanted = new Set(ids.map(String));
  const { stdout } = await runTool({ file: target.tools.pgRestore, args: ['--list', archive.file] });
  return stdout
    .split('\n')
    .filter((line) => wanted.has(line.slice(0, Math.max(0, line.indexOf(';')))))
    .map((line) => `${line}\n`)
    .join('');
}
