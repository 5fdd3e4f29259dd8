/** The documents of checking and proving backups; see documents.ts. */
import { z } from 'zod';
import { counts, document, durationMs, size, step, text, texts, time } from './shapes.ts';

const damagedArtifact = z.strictObject({
  component: text,
  name: text,
  contents: texts.describe('databases and tables, Redis databases or files: the first hundred'),
  contentCount: z.int(),
});

const damagedBackup = z.strictObject({
  id: text,
  whole: z.boolean().describe('none of it can be restored'),
  artifacts: z.array(damagedArtifact).describe('those that cannot be read whole'),
});

const damage = z.strictObject({
  object: text,
  kind: z.enum(['missing', 'size', 'damaged', 'content']),
  problem: text,
  backups: z.array(damagedBackup).describe('every backup that uses the object'),
});

const validatedBackup = z.strictObject({
  id: text,
  target: text,
  result: z.enum(['ok', 'failed', 'unchecked']),
  evidence: text.optional().describe('the object that records it'),
});

const validate = document('validate', {
  repository: text,
  level: z.enum(['quick', 'stored', 'deep']),
  startedAt: time,
  durationMs,
  backups: z.array(validatedBackup),
  counts,
  bytes: size.describe('read from the repository'),
  sample: z.strictObject({ part: z.int(), parts: z.int() }).optional(),
  damaged: z.array(damage),
  warnings: texts,
});

const counted = z.strictObject({ count: z.int(), bytes: size, first: texts });

const finding = z.strictObject({
  kind: z.enum([
    'missing',
    'size',
    'damaged',
    'content',
    'chain',
    'rollback',
    'hidden',
    'stray',
    'untrusted',
    'differs',
    'stale',
  ]),
  weight: z.enum(['fault', 'warning']),
  object: text,
  problem: text,
  backups: texts.describe('ids of backups that it touches'),
});

const integrity = document('integrity', {
  repository: text,
  startedAt: time,
  durationMs,
  objects: z.record(text, z.strictObject({ count: z.int(), bytes: size })).describe('by kind'),
  orphans: counted.describe('named by no manifest and older than the grace time'),
  young: counted.describe('named by no manifest, but a running backup may need them'),
  log: z
    .strictObject({ part: z.int(), parts: z.int(), files: z.int(), bytes: size })
    .describe('what of the archived write-ahead log was read, tags and all: part `part` of `parts`'),
  findings: z.array(finding),
  counts: counts.describe('all findings, by kind'),
  warnings: texts,
});

const drilledComponent = z.strictObject({
  name: text,
  kind: text,
  result: z.enum(['equal', 'failed', 'impossible']),
  durationMs,
  bytes: size.describe('read from the repository'),
  steps: z.array(step),
  counts: counts.describe('of what was compared'),
  versions: z.record(text, text).describe('of the throwaway servers'),
  isolation: z
    .enum(['namespaces', 'user', 'none'])
    .optional()
    .describe('how the throwaway server was kept from what lifeboat can read; none: by nothing'),
  summary: text.optional(),
  problems: texts.describe('what differs, or why it was not possible'),
  code: text.optional().describe('of the first problem, as in error documents'),
  hint: text.optional(),
  notes: texts,
});

const drilledBackup = z.strictObject({
  id: text,
  target: text,
  result: z
    .enum(['proven', 'failed', 'impossible'])
    .describe('impossible: it could not be tried for want of a tool, an extension or space'),
  durationMs,
  moment: time.optional().describe('with --pitr: what was recovered to'),
  seed: text.optional().describe('with --pitr: chose the moment'),
  restoreMs: durationMs.describe('what restoring took, without starting servers and comparing'),
  components: z.array(drilledComponent),
  evidence: text.optional().describe('the object that records it'),
});

const drill = document('drill', {
  repository: text,
  startedAt: time,
  durationMs,
  backups: z.array(drilledBackup),
  warnings: texts,
});

export const proofDocuments = { validate, integrity, drill };
