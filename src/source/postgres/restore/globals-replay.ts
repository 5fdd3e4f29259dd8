/**
 * Roles, memberships and tablespaces, from what pg_dumpall wrote. What is there stays as it is, its
 * password above all; only what is missing is made. All roles come in one transaction, so that a run
 * which breaks off leaves none without its password and attributes, which the next would take for done.
 */
import { collectAtMost } from '../../../lib/bounded-read.ts';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { ArtifactReader } from '../../source.ts';
import type { PostgresFacts } from '../facts/facts.ts';
import { type Queries, serverWords, withMaintenance } from '../server/maintenance.ts';
import { readIdentifier, splitStatements } from './sql-statements.ts';
import { readTargetServer } from './target-database.ts';

export interface GlobalsRequest {
  readonly reader: ArtifactReader;
  readonly facts: PostgresFacts;
  readonly targetUrl: PostgresUrl;
  /** Default false. True: roles that exist get attributes, password, settings and memberships of the backup. */
  readonly overwrite?: boolean;
  /** A throwaway server: no passwords, and no tablespaces, whose folders may be in use by a production server. */
  readonly drill?: boolean;
}

export interface GlobalsReport {
  /** Roles. */
  readonly created: readonly string[];
  /** Tablespaces. */
  readonly createdTablespaces: readonly string[];
  /** Roles that were there. */
  readonly existing: readonly string[];
  /** Tablespaces that could not be made (their folder is missing, mostly); objects in them go to the default one. */
  readonly missingTablespaces: readonly string[];
}

/**
 * Replays. Throws `not_found` when the backup has no globals, `integrity` (14) naming each role statement that failed;
 * then no role was changed.
 */
export async function replayGlobals(request: GlobalsRequest, context: RunContext): Promise<GlobalsReport> {
  const { globals } = request.facts;
  if (globals === undefined) {
    throw new LifeboatError('not_found', 'the backup holds no roles and tablespaces', {
      hint: 'it was made without the right to read them; create the roles by hand',
      state: 'nothing was changed',
    });
  }
  const statements = await readStatements(request, globals.artifact);
  return withMaintenance({ url: request.targetUrl, except: [], signal: context.signal }, async (client) => {
    const existing = await names(client, 'SELECT rolname AS name FROM pg_roles');
    const spaces = await names(client, 'SELECT spcname AS name FROM pg_tablespace');
    const wanted = statements.filter(
      ({ kind, subject }) => !existing.has(subject) || (request.overwrite === true && kind !== 'create-role'),
    );
    await replayRoles(
      client,
      wanted.filter(({ kind }) => kind === 'create-role' || kind === 'role'),
      context,
    );
    const absent = statements.filter(({ kind, subject }) => kind === 'tablespace' && !spaces.has(subject));
    const missingTablespaces = await replayTablespaces(client, absent, context);
    const createdTablespaces = [...new Set(absent.map(({ subject }) => subject))].filter(
      (name) => !missingTablespaces.includes(name),
    );
    const roles = statements.filter(({ kind }) => kind === 'create-role').map(({ subject }) => subject);
    const created = roles.filter((role) => !existing.has(role));
    if (!globals.withPasswords && request.drill !== true && created.length > 0) {
      context.emit({
        type: 'warning',
        component: 'postgres',
        message: `the backup holds no passwords: set them for ${created.join(', ')}`,
      });
    }
    const found = roles.filter((role) => existing.has(role));
    return { created, createdTablespaces, existing: found, missingTablespaces };
  });
}

/** Those that are replayed: in a drill no tablespaces, and no passwords. */
async function readStatements({ reader, drill }: GlobalsRequest, artifact: string): Promise<Statement[]> {
  const all = splitStatements(await readText(reader, artifact)).map(classify);
  if (drill !== true) return all;
  return all
    .filter(({ kind }) => kind !== 'tablespace')
    .map((each) => ({ ...each, sql: replacePassword(each.sql, '') }));
}

interface Statement {
  readonly sql: string;
  readonly kind: 'create-role' | 'role' | 'tablespace' | 'other';
  /** The role (of a membership: the member) or tablespace that it is about. */
  readonly subject: string;
}

/** Whom a statement changes decides whether it is run. */
function classify(sql: string): Statement {
  const about = (kind: Statement['kind'], pattern: RegExp): Statement | undefined => {
    const rest = pattern.exec(sql);
    const subject = rest === null ? undefined : readIdentifier(sql.slice(rest.index + rest[0].length));
    return subject === undefined ? undefined : { sql, kind, subject };
  };
  return (
    about('create-role', /^CREATE ROLE /) ??
    about('role', /^(ALTER ROLE|COMMENT ON ROLE|SECURITY LABEL FOR .* ON ROLE) /) ??
    about(
      'tablespace',
      /^(CREATE TABLESPACE|ALTER TABLESPACE|COMMENT ON TABLESPACE|(GRANT|REVOKE) [A-Z, ]+ ON TABLESPACE) /,
    ) ??
    about('role', /^GRANT (SET|ALTER SYSTEM|ALL)[A-Z, ]* ON PARAMETER \S+ TO /) ??
    about('role', /^GRANT (?:"(?:[^"]|"")+"|\S+) TO /) ?? { sql, kind: 'other', subject: '' }
  );
}

