/**
 * Everything but rows, from the spooled schema archive: definitions before the rows, one after the other;
 * indexes, constraints and triggers after them, side by side. Two faults of parallel runs are worked around.
 * When the last leaf of a partitioned index is tied to the middle level while another one is tied to the top, neither
 * transaction sees the other's, and the top index stays invalid for good. pg_restore then fails on foreign keys that
 * reference it, or says nothing (seen in two of three runs with 80 such tables on 15.18). So INDEX ATTACH entries
 * get a serial run of their own, and what depends on them comes after. And what else a parallel
 * run failed on is tried again alone; only what fails then counts.
 */
import { join } from 'node:path';
import type { RunContext } from '../../../lib/events.ts';
import { rewriteFile } from '../../../lib/held-files.ts';
import { type RestoreIssue, restoreFailure } from './issues.ts';
import { type RestoreTarget, judge, startRestore } from './pg-restore.ts';
import type { TocEntry } from '../archive/format.ts';

/** The schema archive on disk. */
export interface SchemaArchive {
  readonly file: string;
  /** A private folder for lists. */
  readonly folder: string;
  readonly toc: readonly TocEntry[];
  /** Ids of the entries to restore; all of them without. */
  readonly chosen?: ReadonlySet<number>;
}

/** Types, functions, tables, views, large objects' owners; resolves with what failed and is not harmless. */
export async function restorePreData(
  target: RestoreTarget,
  archive: SchemaArchive,
  context: RunContext,
): Promise<readonly RestoreIssue[]> {
  return serially(target, archive, 'pre-data', archive.toc, context);
}

/** An archive without what comes in by itself. */
export interface SplitArchive {
  readonly archive: SchemaArchive;
  /** Grants, where whoever fills the database may not make them; else they are in the archive. */
  readonly rights: readonly TocEntry[];
  /** They fire on any definition that is made after them, so they are the very last. */
  readonly eventTriggers: readonly TocEntry[];
}

export function splitArchive(archive: SchemaArchive, withoutRights: boolean): SplitArchive {
  const rights = archive.toc.filter(({ type }) => withoutRights && (type === 'ACL' || type === 'DEFAULT ACL'));
  const made = new Set(archive.toc.filter(({ type }) => type === 'EVENT TRIGGER').map(({ dumpId }) => dumpId));
  // With what is said of them.
  const eventTriggers = archive.toc.filter(({ dumpId, needs }) => made.has(dumpId) || needs.some((id) => made.has(id)));
  const apart = new Set([...rights, ...eventTriggers]);
  return { archive: { ...archive, toc: archive.toc.filter((entry) => !apart.has(entry)) }, rights, eventTriggers };
}

/** Some entries alone, one after the other, whatever section they are of. */
export async function restoreEntries(
  target: RestoreTarget,
  archive: SchemaArchive,
  part: 'rights' | 'event triggers',
  entries: readonly TocEntry[],
  context: RunContext,
): Promise<void> {
  const isChosen = entries.some(({ dumpId }) => archive.chosen?.has(dumpId) ?? true);
  if (!isChosen) return;
  const listFile = await writeList(archive, part.replace(' ', '-'), entries);
  const run = await startRestore(target, ['--use-list', listFile, archive.file], 'ignore', context.signal);
  const issues = await judge(run, part, context);
  if (issues.length > 0) throw restoreFailure(part, issues);
}

export interface PostDataReport {
  /** Entries that the parallel run failed on and the serial one was given. */
  readonly retriedEntries: number;
  /** What failed even alone. */
  readonly failed: readonly RestoreIssue[];
}

/** Indexes, constraints, triggers, rules, materialized views' rows, on up to `jobs` connections. */
export async function restorePostData(
  target: RestoreTarget,
  archive: SchemaArchive,
  jobs: number,
  context: RunContext,
): Promise<PostDataReport> {
  const { before, ties, behind } = orderPostData(archive.toc);
  if (jobs <= 1) {
    return { retriedEntries: 0, failed: await serially(target, archive, 'post-data', archive.toc, context) };
  }
  const first = await sideBySide(target, archive, before, jobs, context);
  if (ties.length === 0) return first;
  const tied = await serially(target, archive, 'post-data', ties, context);
  const last = await sideBySide(target, archive, behind, jobs, context);
  return {
    retriedEntries: first.retriedEntries + last.retriedEntries,
    failed: [...first.failed, ...tied, ...last.failed],
  };
}

