/**
 * What one piece of evidence says: evidence/<backup>/<UTC time>-<level>-<ok|failed>.json. It is sealed and
 * signed like a manifest and, like it, readable without a key: so counts, sizes and names of objects
 * stand in it, but no name of a table, key or file. Layout: man lifeboat-repository(7).
 */
import { z } from 'zod';
import { expandUtc } from '../../lib/time.ts';
import { backupIdPattern, isBackupId } from '../manifests/ids.ts';

/**
 * What was done to a backup:
 * - quick: every object is there, has its size, and the indexes are those that the manifest names
 * - sample: quick, and some of the packs read
 * - stored: every stored byte read and authenticated
 * - deep: decoded, each archive read to its end
 * - drill: restored into throwaway servers and compared with what was recorded, all components
 * - pitr: a base backup recovered to a moment behind it, and held against what the log says of that moment
 * - restore: restored for real; says more of the target than of the backup, so it counts for nothing
 */
export const evidenceLevels = ['quick', 'sample', 'stored', 'deep', 'drill', 'pitr', 'restore'] as const;
export type EvidenceLevel = (typeof evidenceLevels)[number];
export type EvidenceResult = 'ok' | 'failed';

const size = z.int().nonnegative();
const time = z.iso.datetime();
const text = z.string().max(1000);

export const evidenceSchema = z.object({
  backup: z.string().regex(backupIdPattern),
  manifestSeal: z.string().regex(/^[0-9a-f]{64}$/),
  level: z.enum(evidenceLevels),
  result: z.enum(['ok', 'failed']),
  startedAt: time,
  finishedAt: time,
  durationMs: size,
  host: z.string().max(255),
  versions: z.record(z.string().max(100), z.string().max(200)),
  /** What was held against what; whole phrases. */
  compared: z.array(text).max(100),
  /** How many of what: "packs", "tables", "rows", "keys", "files"… */
  counts: z.record(z.string().max(100), size),
  /** Read from the repository. */
  bytes: size,
  steps: z.array(z.object({ name: z.string().max(200), durationMs: size, bytes: size.optional() })).max(1000),
  /** Objects of the repository, the first maxNamed. */
  damaged: z.array(z.object({ object: z.string().max(400), problem: text })),
  /** All there were. */
  damagedCount: size,
  notes: z.array(text).max(100),
  /**
   * How the throwaway servers were kept from what the run could read: "namespaces", "user" (a system user of their
   * own), "none". Absent: there was none, or an older version wrote it.
   */
  isolation: z.string().max(100).optional(),
});

/** Times RFC 3339 in UTC, sizes bytes. */
export type Evidence = z.infer<typeof evidenceSchema>;

/** So many damaged objects are named in one piece of evidence. */
export const maxNamed = 1000;

/** What the name of a piece of evidence says. */
export interface EvidenceName {
  readonly object: string;
  readonly backupId: string;
  /** RFC 3339, UTC. */
  readonly at: string;
  readonly level: EvidenceLevel;
  readonly result: EvidenceResult;
}

/** Undefined for what is no name of evidence. */
export function parseEvidenceName(object: string): EvidenceName | undefined {
  const match = /^evidence\/([^/]+)\/(\d{8}T\d{6}Z)-([a-z]+)-(ok|failed)\.json$/.exec(object);
  const level = evidenceLevels.find((each) => each === match?.[3]);
  if (match === null || level === undefined || !isBackupId(match[1] ?? '')) return undefined;
  const [, backupId, time = ''] = match;
  const at = expandUtc(time);
  if (Number.isNaN(Date.parse(at))) return undefined;
  return { object, backupId: backupId ?? '', at, level, result: match[4] === 'ok' ? 'ok' : 'failed' };
}
