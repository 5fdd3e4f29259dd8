/**
 * What a base backup records of its cluster: where its WAL begins and ends, what a server that recovers
 * from it must be given, and what lies outside of the data directory. Sealed with the backup.
 */
import { z } from 'zod';
import { LifeboatError } from '../../../lib/errors.ts';
import { faultIn } from '../../../config/schema-words.ts';
import { damagedPages } from './damaged-pages.ts';

const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

/** Known once pg_basebackup has ended. Times are the server's, RFC 3339 in UTC. */
const clusterFacts = z.strictObject({
  serverVersion: z.string(),
  serverVersionNum: z.number().int(),
  /** Decimal. */
  systemIdentifier: z.string().regex(/^\d+$/),
  /** Version of pg_basebackup, e.g. "15.18". */
  toolVersion: z.string(),
  startedAt: z.string(),
  stoppedAt: z.string(),
  walSegmentBytes: z.number().int().positive(),
  /** Pages bear checksums, and the server has checked them on the way. */
  dataChecksums: z.boolean(),
  /** Pages whose checksum did not hold; they are in the backup as they are. Absent: none. */
  damagedPages: damagedPages.optional(),
  /** The role that initdb made. */
  superuser: z.string(),
  /** Every transaction below had ended after the backup's stop; decimal, 64 bits. */
  oldestXid: z.string().regex(/^\d+$/),
  /** A server that replays this WAL needs no smaller values: max_connections and the like. */
  minima: z.record(z.string(), z.string()),
  /** Configuration files outside of the data directory, by setting; in older backups they are missing. */
  outsideFiles: z.record(z.string(), z.string()),
  /** The files of the configuration that are in it, and what is not although it is named there; absent: none. */
  configuration: z.strictObject({ files: z.int(), lacks: z.array(z.string()) }).optional(),
  /** Tablespaces outside of the data directory: where they lay, and about how many bytes are in them. */
  tablespaces: z.array(
    z.strictObject({
      oid: z.string().regex(/^[1-9]\d{0,9}$/),
      name: z.string(),
      path: z.string().startsWith('/'),
      bytes: z.number().int().nonnegative(),
    }),
  ),
});

/** With what stands in PostgreSQL's own manifest. */
export const baseFacts = z.strictObject({
  ...clusterFacts.shape,
  timeline: z.number().int().positive(),
  startLsn: lsn,
  stopLsn: lsn,
});

export type ClusterFacts = z.infer<typeof clusterFacts>;
export type BaseFacts = z.infer<typeof baseFacts>;

/** The facts as a source gives them; throws for any other shape. */
export function parseClusterFacts(facts: unknown): ClusterFacts {
  const parsed = clusterFacts.safeParse(facts);
  if (parsed.success) return parsed.data;
  throw new LifeboatError('integrity', `the facts of the cluster cannot be read: ${faultIn(parsed.error)}`);
}