/** Tries what failed once more, alone. Throws `integrity` for what fails again. */
export async function retryEntries(
  target: RestoreTarget,
  archive: SchemaArchive,
  section: keyof typeof parts,
  failed: readonly RestoreIssue[],
  context: RunContext,
): Promise<void> {
  const ids = new Set(failed.map(({ tocId }) => tocId));
  const entries = archive.toc.filter(({ dumpId }) => ids.has(dumpId));
  const issues = await serially(target, archive, section, entries, context);
  if (issues.length > 0) throw restoreFailure(parts[section], issues);
}

/** Splits all entries into what needs no tie of partitioned indexes, these ties, and what needs one. */
function orderPostData(toc: readonly TocEntry[]): Record<'before' | 'ties' | 'behind', TocEntry[]> {
  const late = new Set(toc.filter(({ type }) => type === 'INDEX ATTACH').map(({ dumpId }) => dumpId));
  // What needs something stands after it in nearly every archive; another round finds the rest.
  for (let before = -1; before !== late.size;) {
    before = late.size;
    for (const { dumpId, needs } of toc) if (needs.some((id) => late.has(id))) late.add(dumpId);
  }
  const isTie = ({ type }: TocEntry): boolean => type === 'INDEX ATTACH';
  return {
    before: toc.filter(({ dumpId }) => !late.has(dumpId)),
    ties: toc.filter(isTie),
    behind: toc.filter((entry) => late.has(entry.dumpId) && !isTie(entry)),
  };
}

/** One parallel run and the retry of what it failed on. */
async function sideBySide(
  target: RestoreTarget,
  archive: SchemaArchive,
  entries: readonly TocEntry[],
  jobs: number,
  context: RunContext,
): Promise<PostDataReport> {
  const listFile = await writeList(archive, 'parallel', entries);
  const run = await startRestore(
    target,
    ['--section=post-data', `--jobs=${jobs}`, '--use-list', listFile, archive.file],
    'ignore',
    context.signal,
  );
  const { exitCode } = await run.tool.result;
  if (exitCode === 0) return { retriedEntries: 0, failed: [] };
  const failed = run.issues.failedEntries();
  // A run that broke off, or whose errors belong to no entry, has nothing to retry.
  if (run.issues.ignored() === undefined || failed.size === 0) {
    throw restoreFailure(parts['post-data'], run.issues.issues());
  }
  context.emit({
    type: 'step',
    component: 'postgres',
    message: `trying ${failed.size} entries again, one after the other`,
  });
  const again = entries.filter(({ dumpId }) => failed.has(dumpId));
  return { retriedEntries: failed.size, failed: await serially(target, archive, 'post-data', again, context) };
}

/** How the sections are called in messages. */
export const parts = { 'pre-data': 'definitions', 'post-data': 'indexes and constraints' } as const;

/** Throws what cannot be told entry by entry; else what failed. */
async function serially(
  target: RestoreTarget,
  archive: SchemaArchive,
  section: keyof typeof parts,
  entries: readonly TocEntry[],
  context: RunContext,
): Promise<readonly RestoreIssue[]> {
  const listFile = await writeList(archive, section, entries);
  const args = [`--section=${section}`, '--use-list', listFile, archive.file];
  return judge(await startRestore(target, args, 'ignore', context.signal), parts[section], context);
}

/** The chosen ones among these entries, in the archive's order, as a file for --use-list. */
export async function writeList(archive: SchemaArchive, name: string, entries: readonly TocEntry[]): Promise<string> {
  const path = join(archive.folder, `${name}.list`);
  await rewriteFile(
    path,
    entries
      .filter(({ dumpId }) => archive.chosen?.has(dumpId) ?? true)
      .map(({ dumpId }) => `${dumpId};\n`)
      .join(''),
  );
  return path;
}
