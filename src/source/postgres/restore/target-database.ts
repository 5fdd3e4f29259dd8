/**
 * The database that a restore fills. It bears a temporary name and a comment that says so until
 * everything is in; taking the wanted name is the commit point. So what a killed restore leaves can
 * never be taken for the real thing, and the next run knows it by its comment.
 */
import { z } from 'zod';
import { LifeboatError } from '../../../lib/errors.ts';
import type { EventSink } from '../../../lib/events.ts';
import { type ProcessIdentity, isGone, ownIdentity } from '../../../lib/process-identity.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { type Queries, serverWords } from '../server/maintenance.ts';
import { quoteIdentifier, quoteLiteral } from '../server/quote.ts';
import { isRestoringName } from './names.ts';

/** What the server to restore into is, as far as a restore must know. */
export interface TargetServer {
  /** E.g. 150018. */
  readonly versionNum: number;
  readonly isSuperuser: boolean;
  readonly user: string;
}

export interface CreateOptions {
  /** A drill may take another locale of the same encoding where the recorded one is unknown. */
  readonly drill: boolean;
  readonly emit: EventSink;
}

const markPrefix = 'lifeboat restore in progress ';

export async function readTargetServer(client: Queries): Promise<TargetServer> {
  const [row] = await client.query(
    "SELECT current_setting('server_version_num') AS version, current_setting('is_superuser') AS super, " +
      'current_user::text AS role',
  );
  return { versionNum: Number(row?.['version']), isSuperuser: row?.['super'] === 'on', user: row?.['role'] ?? '' };
}

export async function databaseExists(client: Queries, name: string): Promise<boolean> {
  return (await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])).length > 0;
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

/**
 * CREATE DATABASE with encoding, locale and tablespace of the backup, marked as unfinished. Throws `tool` (16) for a
 * locale that the server does not have.
 */
export async function createMarkedDatabase(
  client: Queries,
  server: TargetServer,
  facts: DatabaseFacts,
  name: string,
  target: string,
  options: CreateOptions,
): Promise<void> {
  const head =
    `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ENCODING ` +
    `${quoteLiteral(facts.encoding)}${await tablespaceClause(client, facts, options.emit)}`;
  try {
    await client.query(`${head} ${localeClause(server, facts)}`);
  } catch (error) {
    if (!isLocaleTrouble(error)) throw createFailed(name, error);
    if (!options.drill) throw localeMissing(facts, error);
    await createWithFallback(client, head, facts, options.emit);
  }
  const mark: Mark = { target, by: ownIdentity(), since: new Date().toISOString() };
  await client.query(
    `COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(markPrefix + JSON.stringify(mark))}`,
  );
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

/** Ends its sessions and drops it; absent is fine. */
export async function dropDatabase(client: Queries, name: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}

function localeClause(server: TargetServer, facts: DatabaseFacts): string {
  const parts = [`LC_COLLATE ${quoteLiteral(facts.collate)} LC_CTYPE ${quoteLiteral(facts.ctype)}`];
  const version = Math.trunc(server.versionNum / 10_000);
  const needs = facts.localeProvider === 'b' ? 17 : facts.localeProvider === 'i' ? 15 : 0;
  if (version < needs) {
    throw new LifeboatError(
      'tool',
      `database "${facts.name}" has a locale of ${facts.localeProvider === 'i' ? 'ICU' : 'the builtin provider'}, ` +
        `which a server of version ${version} does not know`,
      { hint: `restore into PostgreSQL ${needs} or newer`, state: 'nothing was changed' },
    );
  }
  if (facts.localeProvider === 'i') parts.push(`LOCALE_PROVIDER icu ICU_LOCALE ${quoteLiteral(facts.locale ?? 'und')}`);
  if (facts.localeProvider === 'i' && facts.icuRules !== undefined) {
    parts.push(`ICU_RULES ${quoteLiteral(facts.icuRules)}`);
  }
  if (facts.localeProvider === 'b') {
    parts.push(`LOCALE_PROVIDER builtin BUILTIN_LOCALE ${quoteLiteral(facts.locale ?? 'C')}`);
  }
  if (facts.localeProvider === 'c' && version >= 15) parts.push('LOCALE_PROVIDER libc');
  return parts.join(' ');
}

async function createWithFallback(client: Queries, head: string, facts: DatabaseFacts, emit: EventSink): Promise<void> {
  const names = facts.encoding === 'UTF8' ? ['C.UTF-8', 'C'] : ['C'];
  for (const [at, name] of names.entries()) {
    try {
      await client.query(`${head} LC_COLLATE '${name}' LC_CTYPE '${name}'`);
      emit({
        type: 'warning',
        component: 'postgres',
        message:
          `the locale "${facts.locale ?? facts.collate}" of database "${facts.name}" is not on this server: the ` +
          `drill uses "${name}", so the order of texts may differ`,
      });
      return;
    } catch (error) {
      if (at === names.length - 1) throw createFailed(facts.name, error);
    }
  }
}

/** Another tablespace than the default is wanted only where it exists and may be used. */
async function tablespaceClause(client: Queries, facts: DatabaseFacts, emit: EventSink): Promise<string> {
  if (facts.tablespace === 'pg_default') return '';
  const rows = await client.query(
    "SELECT 1 FROM pg_tablespace WHERE spcname = $1 AND has_tablespace_privilege(oid, 'CREATE')",
    [facts.tablespace],
  );
  if (rows.length > 0) return ` TABLESPACE ${quoteIdentifier(facts.tablespace)}`;
  emit({
    type: 'warning',
    component: 'postgres',
    message:
      `tablespace "${facts.tablespace}" of database "${facts.name}" ` +
      'cannot be used on this server: the default one is taken',
  });
  return '';
}

/**
 * 42809 is "invalid locale name" (libc), 22023 what ICU and the builtin provider say, and an encoding that does not
 * fit.
 */
function isLocaleTrouble(error: unknown): boolean {
  return ['42809', '22023'].includes(sqlStateOf(error) ?? '');
}

function localeMissing(facts: DatabaseFacts, cause: unknown): LifeboatError {
  return new LifeboatError(
    'tool',
    `cannot make a database with the locale "${facts.locale ?? facts.collate}" and encoding ${facts.encoding} of ` +
      `"${facts.name}": ${serverWords(cause)}`,
    {
      hint:
        'install the locale on the PostgreSQL server (Debian, Ubuntu: localedef or dpkg-reconfigure locales, then ' +
        'restart it); another locale would change the order of indexes and results',
      state: 'nothing was changed',
      cause,
    },
  );
}

function createFailed(name: string, cause: unknown): LifeboatError {
  const noRight = sqlStateOf(cause) === '42501';
  return new LifeboatError('source', `cannot create database "${name}": ${serverWords(cause)}`, {
    ...(noRight ? { hint: 'the role that restores needs CREATEDB: ALTER ROLE … CREATEDB' } : {}),
    state: 'nothing was changed',
    cause,
  });
}
