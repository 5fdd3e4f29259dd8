/** The section `emergency` of the configuration file. */
import { z } from 'zod';
import { secondsOfWaiting, texts } from './schema-pieces.ts';

const minutes = z.number().int().min(1);

/** What an emergency restore and the runbook need to know. */
export const emergencySchema = z.strictObject({
  stopServices: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      'program and arguments, started without a shell, that stop ' +
        'what writes to the targets before an emergency restore',
    ),
  startServices: z.array(z.string()).min(1).optional().describe('the same to start it again afterwards'),
  serviceTimeoutSeconds: secondsOfWaiting
    .default(600)
    .describe('either command is ended, with all that it has started, when it takes longer; at most a week'),
  contacts: z
    .array(
      z.strictObject({
        name: z.string().min(1).describe('who it is'),
        role: z.string().min(1).optional().describe('what for'),
        reach: z.string().min(1).describe('telephone number, address or place'),
      }),
    )
    .default([])
    .describe('who can help, in the order to call them; stands in the runbook'),
  escalation: texts.default([]).describe('whom to tell when, one sentence each; stands in the runbook'),
  scenarios: z
    .record(
      z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be a name: a-z, 0-9 and -'),
      z.strictObject({
        title: z.string().min(1).optional().describe('heading in the runbook'),
        rtoMinutes: minutes.optional().describe('everything must be back within so many minutes'),
        rpoMinutes: minutes.optional().describe('no more than so many minutes of writing may be lost'),
        steps: texts.min(1).optional().describe('what to do, one sentence each, in place of the usual steps'),
      }),
    )
    .default({})
    .describe(
      'changes the scenarios data-corruption (60 and 15 minutes), hardware-failure (120 and 60) and ' +
        'security-breach (30 and 5) of the runbook, or adds others',
    ),
});
