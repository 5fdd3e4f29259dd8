/** The documents of the commands on write-ahead log; see documents.ts. */
import { z } from 'zod';

const text = z.string();

export const walDocuments = {
  'wal-push': z.strictObject({
    schema: z.literal('lifeboat.wal-push/v1'),
    name: text,
    outcome: z.enum(['stored', 'present', 'shipped']).describe('shipped: by an earlier call; present: it was there with the same content'),
    systemId: text.optional().describe('the system identifier of the cluster'),
    along: z.array(text).describe('other files that were ready and are archived now'),
  }),
  'wal-fetch': z.strictObject({
    schema: z.literal('lifeboat.wal-fetch/v1'),
    name: text,
    outcome: z.enum(['delivered', 'absent']),
    from: z.enum(['repository', 'spool', 'unfinished']).optional(),
    systemId: text.optional(),
  }),
  'init-archive-command': z.strictObject({ schema: z.literal('lifeboat.init-archive-command/v1'), archiveCommand: text, restoreCommand: text }),
  'wal-status': z.strictObject({
    schema: z.literal('lifeboat.wal-status/v1'),
    repository: text,
    systems: z.array(
      z.strictObject({
        systemId: text,
        segmentBytes: z.int().optional(),
        timelines: z.array(z.strictObject({ timeline: z.int(), first: text, last: text, segments: z.int(), storedBytes: z.int() })),
        gaps: z.array(z.strictObject({ first: text, last: text, segments: z.int() })).describe('segments that are missing between others, also where timelines meet'),
        missingHistories: z.array(text),
      }),
    ),
    lag: z
      .strictObject({ systemId: text, currentLsn: text, currentSegment: text, lastArchived: text.optional(), secondsSince: z.int().optional(), failures: z.int(), lastFailed: text.optional() })
      .optional()
      .describe('what the server says of its own archiving'),
    warnings: z.array(text),
  }),
};
