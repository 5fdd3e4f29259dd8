/**
 * The schedules of the configuration: what runs when, in which time zone, and what of a moment that was missed. Their
 * options are the flags of the command that a schedule stands for (schedule-options.ts).
 */
import { z } from 'zod';
import { parseCron } from '../lib/cron.ts';
import { faultsOfOptions, scheduleTypes } from './schedule-options.ts';
import { checkText, positive, secondsOfWaiting, timeZone } from './schema-pieces.ts';

const cronShape = /^(@\w+|\S+( +\S+){4,5})$/;

/** What has the shape is looked at closer. */
function checkCron(text: string, context: z.RefinementCtx<string>): void {
  if (cronShape.test(text)) checkText(parseCron, text, context);
}

/** One schedule as it is written. */
export const scheduleSchema = z
  .strictObject({
    id: z.string().min(1).describe('unique name for commands; one that is to have slots is made of a-z, 0-9 and -'),
    name: z.string().min(1).optional().describe('for people; default: the id'),
    type: z
      .enum(scheduleTypes)
      .default('full')
      .describe(
        'what is done: a backup of all or of one part, or the command of that name; drill-pitr: a drill --pitr',
      ),
    cronExpression: z
      .string()
      .regex(cronShape, 'must have five or six fields')
      .superRefine(checkCron)
      .describe('when, as in crontab'),
    timezone: timeZone.optional().describe('whose clock, such as Europe/Berlin; default: the time zone of the host'),
    enabled: z.boolean().default(true),
    options: z
      .record(z.string(), z.unknown())
      .default({})
      .describe('flags of its command, such as {"target": "main", "maxSize": "20GB"}; see lifeboat-schedule(1)'),
    missed: z
      .enum(['once', 'skip', 'all'])
      .default('once')
      .describe('moments that passed without a run: one run for all of them, none, or one for each'),
    graceMinutes: positive.max(10_080).default(60).describe('so long after its moment a run is still on time'),
    timeoutSeconds: secondsOfWaiting.optional().describe('ends a run that takes longer; default: no limit'),
    attempts: positive.max(10).default(3).describe('so often a slot is tried, with growing pauses'),
  })
  .superRefine(({ type, options }, context) => {
    for (const { key, message } of faultsOfOptions(type, options)) {
      context.addIssue({ code: 'custom', path: ['options', key], message, input: undefined });
    }
  });

/** All of them; ids are unique. */
export const schedulesSchema = z.array(scheduleSchema).superRefine((schedules, context) => {
  for (const [index, { id }] of schedules.entries()) {
    if (schedules.findIndex((each) => each.id === id) === index) continue;
    context.addIssue({ code: 'custom', path: [index, 'id'], message: 'is the id of another schedule too', input: id });
  }
});
