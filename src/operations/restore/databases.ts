/** Restores of databases: under their own name where it is free, else beside; into a live one by a swap. */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Secret } from '../../lib/secret.ts';
import type { ManifestComponent } from '../../repository/manifests/manifest.ts';
import { postgresFacts, type DatabaseFacts, type PostgresFacts } from '../../source/postgres/facts/facts.ts';
import { withMaintenance } from '../../source/postgres/server/maintenance.ts';
import { restoredName } from '../../source/postgres/restore/names.ts';
import { restorePostgres, type PostgresRestoreReport } from '../../source/postgres/restore/new-database.ts';
import { restoreIntoExisting } from '../../source/postgres/restore/existing-database.ts';
import { swapDatabases, SwapUnknownError, type SwapReport } from '../../source/postgres/restore/swap.ts';
import { databaseExists, freeStampedName } from '../../source/postgres/restore/target-database.ts';
import { parsePostgresUrl } from '../../config/postgres-url.ts';
import { describeServer } from '../../source/postgres/server/url.ts';
import type { VerifyReport } from '../../source/postgres/restore/verify.ts';
import { factsOf } from '../backup-facts.ts';
import type { RestoredComponent, RestoreRequest } from './request.ts';
import { findDatabase, noteDatabase } from './marks.ts';
import { nowhere, sizeOf, type Replaced, type RestoreStep, type RestoreSubject } from './step.ts';
import { counted } from '../../lib/units.ts';

export async function planDatabases(subject: RestoreSubject, context: RunContext): Promise<RestoreStep[]> {
  const { request, target, component, facts: all } = subject;
  const url = request.postgres.toUrl ?? target?.postgres?.url;
  if (url === undefined) throw nowhere('PostgreSQL', 'DATABASE_URL');
  const facts = factsOf(postgresFacts, all, component, subject.manifest.id);
  const databases = chooseDatabases(facts, request.postgres.databases);
  refuseContradictions(subject, databases.length);
  const steps: RestoreStep[] = request.postgres.globals ? [globalsStep(subject, facts, url)] : [];
  for (const database of databases) steps.push(await planDatabase(subject, facts, database, url, context));
  return steps;
}

function chooseDatabases(facts: PostgresFacts, names: readonly string[]): readonly DatabaseFacts[] {
  if (names.length === 0) return facts.databases;
  return names.map((name) => {
    const found = facts.databases.find((database) => database.name === name);
    if (found === undefined) {
      throw new LifeboatError('not_found', `the backup holds no database "${name}"`, {
        state: 'nothing was changed',
        hint: `it holds: ${facts.databases.map((each) => each.name).join(', ')}`,
      });
    }
    return found;
  });
}

function refuseContradictions({ request }: RestoreSubject, databases: number): void {
  const { toDatabase, intoLive, tables, content } = request.postgres;
  if (toDatabase !== undefined && databases > 1) {
    throw new LifeboatError('usage', `one name (${toDatabase}) cannot serve ${databases} databases`, {
      state: 'nothing was changed',
      hint: 'choose one with --database',
    });
  }
  if (intoLive && (tables.length > 0 || content === 'schema')) {
    throw new LifeboatError('usage', 'a swap would replace the whole live database by a part of it', {
      state: 'nothing was changed',
      hint: 'restore the part into a new database (leave out --into-live) and copy from there',
    });
  }
}

function globalsStep({ reader, component }: RestoreSubject, facts: PostgresFacts, url: Secret): RestoreStep {
  const to = describeServer(parsePostgresUrl(url));
  return {
    component: component.name,
    to,
    action: 'create missing roles and tablespaces',
    bytes: 0,
    replaces: undefined,
    run: async (context) => {
      const started = performance.now();
      const { replayGlobals } = await import('../../source/postgres/restore/globals-replay.ts');
      const report = await replayGlobals({ reader, facts, targetUrl: url }, context);
      return {
        name: component.name,
        kind: 'globals',
        to,
        bytes: 0,
        durationMs: performance.now() - started,
        verified: 'not-checked',
        summary: `${report.created.length} created, ${report.existing.length} were there`,
      };
    },
  };
}

/** What a database is restored as, and what that replaces. */
export interface DatabasePlace {
  readonly wanted: string;
  readonly isThere: boolean;
  /** The name that it gets, or has until the swap. */
  readonly name: string;
  readonly swaps: boolean;
  readonly to: string;
  readonly action: string;
  readonly replaces: Replaced | undefined;
}

/** Asks the server what is there; changes nothing. */
export async function placeDatabase(
  request: RestoreRequest['postgres'],
  database: string,
  url: Secret,
  at: Date,
  { signal }: Pick<RunContext, 'signal'>,
): Promise<DatabasePlace> {
  const { toDatabase, intoLive } = request;
  const wanted = toDatabase ?? database;
  const { isThere, beside } = await withMaintenance({ url, except: [], signal }, async (client) => ({
    isThere: await databaseExists(client, wanted),
    beside: await freeStampedName(client, (when) => restoredName(wanted, when), at),
  }));
  const swaps = intoLive && isThere;
  const name = isThere && toDatabase === undefined ? beside : wanted;
  if (!swaps) {
    return {
      wanted,
      isThere,
      name,
      swaps,
      to: name,
      action: 'restore into a new database and compare',
      replaces: undefined,
    };
  }
  const consequences = [
    `sessions in database "${wanted}" are ended`,
    `it is kept under another name; what is written to it from now on is not in the restored one`,
  ];
  return {
    wanted,
    isThere,
    name: beside,
    swaps,
    to: wanted,
    action: 'restore beside, compare, swap',
    replaces: { name: wanted, consequences, saveBy: request.toUrl === undefined ? 'database' : undefined },
  };
}

