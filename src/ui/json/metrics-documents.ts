/** The document of metrics; see documents.ts. */
import { z } from 'zod';
import { document, text, texts, time } from './shapes.ts';

const sample = z.strictObject({ labels: z.record(text, text).optional(), value: z.number() });

const family = z.strictObject({ name: text, type: z.enum(['gauge', 'counter']), help: text, samples: z.array(sample) });

const metrics = document('metrics', {
  at: time,
  isUp: z.boolean().describe('false: the repository could not be looked at, and nothing of it is shown'),
  failure: z.strictObject({ code: text, message: text }).optional(),
  metrics: z.array(family),
  told: texts.describe('what they were written or sent to'),
});

export const metricsDocuments = { metrics };
