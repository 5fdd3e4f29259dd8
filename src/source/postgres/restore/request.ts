/**
 * What a restore of a database is asked for and answers, and its check against the backup before anything is touched.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { ArtifactReader } from '../../source.ts';
import type { DatabaseFacts, PostgresFacts } from '../facts/facts.ts';
import type { FillLogin } from '../cluster/fill-login.ts';
import type { VerifyReport } from './verify.ts';
import { type Selection, type SelectionRequest, parseSelection } from './table-patterns.ts';

export interface PostgresRestoreRequest {
  readonly reader: ArtifactReader;
  readonly facts: PostgresFacts;
  /** Name in the backup. */
  readonly database: string;
  /** The server to restore into, with a maintenance database. */
  readonly targetUrl: PostgresUrl;
  /** The name it gets. */
  readonly targetDatabase: string;
  /** Default: all of it. */
  readonly selection?: SelectionRequest;
  /** Streams and connections side by side. */
  readonly jobs: number;
  /** Default false: a restored subscription would take the place of the production one at its publisher. */
  readonly subscriptions?: boolean;
  /** Default true, but in drills. */
  readonly publications?: boolean;
  /** A throwaway restore: another locale may be taken, publications are left out. */
  readonly drill?: boolean;
  /** Of a throwaway server of ours. */
  readonly filler?: FillLogin | undefined;
  /** A role to work as, which then owns all of it; wants noOwner and noAcl (acting-role.ts). */
  readonly asRole?: string | undefined;
  readonly noOwner?: boolean;
  readonly noAcl?: boolean;
  /** Keep what a failed restore made, under a name that tells so. */
  readonly keepFailed?: boolean;
  /** Default true. */
  readonly analyze?: boolean;
  /** Default true: counts and fingerprints are compared before the database gets its name. */
  readonly verify?: boolean;
  /** Extensions whose functions in C may be run by queries that compare, besides PostgreSQL's own. */
  readonly trustedExtensions?: readonly string[] | undefined;
  /** Told before anything is put in: the database's oid, which stays the same whatever it is called later. */
  readonly onCreated?: (oid: string) => Promise<void>;
  /**
   * For a look at what was restored, under the name that it has until it is complete; event triggers are not there yet.
   * What it throws ends the restore.
   */
  readonly inspect?: (database: string, report: PostgresRestoreReport) => Promise<void>;
  /** Parent of the scratch folder for the schema archive; default: the system's. */
  readonly scratchParent?: string;
  /** Where pg_restore and psql are; default: found by version. */
  readonly toolsFolder?: string;
}

export interface PostgresRestoreReport {
  /** Name of the restored database. */
  readonly database: string;
  readonly tables: number;
  /** Bytes of the archives that were read. */
  readonly readBytes: number;
  /** Entries that failed in the parallel run and went through alone. */
  readonly retriedEntries: number;
  /** Undefined if it was not asked for. */
  readonly verified: VerifyReport | undefined;
  /** What the selection left out, and differences that are not the backup's fault. */
  readonly notes: readonly string[];
  /** By step: schema, data, indexes, analyze, verify. */
  readonly seconds: Readonly<Record<string, number>>;
}

export interface CheckedRequest {
  readonly facts: DatabaseFacts;
  readonly selection: Selection;
}

/**
 * Throws `not_found` for a database, `integrity` for an artifact that the backup lacks, `usage` for a selection that
 * fits nothing.
 */
export function checkRequest(request: PostgresRestoreRequest): CheckedRequest {
  const facts = request.facts.databases.find(({ name }) => name === request.database);
  if (facts === undefined) {
    throw new LifeboatError('not_found', `the backup holds no database "${request.database}"`, {
      hint: `it holds: ${request.facts.databases.map(({ name }) => name).join(', ')}`,
      state: 'nothing was changed',
    });
  }
  const { schema, data, tables } = facts.artifacts;
  const there = new Set(request.reader.artifacts.map(({ name }) => name));
  const missing = [schema, data, ...tables.map(({ artifact }) => artifact)].filter((name) => !there.has(name));
  if (missing.length > 0) {
    throw new LifeboatError('integrity', `the backup lacks ${missing.join(', ')} of database "${facts.name}"`, {
      hint: 'run: lifeboat validate',
      state: 'nothing was changed',
    });
  }
  return { facts, selection: parseSelection(request.selection ?? {}) };
}

/** Arguments of every run of pg_restore. */
export function restoreFlags(request: PostgresRestoreRequest): string[] {
  return [
    ...(request.noOwner === true ? ['--no-owner'] : []),
    ...(request.noAcl === true ? ['--no-acl'] : []),
    ...(request.subscriptions === true ? [] : ['--no-subscriptions']),
    ...((request.publications ?? request.drill !== true) ? [] : ['--no-publications']),
    // A throwaway server has no places for them, and must not use those of a production server.
    ...(request.drill === true ? ['--no-tablespaces'] : []),
  ];
}
