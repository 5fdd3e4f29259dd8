/** The document of a report; see documents.ts. */
import { z } from 'zod';
import { document, durationMs, size, step, text, texts, time } from './shapes.ts';

const reason = z.strictObject({
  id: text,
  weight: z.enum(['degraded', 'unhealthy']),
  target: text.optional(),
  message: text,
  next: text,
  acknowledged: z.strictObject({ at: time, by: text, reason: text }).optional(),
});

const schedule = z.strictObject({
  id: text,
  target: text.optional().describe('absent: of all'),
  type: text.optional().describe('absent: no longer in force'),
  cronExpression: text.optional(),
  done: z.int().describe('moments, by how the last attempt at each ended'),
  failed: z.int(),
  hung: z.int(),
  aborted: z.int(),
  skipped: z.int(),
  attempts: z.int(),
  caughtUp: z.int().describe('moments that passed without a run, and that a later one stands for'),
  missed: z.int().describe('moments that were never run, and for which none stands yet'),
});

const proof = z.strictObject({
  level: text,
  ok: z.int(),
  failed: z.int(),
  lastAt: time.optional().describe('of the good ones'),
  longestMs: durationMs.optional(),
});

const target = z.strictObject({
  name: text,
  backups: z.int().describe('made in the time, and still there'),
  failedRuns: z.int().describe('as far as the audit log has them'),
  readBytes: size,
  newBytes: size,
  storedBytes: size,
  newest: z.strictObject({ id: text, at: time, state: text.optional() }).optional(),
  newestProven: z.strictObject({ id: text, provenAt: time }).optional(),
  proofs: z.array(proof),
  restoreTime: z
    .strictObject({
      ms: durationMs,
      basis: z.enum(['measured', 'assumed']),
      ofBackup: text.optional(),
      measuredAt: time.optional(),
      steps: z.array(step).optional(),
      assumption: text.optional(),
      isolation: text.optional(),
    })
    .optional(),
  retention: texts,
});

const report = document('report', {
  repository: text,
  at: time,
  from: time,
  to: time,
  days: z.int(),
  verdict: z.enum(['healthy', 'degraded', 'unhealthy']),
  incidents: z.array(reason).describe('what is not as it should be, acknowledged or not'),
  targets: z.array(target),
  schedules: z.array(schedule),
  promises: z
    .array(z.strictObject({ scenario: text, rtoMinutes: z.number().optional(), rpoMinutes: z.number().optional() }))
    .describe('of the plan for emergencies'),
  immutability: text,
  acts: z
    .array(
      z.strictObject({
        at: time,
        host: text,
        user: text,
        command: text,
        target: text.optional(),
        outcome: z.enum(['ok', 'failed']),
        backups: texts,
        deleted: texts.describe('for good'),
      }),
    )
    .describe('runs that restored, took out, deleted, or changed who can read; newest first'),
  auditFindings: texts.describe('what is wrong with the audit log itself'),
  keys: z.array(
    z.strictObject({ id: text, createdAt: time, ageDays: z.int(), recipients: texts, current: z.boolean() }),
  ),
  storedBytes: size,
  written: texts.describe('files'),
});

export const reportDocuments = { report };
