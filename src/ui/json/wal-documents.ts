/** The documents of the commands on write-ahead log; see documents.ts. */
import { z } from 'zod';
import { text } from './shapes.ts';

/** Of one cluster in the archive. */
export const walSystemShape = {
  timelines: z.array(
    z.strictObject({
      timeline: z.int(),
      first: text,
      last: text,
      segments: z.int().describe('0: only the beginning of one is there, whose name stands as first and last'),
      storedBytes: z.int(),
      unfinished: z
        .strictObject({ segment: text, lsn: text.describe('archived up to here'), at: text })
        .optional()
        .describe('what wal stream has of a segment behind the last one'),
    }),
  ),
  gaps: z
    .array(z.strictObject({ first: text, last: text, segments: z.int() }))
    .describe('segments that are missing between others, also where timelines meet'),
  missingHistories: z.array(text),
  damaged: z
    .array(z.strictObject({ object: text, problem: text }))
    .describe('objects that are known not to be what was stored; they count as missing'),
};

export const walDocuments = {
  'wal-push': z.strictObject({
    schema: z.literal('lifeboat.wal-push/v1'),
    name: text,
    outcome: z
      .enum(['stored', 'present', 'replaced', 'shipped'])
      .describe(
        'shipped: by an earlier call; present: it was there with the same content; replaced: stored where an empty ' +
          'object was',
      ),
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
  'wal-stream': z.strictObject({
    schema: z.literal('lifeboat.wal-stream/v1'),
    state: z
      .enum(['streaming', 'waiting', 'ended', 'skipped', 'slot-dropped', 'slot-absent'])
      .describe(
        'waiting: the server or the repository is away, see trouble; ended: it was stopped, and this is the last ' +
          'line; skipped: another receiver runs',
      ),
    target: text,
    slot: text.describe('name of the replication slot'),
    at: text,
    systemId: text.optional(),
    serverLsn: text.optional().describe('how far the log of the server is durable; left out while it does not answer'),
    shippedLsn: text.optional().describe('all up to here is in the repository'),
    lagBytes: z.int().optional().describe('from there to the server'),
    caughtUpAt: text.optional().describe('when all that had been received was last in the repository'),
    segments: z.int().describe('finished segments that this run has shipped'),
    partials: z.int().describe('unfinished ones'),
    spoolBytes: z.int().describe('what the received log takes on this host'),
    trouble: text.optional(),
    warnings: z.array(text),
  }),
  'init-archive-command': z.strictObject({
    schema: z.literal('lifeboat.init-archive-command/v1'),
    archiveCommand: text,
    restoreCommand: text,
  }),
  'wal-status': z.strictObject({
    schema: z.literal('lifeboat.wal-status/v1'),
    repository: text,
    systems: z.array(z.strictObject({ systemId: text, segmentBytes: z.int().optional(), ...walSystemShape })),
    lag: z
      .strictObject({
        systemId: text,
        currentLsn: text,
        currentSegment: text,
        standby: z
          .boolean()
          .optional()
          .describe('true: the server is a standby, and has received or replayed the log up to currentLsn'),
        lastArchived: text.optional(),
        secondsSince: z.int().optional(),
        failures: z.int(),
        lastFailed: text.optional(),
        archivedLsn: text.optional(),
        behindBytes: z.int().optional(),
      })
      .optional()
      .describe('what the server says of its own archiving'),
    warnings: z.array(text),
  }),
};
