/** The documents of recoveries to a moment; see documents.ts. */
import { z } from 'zod';
import { size, text, texts } from './shapes.ts';

const steps = z.array(z.strictObject({ component: text, to: text, action: text }));

const more = {
  copies: steps.optional().describe('what is copied into a live server once the cluster is recovered'),
  others: z
    .array(
      z.strictObject({
        component: z.enum(['redis', 'files']),
        id: text,
        at: text,
        distanceMs: z
          .number()
          .nonnegative()
          .describe('from that backup to the moment: what was written in between is not in it'),
        steps,
      }),
    )
    .optional()
    .describe('components without a log, from their newest backups before the moment'),
};

const components = z.array(
  z.strictObject({
    name: text,
    kind: text,
    to: text,
    bytes: size,
    durationMs: z.number().nonnegative(),
    verified: z.enum(['equal', 'partial', 'not-checked']),
    summary: text.optional(),
    kept: text.optional(),
    undo: text.optional(),
    created: texts.optional(),
  }),
);

const made = {
  copied: components.optional().describe('compared with what the recovered cluster (or the backup in its place) holds'),
  restored: components.optional(),
  safetyBackupId: text.optional(),
};

const fallback = {
  id: text.describe('of the logical backup'),
  target: text,
  to: text,
  reason: text.describe('why the moment itself cannot be reached'),
  at: text.describe('the moment that the backup holds'),
  lostMs: z.number().nonnegative().describe('from there to the wanted moment: what was written in between is lost'),
  dataDir: text.optional(),
  ...more,
};

const left = {
  durationMs: z.number().nonnegative(),
  url: text.optional().describe('of the server, where it was left running'),
  pid: z.int().optional(),
  nextSteps: texts,
  warnings: texts,
};

const plan = {
  id: text.describe('of the base backup'),
  target: text,
  to: text,
  systemIdentifier: text,
  serverVersion: text,
  timeline: z.int().positive(),
  baseAt: text.describe('when the base backup was complete'),
  baseBytes: size,
  segments: z.strictObject({ count: size, first: text, last: text, bytes: size }).describe('WAL to replay at most'),
  window: z
    .strictObject({ from: text, to: text.optional() })
    .describe('moments that can be recovered from this base backup on'),
  estimatedMs: z.number().nonnegative(),
  dataDir: text.optional(),
  tablespaces: z
    .array(z.strictObject({ name: text, from: text, bytes: size, to: text.optional() }))
    .describe('those outside of the data directory: where they lay and where they go'),
  ...more,
};

export const pitrDocuments = {
  pitr: z.discriminatedUnion('outcome', [
    z.strictObject({
      schema: z.literal('lifeboat.pitr/v1'),
      outcome: z.literal('planned'),
      ...plan,
      checked: size.optional().describe('how many segments were opened'),
      warnings: texts,
    }),
    z.strictObject({
      schema: z.literal('lifeboat.pitr/v1'),
      outcome: z.literal('done'),
      ...plan,
      action: z.enum(['pause', 'promote', 'shutdown', 'standby']),
      stopped: text.describe('where it stopped, in the words of the server'),
      lsn: text.describe('the log was replayed up to here'),
      lastCommitAt: text.optional().describe('of the last transaction in the recovered cluster'),
      databases: texts.describe('every table of them was read'),
      structure: z
        .strictObject({ outcome: z.enum(['clean', 'partly', 'not-checked']), databases: texts, notes: texts })
        .describe('what pg_amcheck found; damage is an error'),
      segmentsReplayed: size,
      ...made,
      ...left,
    }),
    z.strictObject({
      schema: z.literal('lifeboat.pitr/v1'),
      outcome: z.literal('fallback-planned'),
      ...fallback,
      warnings: texts,
    }),
    z.strictObject({
      schema: z.literal('lifeboat.pitr/v1'),
      outcome: z.literal('fallback'),
      ...fallback,
      ...made,
      ...left,
    }),
  ]),
  'create-restore-point': z.strictObject({
    schema: z.literal('lifeboat.create-restore-point/v1'),
    name: text,
    target: text,
    lsn: text,
    at: text,
    warnings: texts,
  }),
};
