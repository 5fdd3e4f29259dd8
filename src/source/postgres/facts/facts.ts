/**
 * What a logical backup records of a PostgreSQL server and of each database in it, all seen in the
 * same snapshot as the dump. Sealed with the backup; a restore is compared with it.
 */
import { z } from 'zod';
import { databaseGrant } from './access-list.ts';

/** How a table's fingerprint was made; only equal methods can be compared. See fingerprint.ts. */
const fingerprintMethod = z.enum([
  /** sum of hash_record_extended(row, 0) over all rows, some columns cast to text where listed. */
  'record',
  /** sum of hashtextextended(row::text, 0) with pinned output settings. */
  'text',
  /** sum modulo 2^128 of the first 16 bytes of the SHA-256 of each line of COPY's text format; see line-sum.ts. */
  'copy',
  /** only counted (not readable otherwise, or asked for). */
  'count',
]);

const tableFacts = z.strictObject({
  schema: z.string(),
  name: z.string(),
  /**
   * pg_class.relkind: r table (partitions too), m materialized view. Partitioned parents (p) and foreign tables are not
   * counted.
   */
  kind: z.enum(['r', 'm']),
  /** A decimal string: counts may pass 2^53. */
  rows: z.string().regex(/^\d+$/),
  method: fingerprintMethod,
  /** A signed decimal string (numeric sum); absent for method "count". */
  fingerprint: z.string().optional(),
  /** Size on disk with TOAST at the time, bytes. */
  bytes: z.number().int(),
});

const databaseFacts = z.strictObject({
  name: z.string(),
  owner: z.string(),
  encoding: z.string(),
  collate: z.string(),
  ctype: z.string(),
  /** c libc, i ICU, b builtin. */
  localeProvider: z.enum(['c', 'i', 'b']),
  locale: z.string().optional(),
  icuRules: z.string().optional(),
  tablespace: z.string(),
  connectionLimit: z.number().int(),
  isTemplate: z.boolean(),
  comment: z.string().optional(),
  /** The access list of the database itself; absent: the default one. */
  accessList: z.array(databaseGrant).optional(),
  /** Earlier versions: GRANT statements, with :DATABASE: in place of the database's name. See access-list.ts. */
  grants: z.array(z.string()).optional(),
  /** ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET: role absent for the former. */
  settings: z.array(z.strictObject({ role: z.string().optional(), name: z.string(), value: z.string() })),
  extensions: z.array(z.strictObject({ name: z.string(), version: z.string(), schema: z.string() })),
  snapshot: z.strictObject({ name: z.string(), lsn: z.string().optional(), takenAt: z.string() }),
  artifacts: z.strictObject({
    schema: z.string(),
    data: z.string(),
    /** Big tables dumped apart. */
    tables: z.array(z.strictObject({ artifact: z.string(), schema: z.string(), name: z.string() })),
  }),
  tables: z.array(tableFacts),
  /** Extensions that the configuration trusted: tables that lead to functions of these were counted by a query. */
  trustedExtensions: z.array(z.string()).min(1).optional(),
  /** Relations (nearly always materialized views) that were not counted: that could have run code of their owner's. */
  uncounted: z.array(z.strictObject({ schema: z.string(), name: z.string() })).optional(),
  /** Tables whose rows are not in the backup, since the operator left them out. */
  withoutRows: z
    .array(z.strictObject({ schema: z.string(), name: z.string() }))
    .min(1)
    .optional(),
  largeObjects: z.strictObject({
    count: z.string().regex(/^\d+$/),
    bytes: z.string().regex(/^\d+$/),
    fingerprint: z.string().optional(),
  }),
  sequences: z.array(z.strictObject({ schema: z.string(), name: z.string(), lastValue: z.string().optional() })),
  publications: z.array(z.string()),
  subscriptions: z.array(z.string()),
});

export const postgresFacts = z.strictObject({
  serverVersion: z.string(),
  serverVersionNum: z.number().int(),
  systemIdentifier: z.string().optional(),
  /** Version of pg_dump that wrote the archives, e.g. "15.18". */
  toolVersion: z.string(),
  /** Absent when the rights for it were missing (said in a warning). */
  globals: z.strictObject({ artifact: z.string(), roles: z.array(z.string()), withPasswords: z.boolean() }).optional(),
  databases: z.array(databaseFacts),
  /** What "*" did not take; `isData`: rows may be missing in this backup. */
  leftOut: z.array(z.strictObject({ database: z.string(), reason: z.string(), isData: z.boolean() })).optional(),
});

export type PostgresFacts = z.infer<typeof postgresFacts>;
export type DatabaseFacts = z.infer<typeof databaseFacts>;
export type TableFacts = z.infer<typeof tableFacts>;
