/**
 * The database that a restore fills bears a temporary name and a comment that says so until everything is in; taking
 * the wanted name is the commit point. So what a killed restore leaves can never be taken for the real thing, and the
 * next run knows it by its comment.
 */
import { z } from 'zod';
import type { EventSink } from '../../../lib/events.ts';
import { type ProcessIdentity, isGone, ownIdentity } from '../../../lib/process-identity.ts';
import { type Queries, serverWords } from '../server/maintenance.ts';
import { quoteIdentifier } from '../server/quote.ts';
import { isRestoringName } from './names.ts';
import { dropDatabase } from './target-database.ts';

const markPrefix = 'lifeboat restore in progress ';

/** The comment of a database that this process fills, to be called `target` in the end. */
export function markFor(target: string): string {
  const mark: Mark = { target, by: ownIdentity(), since: new Date().toISOString() };
  return markPrefix + JSON.stringify(mark);
}

/** In the comment of an unfinished database. */
const markSchema = z.object({
  target: z.string(),
  by: z.object({
    host: z.string(),
    bootId: z.string(),
    pidNamespace: z.string(),
    pid: z.number().int(),
    processStart: z.string(),
    user: z.string(),
  }),
  since: z.iso.datetime(),
});

interface Mark {
  readonly target: string;
  readonly by: ProcessIdentity;
  readonly since: string;
}

/** Whether a database with this comment could be taken for one that a restore has not finished. */
export function looksLikeMark(comment: string): boolean {
  return comment.startsWith(markPrefix);
}

/** Undefined for anything that we do not write: whoever owns a database may put any comment on it. */
function parseMark(comment: string | null | undefined): Mark | undefined {
  if (typeof comment !== 'string' || !looksLikeMark(comment)) return undefined;
  try {
    return markSchema.parse(JSON.parse(comment.slice(markPrefix.length)));
  } catch {
    return undefined;
  }
}

/** A database that some restore has not finished. */
export interface UnfinishedRestore {
  readonly database: string;
  readonly target: string;
  readonly host: string;
  readonly since: string;
  /** False only where that is certain: this system's, and the process is gone. */
  readonly mayBeRunning: boolean;
}

/**
 * What earlier restores left unfinished, or are still working at. Only databases that are ours count: owned by this
 * role, with a name and a comment as a restore gives them.
 */
export async function findUnfinishedRestores(client: Queries): Promise<UnfinishedRestore[]> {
  const rows = await client.query(
    `SELECT datname::text AS name, shobj_description(oid, 'pg_database') AS mark FROM pg_database
     WHERE pg_get_userbyid(datdba) = current_user ORDER BY datname`,
  );
  return rows.flatMap(({ name, mark }) => {
    const parsed = isRestoringName(name ?? '') ? parseMark(mark) : undefined;
    if (parsed === undefined) return [];
    const { target, by, since } = parsed;
    return [{ database: String(name), target, host: by.host, since, mayBeRunning: !isGone(by, ownIdentity()) }];
  });
}

/** Drops what dead restores of this host left, whatever their target; tells of others. */
export async function dropDeadRestores(client: Queries, emit: EventSink): Promise<void> {
  for (const left of await findUnfinishedRestores(client)) {
    if (left.mayBeRunning) {
      emit({
        type: 'warning',
        component: 'postgres',
        message:
          `database "${left.database}" is an unfinished restore by ${left.host} since ${left.since}: if that one is ` +
          `not running any more, drop it: DROP DATABASE ${quoteIdentifier(left.database)}`,
      });
      continue;
    }
    try {
      await dropDatabase(client, left.database);
      emit({
        type: 'step',
        component: 'postgres',
        message: `dropped "${left.database}", which a killed restore had left`,
      });
    } catch (error) {
      emit({
        type: 'warning',
        component: 'postgres',
        message: `"${left.database}", which a killed restore left, could not be dropped: ${serverWords(error)}`,
      });
    }
  }
}

/**
 * The first of the names `named` gives, from the moment `at` on second by second, that no database has and no running
 * restore will take: of two in one second the later takes the next one.
 */
export async function freeStampedName(client: Queries, named: (at: Date) => string, at: Date): Promise<string> {
  const taken = new Set((await client.query('SELECT datname AS name FROM pg_database')).map(({ name }) => name));
  for (const { target } of await findUnfinishedRestores(client)) taken.add(target);
  for (let ms = at.getTime(); ; ms += 1000) {
    const name = named(new Date(ms));
    if (!taken.has(name)) return name;
  }
}
