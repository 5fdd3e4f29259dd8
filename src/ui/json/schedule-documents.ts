/** The documents of `lifeboat schedule`; see documents.ts. */
import { z } from 'zod';
import { document, durationMs, text, texts, time } from './shapes.ts';

const type = z.enum([
  'full',
  'database',
  'redis',
  'files',
  'base',
  'validate',
  'integrity',
  'drill',
  'drill-pitr',
  'cleanup',
  'report',
  'status',
]);

const schedule = {
  id: text,
  name: text,
  type,
  target: text.optional(),
  cronExpression: text,
  timezone: text,
  enabled: z.boolean(),
  missed: z.enum(['once', 'skip', 'all']),
  graceMinutes: z.number(),
  timeoutSeconds: z.number().optional(),
  attempts: z.int(),
  options: z.record(text, z.unknown()),
  next: z.array(time).describe('moments to come, the soonest first'),
  last: z.array(time).describe('moments that were due, the latest first'),
};

const slot = z.strictObject({
  due: time,
  outcome: z
    .enum(['done', 'failed', 'hung', 'skipped', 'aborted', 'caught-up', 'waiting', 'never', 'not-in-force'])
    .describe('caught-up: a later run stands for it; not-in-force: the schedule was not published yet, or has changed'),
  backupId: text.optional(),
  exitCode: z.int().optional(),
  code: text.optional(),
  message: text.optional(),
  attempt: z.int().optional(),
  host: text.optional(),
  finishedAt: time.optional(),
  by: time.optional().describe('the moment whose run stands for it'),
});

export const scheduleDocuments = {
  'schedule-list': document('schedule-list', {
    file: text.optional(),
    schedules: z.array(z.strictObject(schedule)),
    warnings: texts,
  }),
  'schedule-edit': document('schedule-edit', {
    file: text,
    id: text,
    act: z.enum(['add', 'update', 'remove', 'enable', 'disable']),
    schedule: z.strictObject(schedule).optional().describe('as it is now; absent where it is gone'),
    diff: texts.describe('lines of "schedules" with -, + or a blank before each; empty: nothing is new'),
    dryRun: z.boolean().describe('nothing was written'),
    warnings: texts,
  }),
  'schedule-print': document('schedule-print', {
    kind: z.enum(['cron', 'systemd', 'kubernetes']),
    files: z.array(z.strictObject({ name: text, text })),
    warnings: texts.describe('schedules that are left out, and why'),
  }),
  'schedule-install': document('schedule-install', {
    kind: z.enum(['cron', 'systemd']),
    scope: z.enum(['system', 'user']).describe('for the whole host, or for the user who called it'),
    remove: z.boolean(),
    dryRun: z.boolean().describe('nothing was written'),
    changes: z
      .array(
        z.strictObject({
          path: text.describe('of the file, or "the crontab of <user>"'),
          change: z.enum(['added', 'changed', 'removed']),
          diff: texts.describe('lines with -, + or a blank before each'),
        }),
      )
      .describe('empty: all is as it is to be'),
    warnings: texts.describe('schedules that are left out, and what is to be known of systemd'),
  }),
  'schedule-publish': document('schedule-publish', { published: texts, withdrawn: texts, warnings: texts }),
  'schedule-show': document('schedule-show', {
    ...schedule,
    slots: z.array(slot).optional().describe('what became of the moments in "last"; absent where it is not known'),
    slotsUnknown: text.optional().describe('why it is not known'),
  }),
  'schedule-run': document('schedule-run', {
    id: text,
    name: text,
    type,
    outcome: z.enum(['done', 'failed', 'skipped', 'nothing-due', 'elsewhere']),
    reason: text.optional(),
    slots: z
      .array(
        z.strictObject({
          due: time,
          attempt: z.int(),
          outcome: z.enum(['done', 'failed', 'hung', 'aborted']),
          exitCode: z.int(),
          code: text.optional(),
          backupId: text.optional(),
          covers: z.int().describe('missed moments before it that it stands for'),
          isFinal: z.boolean().describe('no other attempt followed'),
        }),
      )
      .describe('attempts at slots, with --slot'),
    exitCode: z.int().describe('that of the command the schedule stands for'),
    backupId: text.optional(),
    startedAt: time,
    durationMs,
    warnings: texts,
  }),
};
