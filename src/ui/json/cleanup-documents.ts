/** The documents of what is deleted and what is kept; see documents.ts. */
import { z } from 'zod';
import { backupType, document, durationMs, size, text, texts, time } from './shapes.ts';

const judgedBackup = z.strictObject({
  id: text,
  target: text,
  type: backupType,
  startedAt: time,
  keep: z.boolean(),
  reasons: texts,
  bytes: size.optional().describe('what no other backup needs; of those that go'),
});

const collectedWal = z.strictObject({
  systemId: text,
  targets: texts.describe('whose base backups can replay it'),
  from: time.optional().describe('the earliest moment that could be recovered before; absent: none'),
  becomes: time.optional().describe('the earliest moment that can be recovered afterwards; absent: none'),
  segments: z.int().describe('what goes now'),
  bytes: size.describe('what goes now; also in "freed"'),
  laterSegments: z.int().describe('what goes when the base backups in trash are gone for good'),
  laterBytes: size,
  stays: text.optional().describe('why all of it stays'),
});

const cleanup = document('cleanup', {
  outcome: z.enum(['done', 'planned']),
  repository: text,
  graceMs: durationMs.describe('how long deleted backups can be taken back'),
  backups: z.array(judgedBackup).describe('oldest first; those that are not kept are in trash, or would be'),
  deleted: z.array(z.strictObject({ id: text, seal: text })).describe('gone for good: their grace time had passed'),
  freed: z.strictObject({ packs: z.int(), bytes: size }),
  laterBytes: size.describe('what will be freed when all that is in trash has passed its grace time'),
  retained: z
    .array(z.strictObject({ object: text, until: time.optional() }))
    .describe('what nobody needs, but object lock retains; without a time: a legal hold'),
  wal: z.array(collectedWal).describe('write-ahead log, by cluster'),
  hidden: z
    .array(z.strictObject({ id: text, hiddenAt: time }))
    .describe(
      'backups under a delete marker, or in trash, that lifeboat did not put there: all that they need stays; ' +
        'undelete shows them again',
    ),
  stopped: text.optional().describe('why no space was freed'),
  warnings: texts,
});

export const cleanupDocuments = {
  cleanup,
  undelete: document('undelete', { id: text, target: text, held: z.boolean(), warnings: texts }),
  hold: document('hold', {
    id: text,
    target: text,
    held: z.boolean(),
    reason: text.optional(),
    tags: texts,
    warnings: texts,
  }),
  release: document('release', {
    id: text,
    target: text,
    held: z.boolean(),
    reason: text.optional(),
    tags: texts,
    warnings: texts,
  }),
};
