/** Makes the database that a restore fills: encoding, locale and tablespace of the backup, marked as unfinished. */
import { LifeboatError } from '../../../lib/errors.ts';
import type { EventSink } from '../../../lib/events.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import { type Queries, serverWords } from '../server/maintenance.ts';
import { quoteIdentifier, quoteLiteral } from '../server/quote.ts';
import type { TargetServer } from './target-database.ts';
import { markFor } from './unfinished.ts';

export interface CreateOptions {
  /** A drill may take another locale of the same encoding where the recorded one is unknown. */
  readonly drill: boolean;
  readonly emit: EventSink;
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
  await client.query(`COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(markFor(target))}`);
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
