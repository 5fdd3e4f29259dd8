/**
 * Copies databases, or tables of them, from a recovered cluster into a live server: beside what is there, compared with
 * what the recovered cluster holds, and swapped on request.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { isWhole } from '../../source/postgres/server/databases.ts';
import { openLiveDump, type LiveDump } from '../../source/postgres/dump/live-dump.ts';
import { restoreIntoExisting } from '../../source/postgres/restore/existing-database.ts';
import { acquireReadLease } from '../read-lease.ts';
import { isInPlace, type IntoPlan } from './plan-into.ts';
import type { PitrRequest } from './request.ts';
import { planDatabases } from '../restore/databases.ts';
import { restoredTables } from '../restore/database-run.ts';
import type { RestoreStep, RestoreSubject } from '../restore/step.ts';
import { runStep, saveWhatIsReplaced } from '../restore/restore.ts';
import type { RestoredComponent, RestoreRequest } from '../restore/request.ts';
import { filesDefaults, redisDefaults } from '../restore/request.ts';

const component = 'database';

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
    (await client.query(`SELECT datname AS name FROM pg_database WHERE datallowconn AND ${isWhole} ORDER BY 1`)).map(
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
    // What was refused was refused before the recovery.
    isVouchedFor: true,
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
      asRole: wanted.asRole,
      noOwner: wanted.noOwner === true,
      noAcl: wanted.noAcl === true,
    },
    context,
  );
  return restoredTables(of, report, performance.now() - started);
}