async function planDatabase(
  subject: RestoreSubject,
  facts: PostgresFacts,
  database: DatabaseFacts,
  url: Secret,
  context: RunContext,
): Promise<RestoreStep> {
  const { request, component, at } = subject;
  const { wanted, isThere, name, swaps, to, action, replaces } = await placeDatabase(
    request.postgres,
    database.name,
    url,
    at,
    context,
  );
  if (request.postgres.content === 'data') return rowsStep(subject, facts, database, url, wanted, isThere);
  const found = await findDatabase(url, request.marks, database.name, wanted, context.signal);
  if (found?.is === 'in-place') {
    return {
      component: component.name,
      bytes: 0,
      to,
      action: 'nothing: an earlier attempt has put it in place',
      replaces: undefined,
      run: async () => inPlace(component, wanted, found.kept),
    };
  }
  const run = (inner: RunContext): Promise<RestoredComponent> =>
    swaps
      ? restoreAndSwap(
          subject,
          facts,
          database.name,
          url,
          { live: wanted, beside: found?.name ?? name, made: found?.oid },
          inner,
        )
      : restoreOne(subject, facts, database.name, url, name, inner);
  return { component: component.name, bytes: sizeOf(component), to, action, replaces, run };
}

function inPlace({ name, kind }: ManifestComponent, to: string, kept: string | undefined): RestoredComponent {
  return {
    name,
    kind,
    to,
    bytes: 0,
    durationMs: 0,
    verified: 'equal',
    summary: 'compared before the interruption',
    kept,
    undo: kept === undefined ? undefined : `lifeboat restore --undo ${kept}`,
  };
}

/** Rows alone go into tables that are there; that these are empty is checked before anything is written. */
function rowsStep(
  subject: RestoreSubject,
  facts: PostgresFacts,
  database: DatabaseFacts,
  url: Secret,
  name: string,
  isThere: boolean,
): RestoreStep {
  if (!isThere) {
    throw new LifeboatError('not_found', `there is no database "${name}" to put rows into`, {
      state: 'nothing was changed',
      hint: 'restore its definitions first: --schema-only',
    });
  }
  return {
    component: subject.component.name,
    to: name,
    action: 'restore rows into empty tables and compare',
    bytes: sizeOf(subject.component),
    replaces: undefined,
    run: (context) => restoreOne(subject, facts, database.name, url, name, context),
  };
}

/** `made`: the oid of what an earlier attempt has restored beside and compared; it is only swapped. */
async function restoreAndSwap(
  subject: RestoreSubject,
  facts: PostgresFacts,
  database: string,
  url: Secret,
  names: { live: string; beside: string; made: string | undefined },
  context: RunContext,
): Promise<RestoredComponent> {
  if (names.made !== undefined) {
    await noteDatabase(subject.request.marks, url, database, names, names.made, context.signal);
  }
  const restored =
    names.made === undefined
      ? await restoreOne(subject, facts, database, url, names.beside, context, names.live)
      : inPlace(subject.component, names.live, undefined);
  let swap: SwapReport;
  try {
    swap = await swapDatabases({ url, live: names.live, restored: names.beside, at: subject.at }, context);
  } catch (error) {
    if (!(error instanceof SwapUnknownError)) {
      context.emit({
        type: 'warning',
        component: 'postgres',
        message: `the restored copy is complete and stays as database "${names.beside}"`,
      });
    }
    throw error;
  }
  return { ...restored, to: names.live, kept: swap.keptAs, undo: `lifeboat restore --undo ${swap.keptAs}` };
}

/** One database, or chosen tables or rows of it, into `name`. */
async function restoreOne(
  { config, request, reader, component }: RestoreSubject,
  facts: PostgresFacts,
  database: string,
  url: Secret,
  name: string,
  context: RunContext,
  live = name,
): Promise<RestoredComponent> {
  const started = performance.now();
  const { tables, content, noOwner, noAcl, keepFailed, subscriptions } = request.postgres;
  const selection = {
    ...(tables.length === 0 ? {} : { tables }),
    schemaOnly: content === 'schema',
    dataOnly: content === 'data',
  };
  const options = {
    noOwner: noOwner === true,
    noAcl: noAcl === true,
    keepFailed: keepFailed === true,
    subscriptions: subscriptions === true,
  };
  context.emit({ type: 'step', component: component.name, message: `restoring database ${database} as ${name}` });
  const onCreated = async (oid: string): Promise<void> =>
    noteDatabase(request.marks, url, database, { live }, oid, context.signal);
  const run = content === 'data' ? restoreIntoExisting : restorePostgres;
  const report = await run(
    {
      reader,
      facts,
      database,
      targetUrl: url,
      targetDatabase: name,
      selection,
      jobs: config.jobs,
      onCreated,
      ...options,
    },
    context,
  );
  return restoredTables(component, report, performance.now() - started);
}

/** What a restore of a database, or of tables, tells of itself. */
export function restoredTables(
  { name, kind }: Pick<RestoreSubject['component'], 'name' | 'kind'>,
  { database, readBytes, tables, verified }: PostgresRestoreReport,
  durationMs: number,
): RestoredComponent {
  return {
    name,
    kind,
    to: database,
    bytes: readBytes,
    durationMs,
    verified: verdict(verified),
    summary:
      verified === undefined
        ? counted(tables, 'table')
        : `${counted(verified.tables, 'table')}, ${counted(Number(verified.rows), 'row')}`,
  };
}

function verdict(verified: VerifyReport | undefined): RestoredComponent['verified'] {
  if (verified === undefined) return 'not-checked';
  return verified.fingerprinted === verified.tables && verified.notes.length === 0 ? 'equal' : 'partial';
}
