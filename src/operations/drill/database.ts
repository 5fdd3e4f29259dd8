/**
 * Drill of databases: roles without passwords, each database restored, its counts and fingerprints compared,
 * its indexes checked by pg_amcheck, and dropped. In a throwaway server of ours, or in a scratch server that
 * is configured. What the server lacks is told before, so that it is not taken for damage.
 */
import { randomBytes } from 'node:crypto';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { requireSpace } from '../../lib/fs.ts';
import { isGone, ownIdentity, type ProcessIdentity } from '../../lib/process-identity.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { postgresFacts, type DatabaseFacts, type PostgresFacts } from '../../source/postgres/facts/facts.ts';
import { serverWords, withMaintenance, type Queries } from '../../source/postgres/server/maintenance.ts';
import type { FillLogin } from '../../source/postgres/cluster/fill-login.ts';
import { suffixedName } from '../../source/postgres/restore/names.ts';
import { quoteIdentifier, quoteLiteral } from '../../source/postgres/server/quote.ts';
import { restorePostgres } from '../../source/postgres/restore/new-database.ts';
import type { PostgresRestoreReport } from '../../source/postgres/restore/request.ts';
import { startScratchCluster } from '../../source/postgres/cluster/scratch-cluster.ts';
import { findScratchPlace } from '../../source/postgres/cluster/scratch-place.ts';
import { dropDatabase } from '../../source/postgres/restore/target-database.ts';
import { dropDeadRestores } from '../../source/postgres/restore/unfinished.ts';
import { findRestoreTools } from '../../source/postgres/server/tools.ts';
import { factsOf } from '../backup-facts.ts';
import { restoreStep, type DrillRecord, type DrillSubject } from './subject.ts';
import { recordStructure } from './structure.ts';
import { readSystemId } from '../../source/postgres/server/control.ts';
import { counted } from '../../lib/units.ts';

export async function drillDatabase(subject: DrillSubject, record: DrillRecord, context: RunContext): Promise<void> {
  const facts = factsOf(postgresFacts, subject.facts, subject.component, subject.manifest.id);
  const { scratchPostgresUrl } = subject.config.drill;
  if (scratchPostgresUrl !== undefined) {
    const version = await readScratchServer(scratchPostgresUrl, facts, context);
    record.versions['postgres'] = version;
    record.notes.push('the scratch server that is configured was used');
    const programs = (await findRestoreTools(Number.parseInt(version, 10), facts.toolVersion)).folder;
    const url = scratchPostgresUrl;
    return drillIn({ subject, facts, url, programs, filler: undefined, isOurs: false }, record, context);
  }
  const place = await findScratchPlace(Number.parseInt(facts.toolVersion, 10));
  await requireSpace(place.parent, neededBytes(facts), 'a throwaway PostgreSQL server');
  context.emit({
    type: 'step',
    component: subject.component.name,
    message: `starting a throwaway PostgreSQL ${place.version} below ${place.parent}`,
  });
  const isolation = await record.isolate(subject.config);
  await using cluster = await record.step('start a server', () => startScratchCluster(place, isolation, context));
  record.versions['postgres'] = cluster.version;
  const { url, programs, filler } = cluster;
  await drillIn({ subject, facts, url, programs, filler, isOurs: true }, record, context);
}

interface Drill {
  readonly subject: DrillSubject;
  readonly facts: PostgresFacts;
  readonly url: PostgresUrl;
  readonly programs: string;
  /** Undefined for a server that is not ours. */
  readonly filler: FillLogin | undefined;
  /** False: a server that is not ours; nothing stays there. */
  readonly isOurs: boolean;
}

/** An empty cluster, and the largest database with its indexes: each is dropped before the next. */
function neededBytes({ databases }: PostgresFacts): number {
  const sizes = databases.map(({ tables }) => tables.reduce((sum, { bytes }) => sum + bytes, 0));
  return 200_000_000 + 2 * Math.max(0, ...sizes);
}

async function drillIn(drill: Drill, record: DrillRecord, context: RunContext): Promise<void> {
  const { facts, url, isOurs } = drill;
  await record.step('preflight', () => refuseMissingExtensions(url, facts, context));
  const created = await record.step(`${restoreStep} roles`, () => makeRoles(drill, record, context));
  try {
    for (const database of facts.databases) {
      try {
        await drillOne(drill, database, facts.globals !== undefined, record, context);
      } catch (error) {
        if (!(error instanceof LifeboatError) || error.code !== 'integrity') throw error;
        record.failures.push(error);
      }
    }
  } finally {
    if (!isOurs) await clearing(`roles ${created.join(', ')}`, context, () => dropRoles(url, created));
  }
  record.compared.push(
    'the row count and fingerprint of every table with what was recorded',
    'extensions, sequences and large objects with what was recorded',
  );
  record.summary =
    `${counted(record.counts['databases'] ?? 0, 'database')}, ${counted(record.counts['tables'] ?? 0, 'table')}, ` +
    counted(record.counts['rows'] ?? 0, 'row');
}

