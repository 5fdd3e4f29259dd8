/** The documents of notifications; see documents.ts. */
import { z } from 'zod';
import { channelTypes, severities } from '../../config/schema-notifications.ts';
import { document, text, time } from './shapes.ts';

const type = z.enum(channelTypes);
const problem = text.optional().describe('why the last attempt failed');

export const notifyDocuments = {
  'notify-test': document('notify-test', {
    channels: z.array(z.strictObject({ name: text, type, arrived: z.boolean(), problem })),
  }),
  'notify-flush': document('notify-flush', {
    channels: z.array(z.strictObject({ name: text, sent: z.int(), waiting: z.int(), problem })),
  }),
  'notify-list': document('notify-list', {
    channels: z.array(
      z.strictObject({
        name: text,
        type,
        waiting: z.int().describe('messages that are not sent yet'),
        failingSince: time.optional(),
        problem,
        nextTryAt: time.optional(),
        deliveredAt: time.optional(),
        dropped: z.int().describe('messages that nobody will get'),
      }),
    ),
    incidents: z.array(
      z.strictObject({
        key: text.describe('what lifeboat acknowledge takes'),
        since: time,
        count: z.int().describe('how often it was seen'),
        severity: z.enum(severities),
        title: text,
        target: text.optional(),
        acknowledgedAt: time.optional(),
      }),
    ),
  }),
};
