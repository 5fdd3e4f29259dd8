/**
 * Is the restored database what was recorded? Every table's count and fingerprint, exactly; tables that
 * are missing or too many; sequences, which may only be further on; extensions; large objects.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import { readLargeObjects } from '../facts/database-facts.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { fingerprintTables } from '../facts/fingerprint.ts';
import { type Mismatch, type TableName, compareTables, keyOf } from './compare-tables.ts';

export interface VerifyRequest {
  readonly url: PostgresUrl;
  readonly database: string;
  readonly facts: DatabaseFacts;
  /** Sessions side by side. */
  readonly jobs: number;
  /** Where psql is; default: found by version. */
  readonly toolFolder?: string | undefined;
  /** As for readUnplannable(). */
  readonly trustedExtensions?: readonly string[] | undefined;
  /** Nobody else has a session on that server. Default false. */
  readonly isAlone?: boolean | undefined;
  /** Only these tables; then nothing but tables is compared. */
  readonly only?: ((table: TableName) => boolean) | undefined;
  /** Without rows: which tables there are, and extensions. */
  readonly schemaOnly?: boolean | undefined;
}

export interface VerifyReport {
  readonly tables: number;
  /** Decimal. */
  readonly rows: string;
  /** Tables whose content was compared, not only counted. */
  readonly fingerprinted: number;
  readonly mismatches: readonly Mismatch[];
  /** Differences that are not the backup's fault: a materialized view made anew, another version of an extension. */
  readonly notes: readonly string[];
}

/** Compares; mismatches are in the report, not thrown. Throws `source` when the server fails. */
export async function verifyDatabase(request: VerifyRequest, context: RunContext): Promise<VerifyReport> {
  const { facts, only, schemaOnly = false } = request;
  const expected = facts.tables.filter((table) => only?.(table) ?? true);
  const recorded = new Map(expected.map((table) => [keyOf(table), table]));
  return withConnection(request.url, { database: request.database, signal: context.signal }, async (connection) => {
    const hashes = connection.serverVersionNum >= 140_000;
    const uncounted = new Set<string>();
    const moving = new Map<string, string>();
    const found = await fingerprintTables(request.url, {
      database: request.database,
      jobs: request.jobs,
      toolFolder: request.toolFolder,
      trustedExtensions: request.trustedExtensions,
      isAlone: request.isAlone ?? false,
      onMoving: (table, within) => moving.set(keyOf(table), keyOf(within)),
      onUncounted: (table) => uncounted.add(keyOf(table)),
      signal: context.signal,
      ...(only === undefined ? {} : { only }),
      // Older servers have no hash of records.
      method: (table) =>
        schemaOnly
          ? 'count'
          : recorded.get(keyOf(table))?.method === 'record' && !hashes
            ? 'count'
            : recorded.get(keyOf(table))?.method,
    });
    const notes: string[] = [];
    const within = (tables: DatabaseFacts['uncounted'] = []): string[] =>
      tables.filter((table) => only?.(table) ?? true).map(keyOf);
    const uncountedBefore = new Set(within(facts.uncounted));
    const withoutRows = new Set(within(facts.withoutRows));
    const mismatches = compareTables({
      expected,
      uncountedBefore,
      withoutRows,
      found,
      uncountedNow: uncounted,
      moving,
      schemaOnly,
      notes,
    });
    if (only === undefined) mismatches.push(...(await compareExtensions(connection, facts, notes)));
    if (only === undefined && !schemaOnly) {
      mismatches.push(
        ...(await compareSequences(connection, facts)),
        ...(await compareLargeObjects(connection, facts)),
      );
    }
    return {
      tables: found.length,
      rows: found.reduce((sum, table) => sum + BigInt(table.rows), 0n).toString(),
      fingerprinted: found.filter((table) => table.fingerprint !== undefined).length,
      mismatches,
      notes,
    };
  });
}

/** Throws `integrity` naming what differs. */
export function assertVerified(report: VerifyReport, database: string): void {
  if (report.mismatches.length === 0) return;
  const named = report.mismatches
    .slice(0, 8)
    .map(({ what, kind, expected, found }) => `${what} (${kind}: recorded ${expected}, restored ${found})`);
  const more = report.mismatches.length > named.length ? ` and ${report.mismatches.length - named.length} more` : '';
  throw new LifeboatError(
    'integrity',
    `the restored database "${database}" differs from what the backup recorded: ${named.join('; ')}${more}`,
    {
      hint: 'this backup cannot be trusted as it is: try an older one, and run: lifeboat validate --deep',
      facts: { mismatches: report.mismatches.slice(0, 100) },
    },
  );
}

async function compareExtensions(connection: Connection, facts: DatabaseFacts, notes: string[]): Promise<Mismatch[]> {
  const found = new Map(
    (await connection.query('SELECT extname AS name, extversion AS version FROM pg_extension')).map((row) => [
      row['name'] ?? '',
      row['version'] ?? '',
    ]),
  );
  return facts.extensions.flatMap(({ name, version }): Mismatch[] => {
    const have = found.get(name);
    if (have === undefined) {
      return [{ what: `extension "${name}"`, kind: 'extension', expected: version, found: 'nothing' }];
    }
    if (have !== version) notes.push(`extension "${name}" has version ${have} here; it had ${version}`);
    return [];
  });
}

/** A sequence does not follow a snapshot: it may be further on than recorded, in its own direction, never behind. */
async function compareSequences(connection: Connection, facts: DatabaseFacts): Promise<Mismatch[]> {
  const rows = await connection.query(
    'SELECT schemaname AS schema, sequencename AS name, last_value AS last, increment_by AS step FROM pg_sequences',
  );
  const found = new Map(rows.map((row) => [keyOf({ schema: row['schema'] ?? '', name: row['name'] ?? '' }), row]));
  return facts.sequences.flatMap((want): Mismatch[] => {
    const have = found.get(keyOf(want));
    const what = keyOf(want);
    if (have === undefined) return [{ what, kind: 'missing', expected: 'a sequence', found: 'nothing' }];
    if (want.lastValue === undefined) return [];
    const last = have['last'] ?? undefined;
    const ahead =
      last === undefined
        ? -1n
        : (BigInt(last) - BigInt(want.lastValue)) * (BigInt(have['step'] ?? '1') < 0n ? -1n : 1n);
    return ahead < 0n ? [{ what, kind: 'sequence', expected: want.lastValue, found: last ?? 'unused' }] : [];
  });
}

/** Sizes and content where both sides could read them. */
async function compareLargeObjects(connection: Connection, { largeObjects: want }: DatabaseFacts): Promise<Mismatch[]> {
  const have = await readLargeObjects(connection);
  const differs =
    have.count !== want.count ||
    (have.fingerprint !== undefined &&
      want.fingerprint !== undefined &&
      (have.bytes !== want.bytes || have.fingerprint !== want.fingerprint));
  const describe = ({ count, bytes, fingerprint }: DatabaseFacts['largeObjects']): string =>
    `${count} of ${bytes} bytes${fingerprint === undefined ? '' : ` (${fingerprint})`}`;
  return differs
    ? [{ what: 'large objects', kind: 'large-objects', expected: describe(want), found: describe(have) }]
    : [];
}