/** The names of those that were made. */
async function makeRoles(
  { subject, facts, url, isOurs }: Drill,
  record: DrillRecord,
  context: RunContext,
): Promise<readonly string[]> {
  if (facts.globals === undefined) {
    record.notes.push('the backup holds no roles: owners and grants were not restored');
    return [];
  }
  const { replayGlobals } = await import('../../source/postgres/restore/globals-replay.ts');
  try {
    const { created, existing } = await replayGlobals(
      { reader: subject.reader, facts, targetUrl: url, drill: true },
      context,
    );
    record.count('roles', created.length + existing.length);
    if (!isOurs) {
      await withMaintenance({ url, except: [], signal: context.signal }, async (client) =>
        comment(client, 'ROLE', created),
      );
    }
    return created;
  } catch (error) {
    // What a server of the operator's does not allow is no fault of the backup; damage of the repository has no such
    // list.
    if (isOurs || !(error instanceof LifeboatError) || error.facts?.['failures'] === undefined) throw error;
    throw new LifeboatError('tool', `the scratch server does not take the roles of the backup: ${error.message}`, {
      hint: 'BACKUP_DRILL_DATABASE_URL must be of a superuser',
      cause: error,
    });
  }
}

async function dropRoles(url: PostgresUrl, roles: readonly string[]): Promise<void> {
  await withMaintenance({ url, except: [] }, async (client) => {
    // What one role granted another goes with the first of them.
    for (const role of roles) {
      await client.query(`DROP OWNED BY ${quoteIdentifier(role)}; DROP ROLE IF EXISTS ${quoteIdentifier(role)}`);
    }
  });
}

async function drillOne(
  drill: Drill,
  facts: DatabaseFacts,
  withRoles: boolean,
  record: DrillRecord,
  context: RunContext,
): Promise<void> {
  const { url, subject, isOurs } = drill;
  const name = isOurs
    ? suffixedName(facts.name, '_drill')
    : suffixedName(facts.name, `_drill_${randomBytes(4).toString('hex')}`);
  context.emit({
    type: 'step',
    component: subject.component.name,
    message: `restoring database ${facts.name} and comparing it`,
  });
  try {
    await restorePostgres(
      {
        reader: subject.reader,
        facts: drill.facts,
        database: facts.name,
        targetUrl: url,
        targetDatabase: name,
        jobs: subject.config.jobs,
        drill: true,
        noOwner: !withRoles,
        noAcl: !withRoles,
        toolsFolder: drill.programs,
        filler: drill.filler,
        inspect: async (database, report) => {
          take(report, record);
          record.count('databases', 1);
          await checkIndexes(drill, facts, database, record, context);
        },
      },
      context,
    );
    if (!isOurs) {
      await withMaintenance({ url, except: [name], signal: context.signal }, async (client) =>
        comment(client, 'DATABASE', [name]),
      );
    }
  } finally {
    // Without the run's signal, which may be what ended it. Ours goes as a whole.
    if (!isOurs || !context.signal.aborted) {
      await clearing(`database "${name}"`, context, () =>
        withMaintenance({ url, except: [name] }, (client) => dropDatabase(client, name)),
      );
    }
  }
}

function take({ seconds, verified, notes }: PostgresRestoreReport, record: DrillRecord): void {
  for (const [name, value] of Object.entries(seconds)) {
    record.took(name === 'verify' ? 'compare' : `${restoreStep} ${name}`, value * 1000);
  }
  record.notes.push(...notes);
  record.count('tables', verified?.tables ?? 0);
  record.count('rows', Number(verified?.rows ?? 0));
  record.count('fingerprints', verified?.fingerprinted ?? 0);
}

async function checkIndexes(
  { url, programs, subject }: Drill,
  facts: DatabaseFacts,
  name: string,
  record: DrillRecord,
  context: RunContext,
): Promise<void> {
  await recordStructure(
    {
      url,
      databases: [name],
      named: () => `the restored database "${facts.name}"`,
      component: subject.component.name,
      programs,
      jobs: subject.config.jobs,
    },
    record,
    context,
  );
}

