/** The documents of status and of acknowledging what it warns of; see documents.ts. */
import { z } from 'zod';
import { document, durationMs, size, step, text, texts, time } from './shapes.ts';
import { standing } from './standing.ts';
import { statusWal } from './status-wal.ts';

const optionalSize = size.optional();
const optionalMs = durationMs.optional();

const reason = z.strictObject({
  id: text.describe('stable: for acknowledge'),
  weight: z.enum(['degraded', 'unhealthy']),
  target: text.optional(),
  message: text,
  next: text.describe('the command to run next'),
  acknowledged: z
    .strictObject({ at: time, by: text, reason: text })
    .optional()
    .describe('it is accepted, and does not count'),
});

const componentState = z.strictObject({
  name: text,
  newestId: text.optional(),
  takenAt: time.optional(),
  ageMs: z.number().optional(),
  schedules: texts.optional().describe('those that are to back it up; absent where there is none'),
  dueAt: time.optional().describe('when one of them should have begun last, an hour ago or earlier'),
  nextAt: time.optional(),
});

const moment = z.strictObject({
  id: text,
  at: time,
  type: text.describe('full, or one component'),
  durationMs,
  components: texts,
  state: text.optional(),
  isDamaged: z.boolean().optional(),
});

const analytics = z.strictObject({
  days: z.int(),
  successes: z.int(),
  failures: z.int().describe('those that this host knows of'),
  successRate: z.number().optional().describe('0 to 1'),
  averageReadBytes: optionalSize,
  averageStoredBytes: optionalSize,
  averageDurationMs: optionalMs,
  backups: z.int().describe('all that are there'),
  readBytes: size,
  storedBytes: size,
  ratio: z.number().optional().describe('bytes protected for each byte stored'),
});

const targetState = z.strictObject({
  name: text,
  components: z.array(componentState),
  newest: z
    .strictObject({
      id: text,
      takenAt: time,
      ageMs: z.number(),
      state: text.optional().describe('stored, checked, decoded or proven'),
      standing: standing.optional(),
    })
    .optional(),
  newestProven: z.strictObject({ id: text, provenAt: time }).optional(),
  provenMoment: z
    .strictObject({ id: text, moment: time, provenAt: time, restoreMs: durationMs, object: text })
    .optional()
    .describe('the recovery to a moment that a drill has proven last'),
  restoreTime: z
    .strictObject({
      ms: durationMs,
      basis: z.enum(['measured', 'assumed']),
      ofBackup: text.optional(),
      measuredAt: time.optional(),
      steps: z.array(step).optional().describe('what the parts of the measured restore took'),
      assumption: text.optional(),
      isolation: text.optional().describe("of the drill's throwaway servers: namespaces, user, or none"),
    })
    .optional(),
  moments: z.array(moment).describe('what can be restored, newest first'),
  analytics,
});

const run = z.strictObject({ scope: text, command: text, host: text, user: text, since: time, isAlive: z.boolean() });

const schedule = z.strictObject({
  target: text.optional(),
  id: text,
  name: text,
  type: text,
  host: text.describe('who has published it'),
  cronExpression: text,
  timezone: text,
  lastRun: time.optional().describe('the latest moment that was run, of the last ten'),
  next: time.optional(),
  lastDue: time.optional().describe('the latest moment, run or not'),
  succeededAt: time.optional().describe('when a run of the last ten moments ended well last'),
  failedAt: time.optional().describe('when one did not'),
  missed: z
    .array(z.strictObject({ due: time, outcome: text.optional(), code: text.optional() }))
    .describe('moments since then; without an outcome: never run'),
  isRunning: z.boolean(),
});

const storage = z.strictObject({
  storedBytes: size,
  freeBytes: optionalSize,
  capacityBytes: optionalSize,
  budgetBytes: optionalSize,
  packBytes: optionalSize.describe('all packs that backups use; absent where that cannot be told in passing'),
  deadBytes: optionalSize.describe('at most so much of them is needed by no backup'),
});

const status = document('status', {
  repository: text,
  at: time,
  verdict: z.enum(['healthy', 'degraded', 'unhealthy']),
  reasons: z.array(reason).describe('unhealthy first'),
  next: text.optional(),
  targets: z.array(targetState),
  running: z.array(run),
  schedules: z.array(schedule).describe('in force in the repository, of whichever host'),
  wal: z.array(statusWal).describe('write-ahead log, by cluster'),
  storage,
});

const acknowledge = document('acknowledge', {
  warning: text.describe('the id that status gives it'),
  message: text,
  reason: text,
});

export const statusDocuments = { status, acknowledge };
