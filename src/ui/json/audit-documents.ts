/** The document of the audit log; see documents.ts. */
import { z } from 'zod';
import { document, text, texts, time } from './shapes.ts';

const record = z.strictObject({
  object: text,
  number: z.int(),
  host: text,
  user: text,
  uid: z.int(),
  command: text,
  target: text.optional(),
  ids: texts.describe('backups that it made or worked on'),
  outcome: z.enum(['ok', 'failed']),
  exitCode: z.int(),
  startedAt: time,
  finishedAt: time,
  arguments: z
    .record(text, z.json())
    .optional()
    .describe('what was asked for, without secrets; absent where no key opens it'),
  message: text.optional().describe('of a failure'),
  step: text.optional(),
  deleted: z
    .array(z.strictObject({ id: text, seal: text }))
    .optional()
    .describe('backups that were deleted for good'),
});

const audit = document('audit', {
  repository: text,
  records: z.array(record).describe('oldest first'),
  findings: z.array(
    z.strictObject({
      kind: z.enum(['missing', 'damaged', 'broken', 'cut', 'untrusted']),
      weight: z.enum(['fault', 'warning']),
      object: text,
      problem: text,
    }),
  ),
  total: z.int().describe('all records that there are, chosen or not'),
});

export const auditDocuments = { audit };
