/** What is read from which archive, and the three steps that fill a new database from it. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { RunContext } from '../../../lib/events.ts';
import { createFileAt, rewriteFile } from '../../../lib/held-files.ts';
import type { ArtifactReader } from '../../source.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { type DataStream, restoreData, retryData } from './data.ts';
import { searchPathOf } from '../facts/search-path.ts';
import type { RestoreIssue } from './issues.ts';
import type { RestoreTarget } from './pg-restore.ts';
import {
  type SchemaArchive,
  parts,
  restoreEntries,
  restorePostData,
  restorePreData,
  retryEntries,
  splitArchive,
} from './schema.ts';
import type { TocEntry } from '../archive/format.ts';
import { readToc } from './toc.ts';
import { withoutTies } from './missing-rows.ts';
import { chooseEntries } from './select-entries.ts';
import type { Selection } from './table-patterns.ts';
import { helpedNote, tryAgain } from './second-try.ts';
import { timed } from './timed.ts';

/** What a restore of one database will do; made before the target is touched. */
export interface FillPlan {
  readonly archive: SchemaArchive;
  readonly streams: readonly DataStream[];
  readonly schemaOnly: boolean;
  /** True for tables that the restored database holds rows of; undefined: all of the backup. */
  readonly only: ((table: { readonly schema: string; readonly name: string }) => boolean) | undefined;
  /** What the selection leaves out or takes along. */
  readonly notes: readonly string[];
  /** The database's own. */
  readonly searchPath: string;
}

/**
 * Spools the schema archive into `folder` and chooses what to restore. Throws the reader's errors, `usage` for a
 * selection that fits nothing.
 */
export async function planFill(
  reader: ArtifactReader,
  facts: DatabaseFacts,
  selection: Selection,
  folder: string,
): Promise<FillPlan> {
  const file = join(folder, 'schema.dump');
  await spool(reader, facts.artifacts.schema, file);
  const sizes = new Map(reader.artifacts.map(({ name, bytes }) => [name, bytes]));
  const names = [facts.artifacts.data, ...facts.artifacts.tables.map(({ artifact }) => artifact)];
  const all = names.map((artifact) => ({ artifact, bytes: sizes.get(artifact) ?? 0 }));
  const { patterns, schemaOnly } = selection;
  const toc = await readToc(createReadStream(file));
  const archive = { file, folder, toc };
  if (patterns === undefined) {
    const streams = schemaOnly ? [] : all;
    const plan = { archive, streams, schemaOnly, only: undefined, notes: [], searchPath: searchPathOf(facts) };
    return untied(plan, facts);
  }
  const plan = await planChosen({ reader, facts, archive, all, schemaOnly }, chooseEntries(toc, patterns));
  return untied(plan, facts);
}

/** Without what needs rows that are not in the backup. */
function untied(plan: FillPlan, { withoutRows = [] }: DatabaseFacts): FillPlan {
  if (withoutRows.length === 0 || plan.schemaOnly) return plan;
  const { ids, notes } = withoutTies(plan.archive.toc, withoutRows, plan.archive.chosen);
  return { ...plan, archive: { ...plan.archive, chosen: new Set(ids) }, notes: [...plan.notes, ...notes] };
}

interface Chosen {
  readonly reader: ArtifactReader;
  readonly facts: DatabaseFacts;
  readonly archive: SchemaArchive;
  /** First the archive of rows, then tables that lie apart. */
  readonly all: readonly DataStream[];
  readonly schemaOnly: boolean;
}

async function planChosen(
  { reader, facts, archive, all, schemaOnly }: Chosen,
  chosen: ReturnType<typeof chooseEntries>,
): Promise<FillPlan> {
  const { tables, data } = facts.artifacts;
  const apart = new Set(
    tables.filter(({ schema, name }) => chosen.hasRows(schema, name)).map(({ artifact }) => artifact),
  );
  // The numbers of entries are each archive's own: rows are found by name. A chosen table's sequences are those that
  // came along in the schema.
  const sequences = chosenSequences(archive.toc, chosen.ids);
  const ids = (await readToc(reader.open(data)))
    .filter(
      ({ type, schema = '', name }) =>
        (type === 'TABLE DATA' && chosen.hasRows(schema, name)) ||
        (type === 'SEQUENCE SET' && sequences.has(JSON.stringify([schema, name]))),
    )
    .map(({ dumpId }) => dumpId);
  const streams = all.filter(({ artifact }) => apart.has(artifact));
  const [rows] = all;
  if (ids.length > 0 && rows !== undefined) {
    streams.push({ ...rows, listFile: await writeList(archive.folder, 'data.list', ids) });
  }
  return {
    archive: { ...archive, chosen: new Set(chosen.ids) },
    streams: schemaOnly ? [] : streams,
    schemaOnly,
    only: ({ schema, name }) => chosen.hasRows(schema, name),
    notes: chosen.notes,
    searchPath: searchPathOf(facts),
  };
}