async function replayRoles(client: Queries, statements: readonly Statement[], context: RunContext): Promise<void> {
  const server = await readTargetServer(client);
  await client.query('BEGIN');
  try {
    await client.query('SET LOCAL standard_conforming_strings = on');
    // Password hashes are no text for a server's log.
    if (server.isSuperuser) {
      await client.query(
        "SET LOCAL log_statement = 'none'; SET LOCAL log_min_duration_statement = -1; SET LOCAL " +
          "log_min_error_statement = 'panic'",
      );
    }
    const failures: string[] = [];
    for (const { sql } of statements) {
      context.signal.throwIfAborted();
      const failure = await attempt(client, sql);
      const modest = modestly(sql);
      if (failure !== undefined && (modest === sql || (await attempt(client, modest)) !== undefined)) {
        failures.push(`${withoutPassword(sql)}: ${failure}`);
      }
    }
    if (failures.length > 0) {
      throw new LifeboatError(
        'integrity',
        'cannot restore the roles of the backup: ' +
          `${failures.slice(0, 5).join('; ')}${failures.length > 5 ? ` and ${failures.length - 5} more` : ''}`,
        {
          hint: 'restore them as a superuser, or create the missing roles by hand',
          state: 'no role was changed',
          facts: { failures: failures.slice(0, 100) },
        },
      );
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** Outside of a transaction, as the server wants it; a folder that is not there costs only the placement. */
async function replayTablespaces(
  client: Queries,
  statements: readonly Statement[],
  context: RunContext,
): Promise<string[]> {
  const missing = new Set<string>();
  for (const { sql, subject } of statements) {
    if (missing.has(subject)) continue;
    try {
      await client.query(sql);
    } catch (error) {
      if (sql.startsWith('CREATE TABLESPACE ')) missing.add(subject);
      context.emit({
        type: 'warning',
        component: 'postgres',
        message: `tablespace "${subject}" was not restored: ${serverWords(error)}`,
      });
    }
  }
  return [...missing];
}

/** Runs one statement; what the server said against it, or undefined. */
async function attempt(client: Queries, sql: string): Promise<string | undefined> {
  await client.query('SAVEPOINT one');
  try {
    await client.query(sql);
    await client.query('RELEASE SAVEPOINT one');
    return undefined;
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT one');
    return serverWords(error);
  }
}

/**
 * A second try: what a new role is anyway may be named by superusers only (before version 16; managed servers have
 * none), and the grantor of a membership may be missing.
 */
function modestly(sql: string): string {
  if (!sql.startsWith('ALTER ROLE ')) return sql.replace(/ GRANTED BY (?:"(?:[^"]|"")+"|\S+)$/, '');
  return inAttributes(sql, (attributes) =>
    attributes.replaceAll(/(^| )(NOSUPERUSER|NOREPLICATION|NOBYPASSRLS)\b/g, ''),
  );
}

/** Changes what follows a role's name in the statement of its attributes only: the name may hold the same words. */
function inAttributes(sql: string, change: (attributes: string) => string): string {
  const [, head, attributes] = /^((?:CREATE|ALTER) ROLE (?:"(?:[^"]|"")+"|[^\s"]+) WITH )(.*)$/s.exec(sql) ?? [];
  return head === undefined || attributes === undefined ? sql : `${head}${change(attributes)}`;
}

/** `to` stands for the whole clause; nothing but the role's validity follows it. */
function replacePassword(sql: string, to: string): string {
  return inAttributes(sql, (attributes) =>
    attributes.replace(/ ?\bPASSWORD '(?:[^']|'')*'(?=( VALID UNTIL '[^']*')?$)/, to),
  );
}

function withoutPassword(sql: string): string {
  return replacePassword(sql, " PASSWORD '***'");
}

async function names(client: Queries, query: string): Promise<Set<string>> {
  return new Set((await client.query(query)).map(({ name }) => name ?? ''));
}

/** As much as is taken from the server when it is backed up. */
export const maxGlobalsBytes = 64 * 1024 * 1024;

async function readText(reader: ArtifactReader, name: string): Promise<string> {
  return (await collectAtMost(reader.open(name), maxGlobalsBytes, name)).toString('utf8');
}