/**
 * Makes every extension in a database of its own: one that is not installed, or wants to be preloaded, is no fault of
 * the backup. Throws `tool` (16).
 */
async function refuseMissingExtensions(
  url: PostgresUrl,
  { databases }: PostgresFacts,
  context: RunContext,
): Promise<void> {
  const { signal } = context;
  const wanted = [...new Set(databases.flatMap(({ extensions }) => extensions.map(({ name }) => name)))].filter(
    (name) => name !== 'plpgsql',
  );
  if (wanted.length === 0) return;
  const probe = `lifeboat_probe_${randomBytes(4).toString('hex')}`;
  await withMaintenance({ url, except: [], signal }, async (client) =>
    client.query(`CREATE DATABASE ${probe} TEMPLATE template0`),
  );
  try {
    const missing = await withConnection(url, { database: probe, signal }, async (client) => failing(client, wanted));
    if (missing.length === 0) return;
    throw new LifeboatError(
      'tool',
      `the throwaway server cannot have the extensions of the backup: ${missing.join('; ')}`,
      {
        hint: 'install them on this machine, or name a scratch server that has them by BACKUP_DRILL_DATABASE_URL',
        state: 'nothing was found out about the backup',
      },
    );
  } finally {
    await clearing(`database "${probe}"`, context, () =>
      withMaintenance({ url, except: [probe] }, (client) => dropDatabase(client, probe)),
    );
  }
}

async function failing(client: Queries, names: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  await client.query('SET default_transaction_read_only = off; SET search_path = public');
  for (const name of names) {
    // Each alone: in one schema two of them may get in each other's way.
    await client.query('BEGIN');
    try {
      await client.query(`CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(name)} CASCADE`);
    } catch (error) {
      missing.push(`${name} (${serverWords(error)})`);
    }
    await client.query('ROLLBACK');
  }
  return missing;
}

/** What cannot be taken away is told; it must not hide why. */
async function clearing(what: string, { emit }: RunContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    emit({
      type: 'warning',
      component: 'postgres',
      message: `${what} may be left on the scratch server: ${serverWords(error)}`,
    });
  }
}

const markPrefix = 'lifeboat drill ';

/** So that the next drill on this server knows what a killed one left. */
async function comment(client: Queries, kind: 'DATABASE' | 'ROLE', names: readonly string[]): Promise<void> {
  const mark = quoteLiteral(markPrefix + JSON.stringify(ownIdentity()));
  for (const name of names) await client.query(`COMMENT ON ${kind} ${quoteIdentifier(name)} IS ${mark}`);
}

/** Drops what killed drills of this host left. */
async function dropLeft(client: Queries, { emit }: RunContext): Promise<void> {
  // Those that were still being filled first: a role that owns one cannot be dropped.
  await dropDeadRestores(client, emit);
  const isLeft = ({ mark }: Readonly<Record<string, string | null>>): boolean =>
    mark?.startsWith(markPrefix) === true &&
    isGone(JSON.parse(mark.slice(markPrefix.length)) as ProcessIdentity, ownIdentity());
  for (const { name } of (
    await client.query("SELECT datname::text AS name, shobj_description(oid, 'pg_database') AS mark FROM pg_database")
  ).filter(isLeft)) {
    await dropDatabase(client, name ?? '');
    emit({ type: 'step', message: `dropped database "${name}", which a killed drill had left on the scratch server` });
  }
  const roles = (
    await client.query("SELECT rolname::text AS name, shobj_description(oid, 'pg_authid') AS mark FROM pg_roles")
  ).filter(isLeft);
  for (const { name } of roles) {
    await client.query(`DROP OWNED BY ${quoteIdentifier(name ?? '')}; DROP ROLE ${quoteIdentifier(name ?? '')}`);
  }
}

/** Its version. Refuses the server that the backup is of; drops what killed drills of this host left there. */
async function readScratchServer(url: PostgresUrl, facts: PostgresFacts, context: RunContext): Promise<string> {
  return withMaintenance({ url, except: [], signal: context.signal }, async (client) => {
    const [server] = await client.query("SELECT current_setting('server_version') AS version");
    const identifier = await readSystemId(client);
    if (facts.systemIdentifier !== undefined && identifier === facts.systemIdentifier) {
      throw new LifeboatError(
        'usage',
        'BACKUP_DRILL_DATABASE_URL names the very server that the backup was taken from',
        { hint: 'name a scratch server, or unset it: then a throwaway one is made', state: 'nothing was changed' },
      );
    }
    await dropLeft(client, context);
    return (server?.['version'] ?? '').split(' ')[0] ?? '';
  });
}
