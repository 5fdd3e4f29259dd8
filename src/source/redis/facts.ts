/**
 * What a backup records of a Redis server. Sealed with the backup; a restore is compared with it. Keys and
 * values do not stand here, nor do passwords or their hashes.
 */
import { z } from 'zod';

const count = z.number().int().nonnegative();

const databaseFacts = z.strictObject({
  db: count,
  keys: count,
  /** Keys that have an expiry. */
  expires: count,
  /** Keys by type as TYPE names it; only those that occur. */
  types: z.partialRecord(z.enum(['string', 'list', 'set', 'zset', 'hash', 'stream', 'module', 'array']), count),
});

export const redisFacts = z.strictObject({
  flavour: z.enum(['redis', 'valkey']),
  serverVersion: z.string(),
  rdbVersion: z.number().int().positive(),
  /** snapshot: of one moment, by replication. scan: key by key while the server went on, so not of one moment. */
  consistency: z.enum(['snapshot', 'scan']),
  /** Why it is a scan, when a snapshot was wanted. */
  scanReason: z.string().optional(),
  /** When it began and ended, RFC 3339. A snapshot is of a moment in between. */
  startedAt: z.string(),
  endedAt: z.string(),
  /** unverified: the server writes its snapshots without a checksum (rdbchecksum no). */
  crc: z.enum(['verified', 'unverified']),
  /** Who took the file for sound: a checker of the server's make, or our reader alone, where none knows the file. */
  checkedBy: z.enum(['redis-check-rdb', 'valkey-check-rdb', 'lifeboat']),
  artifact: z.string(),
  bytes: count,
  keys: count,
  expires: count,
  databases: z.array(databaseFacts),
  /** SHA-256 of a library's code. */
  functions: z.array(z.strictObject({ name: z.string(), sha256: z.string() })),
  /** Sum of 64-bit hashes of (database, type, expiry, key), 16 hex digits; values are not in it. */
  keyFingerprint: z.strictObject({ method: z.literal('keys-1'), value: z.string().regex(/^[0-9a-f]{16}$/) }),
  replication: z.strictObject({ id: z.string(), offset: z.string() }).optional(),
  /** ACL LIST with the password hashes taken out; absent where not allowed. */
  aclUsers: z.array(z.string()).optional(),
  /** Settings that matter for a restore, no secrets; absent where CONFIG is not allowed. */
  config: z.record(z.string(), z.string()).optional(),
  /** Loaded modules, "name version": their keys need them. */
  modules: z.array(z.string()).optional(),
  /** Only for a scan: keys that went away between being listed and being read. */
  vanishedKeys: count.optional(),
});

export type RedisFacts = z.infer<typeof redisFacts>;
