/** The documents of recoveries to a moment; see documents.ts. */
import { z } from 'zod';

const text = z.string();
const texts = z.array(text);
const size = z.int().nonnegative();

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
  window: z.strictObject({ from: text, to: text.optional() }).describe('moments that can be recovered from this base backup on'),
  estimatedMs: z.number().nonnegative(),
  dataDir: text.optional(),
  tablespaces: z.array(z.strictObject({ name: text, from: text, bytes: size, to: text.optional() })).describe('those outside of the data directory: where they lay and where they go'),
};

export const pitrDocuments = {
  pitr: z.discriminatedUnion('outcome', [
    z.strictObject({ schema: z.literal('lifeboat.pitr/v1'), outcome: z.literal('planned'), ...plan, checked: size.optional().describe('how many segments were opened'), warnings: texts }),
    z.strictObject({
      schema: z.literal('lifeboat.pitr/v1'),
      outcome: z.literal('done'),
      ...plan,
      action: z.enum(['pause', 'promote', 'shutdown']),
      stopped: text.describe('where it stopped, in the words of the server'),
      databases: texts.describe('every table of them was read'),
      segmentsReplayed: size,
      durationMs: z.number().nonnegative(),
      url: text.optional(),
      pid: z.int().optional(),
      nextSteps: texts,
      warnings: texts,
    }),
  ]),
  'create-restore-point': z.strictObject({ schema: z.literal('lifeboat.create-restore-point/v1'), name: text, target: text, lsn: text, at: text, warnings: texts }),
};
