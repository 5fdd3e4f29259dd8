/**
 * Copies databases, or tables of them, from a recovered cluster into a live server: beside what is there,
 * compared with what the recovered cluster holds, and swapped on request. What is in the way is found out
 * before the recovery begins, which may take hours.
 */
import type { TargetConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { openLiveDump, type LiveDump } from '../../source/postgres/dump/live-dump.ts';
import { quoteQualified } from '../../source/postgres/server/quote.ts';
import { restoreIntoExisting } from '../../source/postgres/restore/existing-database.ts';
import { parsePattern } from '../../source/postgres/restore/table-patterns.ts';
import { acquireReadLease } from '../read-lease.ts';
import type { PitrRequest, PitrStep } from './request.ts';
import { planDatabases } from '../restore/databases.ts';
import { restoredTables } from '../restore/database-run.ts';
import { placeDatabase } from '../restore/database-place.ts';
import { nowhere, type Replaced, type RestoreStep, type RestoreSubject } from '../restore/step.ts';
import { runStep, saveWhatIsReplaced } from '../restore/restore.ts';
import type { RestoredComponent, RestoreRequest } from '../restore/request.ts';
import { filesDefaults, redisDefaults } from '../restore/request.ts';

type Wanted = RestoreRequest['postgres'];

export interface IntoPlan {
  readonly wanted: Wanted;
  readonly url: PostgresUrl;
  readonly target: TargetConfig | undefined;
  readonly steps: readonly PitrStep[];
  readonly replaces: readonly Replaced[];
  /** Part of the names that are made. */
  readonly at: Date;
}

const component = 'database';

/**
 * Asks the live server what is there. Throws `usage` (2), `source` (13), `confirmation` (18) for tables that would have
 * to be replaced.
 */
export async function planInto(
  loaded: LoadedConfig,
  targetName: string,
  wanted: Wanted,
  at: Date,
  context: RunContext,
): Promise<IntoPlan> {
  const target = loaded.config.targets.get(targetName);
  const url = wanted.toUrl ?? target?.postgres?.url;
  if (url === undefined) throw nowhere('PostgreSQL', 'DATABASE_URL');
  if (wanted.databases.length === 0) {
    throw new LifeboatError('usage', 'no database was named to copy', {
      state: 'nothing was changed',
      hint: 'name one: --into-database app',
    });
  }
  if (wanted.toDatabase !== undefined && wanted.databases.length > 1) {
    const message = `one name (${wanted.toDatabase}) cannot serve ${wanted.databases.length} databases`;
    throw new LifeboatError('usage', message, { state: 'nothing was changed', hint: 'name one with --into-database' });
  }
  const steps: PitrStep[] = [];
  const replaces: Replaced[] = [];
  for (const database of wanted.databases) {
    if (isInPlace(wanted)) {
      await refuseExistingTables(url, database, wanted.tables, context);
      steps.push({ component, to: database, action: `copy tables ${wanted.tables.join(', ')} into it and compare` });
      continue;
    }
    const place = await placeDatabase(wanted, database, url, at, context);
    const what = wanted.tables.length === 0 ? 'it' : `tables ${wanted.tables.join(', ')}`;
    steps.push({ component, to: place.to, action: place.action.replace(/^restore/, `copy ${what}`) });
    if (place.replaces !== undefined) replaces.push(place.replaces);
  }
  return { wanted, url, target, steps, replaces, at };
}

/** Tables into the live database itself: only those that are not there any more. */
function isInPlace({ tables, intoLive }: Wanted): boolean {
  return tables.length > 0 && intoLive;
}

async function refuseExistingTables(
  url: PostgresUrl,
  database: string,
  tables: readonly string[],
  { signal }: RunContext,
): Promise<void> {
  const patterns = tables.map(parsePattern);
  const rows = await withConnection(url, { database, signal }, async (client) =>
    client.query(
      'SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = ' +
        "c.relnamespace WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> " +
        "'information_schema'",
    ),
  );
  const there = rows
    .filter((row) => patterns.some((pattern) => pattern.matches(row['schema'] ?? '', row['name'] ?? '')))
    .map((row) => quoteQualified(row['schema'] ?? '', row['name'] ?? ''));
  if (there.length === 0) return;
  throw new LifeboatError(
    'confirmation',
    `${there.slice(0, 5).join(', ')} ${there.length === 1 ? 'exists' : 'exist'} in database "${database}"`,
    {
      state: 'nothing was changed',
      hint:
        'leave out --into-live: the tables come into a new database beside it, to copy from; or rename them first: ' +
        'ALTER TABLE … RENAME TO …',
    },
  );
}

export interface CopyOptions {
  readonly loaded: LoadedConfig;
  readonly repository: Repository;
  readonly request: Pick<PitrRequest, 'safetyBackup'>;
  /** Of the base backup. */
  readonly manifest: Manifest;
  readonly into: IntoPlan;
  /** Of the recovered cluster, at rest. */
  readonly from: { readonly url: PostgresUrl; readonly programs: string };
}

export interface Copied {
  readonly copied: readonly RestoredComponent[];
  readonly safetyBackupId: string | undefined;
}

/**
 * Copies, compares, swaps. Throws `not_found` (10) for a database that the recovered cluster does not have, `integrity`
 * (14) for a copy that differs.
 */
export async function copyInto(options: CopyOptions, context: RunContext): Promise<Copied> {
  const { loaded, repository, request, manifest, into, from } = options;
  await refuseMissing(from.url, into.wanted.databases, context);
  await using _ = await acquireReadLease(
    repository,
    { scope: `restore-${manifest.target}`, command: 'pitr', parents: [manifest.id] },
    context,
  );
  const { bigTableBytes = 256 * 1024 * 1024, lockWaitTimeoutMs = 60_000 } = into.target?.postgres ?? {};
  await using dump = await openLiveDump(
    { ...from, databases: into.wanted.databases, jobs: loaded.config.jobs, bigTableBytes, lockWaitTimeoutMs },
    context,
  );
  const steps = await stepsOf(options, dump, context);
  const safetyBackupId = await saveWhatIsReplaced(
    loaded,
    { safetyBackup: request.safetyBackup !== false },
    manifest.target,
    manifest.id,
    steps,
    context,
  );
  const copied: RestoredComponent[] = [];
  for (const step of steps) copied.push(await runStep(step, copied, context));
  return { copied, safetyBackupId };
}

async function refuseMissing(url: PostgresUrl, databases: readonly string[], { signal }: RunContext): Promise<void> {
  const there = await withConnection(url, { signal }, async (client) =>
    (await client.query('SELECT datname AS name FROM pg_database WHERE datallowconn ORDER BY 1')).map(
      ({ name }) => name ?? '',
    ),
  );
  const missing = databases.find((name) => !there.includes(name));
  if (missing !== undefined) {
    throw new LifeboatError('not_found', `the recovered cluster holds no database "${missing}"`, {
      hint: `it holds: ${there.join(', ')}`,
    });
  }
}

async function stepsOf(options: CopyOptions, dump: LiveDump, context: RunContext): Promise<RestoreStep[]> {
  const { wanted } = options.into;
  const subject = subjectOf(options, dump);
  if (!isInPlace(wanted)) return planDatabases(subject, context);
  return wanted.databases.map((database) => ({
    component,
    to: database,
    action: 'copy tables',
    bytes: 0,
    replaces: undefined,
    run: async (inner) => copyTables(options, dump, database, subject.component, inner),
  }));
}

/** The recovered cluster in the place of a backup. */
function subjectOf({ loaded, manifest, into }: CopyOptions, { facts, reader }: LiveDump): RestoreSubject {
  const request: RestoreRequest = {
    id: manifest.id,
    only: [],
    postgres: into.wanted,
    redis: redisDefaults,
    files: filesDefaults,
    safetyBackup: false,
    force: false,
    dryRun: false,
    confirm: async () => {},
  };
  const { startedAt, finishedAt } = manifest;
  return {
    config: loaded.config,
    target: into.target,
    request,
    manifest,
    component: {
      name: component,
      kind: 'postgres',
      startedAt,
      finishedAt,
      readBytes: 0,
      newBytes: 0,
      storedBytes: 0,
      artifacts: [],
    },
    facts: new Map([[component, facts]]),
    reader,
    at: into.at,
  };
}

/** Into the live database itself. */
async function copyTables(
  { loaded, into: { wanted, url } }: CopyOptions,
  { facts, reader }: LiveDump,
  database: string,
  of: RestoreSubject['component'],
  context: RunContext,
): Promise<RestoredComponent> {
  const started = performance.now();
  const report = await restoreIntoExisting(
    {
      reader,
      facts,
      database,
      targetUrl: url,
      targetDatabase: wanted.toDatabase ?? database,
      selection: { tables: wanted.tables },
      jobs: loaded.config.jobs,
      noOwner: wanted.noOwner === true,
      noAcl: wanted.noAcl === true,
    },
    context,
  );
  return restoredTables(of, report, performance.now() - started);
}