export interface FillReport {
  readonly readBytes: number;
  readonly retriedEntries: number;
  /** What would not have come in by pg_restore alone. */
  readonly notes: readonly string[];
  readonly seconds: Readonly<Record<'schema' | 'data' | 'indexes', number>>;
}

/** Definitions, rows, indexes and constraints; all but event triggers. */
export async function fillDatabase(
  target: RestoreTarget,
  reader: ArtifactReader,
  plan: FillPlan,
  jobs: number,
  context: RunContext,
): Promise<FillReport> {
  const filled = plan.schemaOnly ? { ...target, flags: [...target.flags, '--schema-only'] } : target;
  const { filler } = target;
  let retriedEntries = 0;
  const notes: string[] = [];
  const { archive, rights } = splitArchive(plan.archive, filler !== undefined);
  const weak = filler === undefined ? filled : { ...filled, url: filler.url, isSuperuser: false };
  const weakly = async <T>(work: () => Promise<T>): Promise<T> =>
    filler === undefined ? work() : filler.withoutSuperusers(work);
  const again = async (part: string, failed: readonly RestoreIssue[], work: () => Promise<void>): Promise<void> => {
    if (failed.length === 0) return;
    await tryAgain({ place: filled, searchPath: plan.searchPath, part, failed, work }, context);
    notes.push(helpedNote(failed, plan.searchPath));
  };
  const schema = await timed('schema', context, async () => {
    const failed = await restorePreData(filled, archive, context);
    await again(parts['pre-data'], failed, () => retryEntries(filled, archive, 'pre-data', failed, context));
  });
  const data = await timed('data', context, async () => {
    const failed = await weakly(async () => restoreData(weak, reader, plan.streams, jobs, context));
    const issues = failed.flatMap((each) => each.issues);
    const writeIds = (ids: readonly number[]): Promise<string> => writeList(archive.folder, 'data-again.list', ids);
    await again('data', issues, () => weakly(async () => retryData(weak, reader, failed, writeIds, context)));
  });
  const indexes = await timed('indexes', context, async () => {
    // Materialized views read what they were allowed to; grants run nobody's code.
    await restoreEntries(filled, plan.archive, 'rights', rights, context);
    const report = await weakly(async () => restorePostData(weak, archive, jobs, context));
    ({ retriedEntries } = report);
    await again(parts['post-data'], report.failed, () =>
      weakly(async () => retryEntries(weak, archive, 'post-data', report.failed, context)),
    );
  });
  return {
    readBytes: plan.streams.reduce((sum, { bytes }) => sum + bytes, 0),
    retriedEntries,
    notes,
    seconds: { schema, data, indexes },
  };
}

/** After all that anybody does in the database: they fire on any definition that is made there, and on logins. */
export async function restoreEventTriggers(
  target: RestoreTarget,
  { archive }: FillPlan,
  context: RunContext,
): Promise<void> {
  const { eventTriggers } = splitArchive(archive, false);
  await restoreEntries(target, archive, 'event triggers', eventTriggers, context);
}

/** Names of those that would be restored. */
export function eventTriggersOf({ archive }: FillPlan): string[] {
  return splitArchive(archive, false)
    .eventTriggers.filter(({ type, dumpId }) => type === 'EVENT TRIGGER' && (archive.chosen?.has(dumpId) ?? true))
    .map(({ name }) => name);
}

/** An artifact as a private file. */
async function spool(reader: ArtifactReader, name: string, path: string): Promise<void> {
  const file = await createFileAt(path);
  try {
    for await (const chunk of reader.open(name)) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

async function writeList(folder: string, name: string, ids: readonly number[]): Promise<string> {
  const path = join(folder, name);
  await rewriteFile(path, ids.map((id) => `${id};\n`).join(''));
  return path;
}

function chosenSequences(toc: readonly TocEntry[], ids: readonly number[]): Set<string> {
  const chosen = new Set(ids);
  return new Set(
    toc
      .filter(({ dumpId, type }) => chosen.has(dumpId) && type === 'SEQUENCE')
      .map(({ schema, name }) => JSON.stringify([schema, name])),
  );
}
