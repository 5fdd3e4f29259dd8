/** Restores of databases: under their own name where it is free, else beside; into a live one by a swap. */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import type { GlobalsReport } from '../../source/postgres/restore/globals-replay.ts';
import { majorOf, readTargetServer } from '../../source/postgres/restore/target-database.ts';
import { withMaintenance } from '../../source/postgres/server/maintenance.ts';
import { postgresFacts, type DatabaseFacts, type PostgresFacts } from '../../source/postgres/facts/facts.ts';
import { requireAuthority } from '../authority.ts';
import { factsOf } from '../backup-facts.ts';
import { placeDatabase } from './database-place.ts';
import { inPlace, restoreAndSwap, restoreOne } from './database-run.ts';
import type { RestoredComponent } from './request.ts';
import { findDatabase } from './marks.ts';
import { nowhere, sizeOf, type RestoreStep, type RestoreSubject } from './step.ts';

export async function planDatabases(subject: RestoreSubject, context: RunContext): Promise<RestoreStep[]> {
  const { request, target, component, facts: all } = subject;
  const url = request.postgres.toUrl ?? target?.postgres?.url;
  if (url === undefined) throw nowhere('PostgreSQL', 'DATABASE_URL');
  const facts = factsOf(postgresFacts, all, component, subject.manifest.id);
  const databases = chooseDatabases(facts, request.postgres.databases);
  refuseContradictions(subject, databases.length);
  refuseForeignRights(subject, context);
  await tellOlderTarget(facts, url, context);
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

function refuseForeignRights({ request, manifest: { id }, isVouchedFor }: RestoreSubject, { emit }: RunContext): void {
  const { globals, content, noOwner, noAcl } = request.postgres;
  const authority = { id, isVouchedFor, isForced: request.force && request.id === id };
  const insist = 'to take it as it is: the full id and --force';
  if (globals) requireAuthority(authority, 'roles and tablespaces', `leave out --globals; ${insist}`, emit);
  else if (content !== 'data' && !(noOwner === true && noAcl === true)) {
    requireAuthority(authority, 'owners and grants', `--no-owner --no-acl leave them out; ${insist}`, emit);
  }
}

/** Before anything is made: definitions that the target does not know would fail late. */
async function tellOlderTarget({ serverVersion }: PostgresFacts, url: PostgresUrl, context: RunContext): Promise<void> {
  const { signal, emit } = context;
  const target = await withMaintenance({ url, except: [], signal }, async (client) =>
    majorOf(await readTargetServer(client)),
  );
  const source = Number.parseInt(serverVersion, 10);
  if (!(target < source)) return;
  const message =
    `the target server is PostgreSQL ${target}, older than the backup's (${serverVersion}): what it does not know ` +
    'makes the restore fail';
  emit({ type: 'warning', component: 'postgres', message });
}

function createdBy({ created, createdTablespaces }: GlobalsReport): string[] {
  return [...created.map((name) => `role "${name}"`), ...createdTablespaces.map((name) => `tablespace "${name}"`)];
}

function globalsStep({ reader, component }: RestoreSubject, facts: PostgresFacts, url: PostgresUrl): RestoreStep {
  const to = url.describe();
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
        created: createdBy(report),
      };
    },
  };
}

async function planDatabase(
  subject: RestoreSubject,
  facts: PostgresFacts,
  database: DatabaseFacts,
  url: PostgresUrl,
  context: RunContext,
): Promise<RestoreStep> {
  const { request, component, at } = subject;
  const place = await placeDatabase(request.postgres, database.name, url, at, context);
  const { wanted, isThere, name, swaps, to, action, replaces } = place;
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
  const names = { live: wanted, beside: found?.name ?? name, made: found?.oid };
  const run = (inner: RunContext): Promise<RestoredComponent> =>
    swaps
      ? restoreAndSwap(subject, facts, database.name, url, names, inner)
      : restoreOne(subject, facts, database.name, url, name, inner);
  return { component: component.name, bytes: sizeOf(component), to, action, replaces, run };
}

/** Rows alone go into tables that are there; that these are empty is checked before anything is written. */
function rowsStep(
  subject: RestoreSubject,
  facts: PostgresFacts,
  database: DatabaseFacts,
  url: PostgresUrl,
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
