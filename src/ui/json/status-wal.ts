/** What the document of status says of write-ahead log; see documents.ts. */
import { z } from 'zod';
import { text, time } from './shapes.ts';
import { walSystemShape } from './wal-documents.ts';

/** Of one cluster. */
export const statusWal = z.strictObject({
  systemId: text.describe('system identifier of the cluster'),
  targets: z.array(text),
  isCurrent: z.boolean().describe('it is expected to go on; false: another cluster has taken its place'),
  bases: z.int().describe('base backups to replay it from'),
  windows: z
    .array(z.strictObject({ from: text, to: time }))
    .describe('moments that can be recovered, oldest first; to: when the last of the log was archived'),
  timelines: walSystemShape.timelines,
  gaps: walSystemShape.gaps,
  missingHistories: walSystemShape.missingHistories,
  damaged: walSystemShape.damaged,
  archived: z.strictObject({ lsn: text, at: time }).optional().describe('how far the archive reaches, and since when'),
  server: z
    .strictObject({
      currentLsn: text,
      archiveMode: text,
      failures: z.int(),
      lastFailed: text.optional(),
      lastFailedAt: text.optional(),
      isFailing: z.boolean().describe('the last attempt to archive failed'),
      behindBytes: z.int().describe('from the end of the archive to that of the server'),
      behindSegments: z.int().describe('of these, whole segments'),
    })
    .optional()
    .describe('absent where the server does not answer or is not configured here'),
  problem: text.optional().describe('why nothing more can be told'),
});
