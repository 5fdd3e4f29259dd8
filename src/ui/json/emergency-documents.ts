/** The documents of the emergency commands; see documents.ts. */
import { z } from 'zod';
import { component, document, durationMs, size, text, texts, time } from './shapes.ts';

const passedOver = z.array(z.strictObject({ id: text, reason: text })).describe('newer backups that are not whole');
const backupState = z.enum(['stored', 'checked', 'decoded', 'proven']);

const componentStanding = z.strictObject({
  component,
  id: text.optional().describe('absent where no backup is whole'),
  takenAt: time.optional(),
  ageMs: durationMs.optional(),
  state: backupState.optional(),
  provenAt: time.optional(),
  expectedMs: durationMs.optional().describe('measured by a drill or a restore'),
  bytes: size.optional(),
  passedOver,
});

const emergencyStatus = document('emergency-status', {
  repository: text,
  targets: z.array(
    z.strictObject({
      target: text,
      components: z.array(componentStanding),
      unfinished: z
        .strictObject({
          id: text,
          startedAt: time,
          journal: text,
          pid: z.int().optional().describe('the process that is at it; absent: it was interrupted'),
          done: texts.describe('steps'),
          left: texts.describe('steps'),
        })
        .optional(),
    }),
  ),
  warnings: texts,
});

const emergencyStep = z.enum([
  'safety-backup',
  'stop-services',
  'restore-database',
  'restore-redis',
  'restore-files',
  'start-services',
  'check',
]);

const liveServer = z.strictObject({
  component,
  where: text,
  reachable: z.boolean(),
  problem: text.optional(),
  holds: text,
  hasData: z.boolean(),
  systemIdentifier: text.optional(),
  bytes: size.optional(),
  lastWriteAt: text.optional(),
  freeBytes: size.optional(),
});

const need = z.strictObject({ component, neededBytes: size, freeBytes: size.optional() });

const plannedEmergency = z.strictObject({
  id: text,
  seal: text,
  target: text,
  repository: text,
  host: text,
  createdAt: time,
  takenAt: time,
  state: backupState.optional(),
  provenAt: time.optional(),
  passedOver,
  components: z.array(component),
  databases: texts.optional(),
  roots: texts.optional(),
  live: z.array(liveServer),
  mismatches: texts.describe('why this may be the wrong place'),
  losses: texts.describe('what is written there now and is not in the backup'),
  needs: z.array(need),
  isNewest: z.boolean().describe('the newest whole backup was asked for, not one by its id'),
  expectedMs: durationMs.optional().describe('from what was measured'),
  measured: z
    .strictObject({ id: text, at: time, ms: durationMs })
    .optional()
    .describe('the drill or restore that it is reckoned from'),
  steps: z.array(z.strictObject({ name: emergencyStep, title: text })),
  withGlobals: z.boolean(),
  forced: z.boolean(),
  safetyBackup: z.boolean(),
  confirmName: text.describe('what --confirm must say'),
});

const emergencyRestore = z.discriminatedUnion('outcome', [
  document('emergency-restore', {
    outcome: z.literal('planned'),
    id: text,
    target: text,
    plan: plannedEmergency,
    lines: texts.describe('the plan in sentences'),
    planFile: text.optional(),
    warnings: texts,
  }),
  document('emergency-restore', {
    outcome: z.literal('done'),
    id: text,
    target: text,
    startedAt: time,
    durationMs,
    steps: z.array(
      z.strictObject({
        name: emergencyStep,
        title: text,
        state: z.enum(['pending', 'running', 'done', 'skipped', 'failed']),
        startedAt: time.optional(),
        finishedAt: time.optional(),
        notes: texts,
      }),
    ),
    safetyBackupId: text.optional(),
    journal: text.describe('file with all of it'),
    warnings: texts,
  }),
]);

export const emergencyDocuments = {
  'emergency-status': emergencyStatus,
  'emergency-restore': emergencyRestore,
  runbook: document('runbook', { text: text.describe('Markdown'), file: text.optional(), warnings: texts }),
};
