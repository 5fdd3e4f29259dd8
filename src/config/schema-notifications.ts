/**
 * The section `notifications` of the configuration file: by which channels somebody is told, and who is told what.
 * A channel is one object whose keys depend on its type; which ones, the table here says. parse-notifications.ts makes
 * a channel of its own kind of each.
 */
import { z } from 'zod';
import { positive, secretSchema, texts, timeZone } from './schema-pieces.ts';
import { targetNamePattern } from './schema-targets.ts';

/** Names of channels: they are names of folders too. */
export const channelNamePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

export const severities = ['info', 'warning', 'critical'] as const;
export const outcomes = ['failure', 'recovery', 'success'] as const;
export const pingSignals = ['start', 'success', 'failure'] as const;

/** What each type of channel must have, and what it may have besides. */
const keysOf = {
  webhook: { must: ['url'], may: ['token', 'secret', 'body'] },
  slack: { must: ['url'], may: [] },
  discord: { must: ['url'], may: [] },
  teams: { must: ['url'], may: [] },
  telegram: { must: ['token', 'chat'], may: ['url'] },
  ntfy: { must: ['url'], may: ['token'] },
  pagerduty: { must: ['token'], may: ['url'] },
  email: { must: ['url', 'to'], may: ['from', 'tls'] },
  ping: { must: ['url'], may: ['signals', 'commands', 'target'] },
  command: { must: ['command'], may: [] },
} as const;

export const channelTypes = Object.keys(keysOf) as (keyof typeof keysOf)[];

const mailAddress = z.string().regex(/^[^\s@<>,;:"]+@[^\s@<>,;:"]+$/, 'must be an e-mail address');

const channelShape = z.strictObject({
  type: z.enum(channelTypes).describe('what it is'),
  url: secretSchema
    .optional()
    .describe(
      'webhook, slack, discord, teams: what is called; ntfy: that of the topic; ping: that of the check; email: ' +
        'smtps://user:password@host:port, or smtp:// for STARTTLS; telegram, pagerduty: another server than theirs',
    ),
  token: secretSchema
    .optional()
    .describe("webhook, ntfy: sent as a bearer token; telegram: the bot's; pagerduty: the routing key"),
  secret: secretSchema
    .optional()
    .describe('webhook: key that each call is signed with as Standard Webhooks has it (whsec_ and base64)'),
  body: z
    .json()
    .optional()
    .describe(
      'webhook: document to send instead of ours; in its texts {{title}}, {{text}}, {{severity}}, {{event}}, ' +
        '{{outcome}}, {{target}}, {{host}}, {{at}}, {{next}}, {{incident}}, {{id}} are filled in',
    ),
  chat: z
    .string()
    .regex(/^(-?\d+|@\w+)$/, 'must be the number of a chat, or @ and the name of a channel')
    .optional()
    .describe('telegram: who is told'),
  from: mailAddress.optional().describe('email: sender; default: lifeboat@ and the name of this host'),
  to: z.array(mailAddress).min(1).optional().describe('email: who is told'),
  tls: z
    .enum(['required', 'none'])
    .optional()
    .describe('email: none: also by a connection that others can read and change; default: required'),
  command: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('command: program and arguments, started without a shell; it reads one JSON document'),
  signals: z
    .array(z.enum(pingSignals))
    .min(1)
    .optional()
    .describe('ping: what it is called for: start (URL/start), success (URL), failure (URL/exit code); default: all'),
  commands: texts.min(1).optional().describe('ping: whose runs; default: ["backup"]'),
  target: z
    .string()
    .regex(targetNamePattern, 'must be a target name')
    .optional()
    .describe('ping: of which target; default: of any'),
  timeoutSeconds: positive.max(120).default(10).describe('no attempt takes longer, all of it counted, in seconds'),
  digestMinutes: positive
    .max(10_080)
    .optional()
    .describe('what comes within so many minutes goes as one message; but what is critical goes at once'),
});

/** One channel as it is written. */
export const channelSchema = channelShape.superRefine((channel, context) => {
  const { must, may } = keysOf[channel.type];
  const allowed = new Set<string>(['type', 'timeoutSeconds', ...must, ...may]);
  if (!['ping', 'command'].includes(channel.type)) allowed.add('digestMinutes');
  const fault = (key: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [key], message, input: undefined });
  for (const key of must) if (channel[key] === undefined) fault(key, `is missing; ${channel.type} needs it`);
  for (const [key, value] of Object.entries(channel)) {
    if (value !== undefined && !allowed.has(key)) fault(key, `means nothing for ${channel.type}`);
  }
});

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day such as 22:00');
const channelNames = z.array(z.string()).min(1);

const routeSchema = z.strictObject({
  events: texts
    .min(1)
    .optional()
    .describe('names such as run.failed, with * for any part (status.*); default: all; lifeboat-notify(1) has them'),
  severities: z.array(z.enum(severities)).min(1).optional().describe('default: all'),
  outcomes: z
    .array(z.enum(outcomes))
    .min(1)
    .optional()
    .describe('default: failure and recovery; success only where it stands here'),
  targets: texts.min(1).optional().describe('names of targets; default: all, and what concerns none'),
  channels: channelNames.describe('who is told'),
});

const quietHoursSchema = z.strictObject({
  from: timeOfDay.describe('such as 22:00'),
  to: timeOfDay.describe('such as 07:00'),
  timezone: timeZone.optional().describe('whose clock; default: the time zone of the host'),
});

const escalationSchema = z.strictObject({
  afterMinutes: positive.max(10_080).describe('so long after it was told first, without lifeboat acknowledge'),
  severities: z.array(z.enum(severities)).min(1).default(['critical']).describe('of which incidents'),
  channels: channelNames.describe('who is told then'),
});

/** All of it. */
export const notificationsSchema = z.strictObject({
  channels: z
    .record(
      z
        .string()
        .regex(channelNamePattern, 'must be a name of a channel: a-z, 0-9 and -, at most 63, not beginning with -'),
      channelSchema,
    )
    .default({})
    .describe('by which somebody is told, by name'),
  routes: z
    .array(routeSchema)
    .optional()
    .describe('who is told what: every route that fits counts; default: warnings and what is critical to all'),
  quietHours: quietHoursSchema
    .optional()
    .describe('when only what is critical is sent; the rest comes afterwards; ping and command have none'),
  escalation: escalationSchema.optional().describe('who else is told where nobody acts'),
  reminderHours: positive
    .max(8760)
    .optional()
    .describe('what lasts is told again after so many hours; default: it is told once'),
  webhook: secretSchema.optional().describe('the same as a channel "webhook" of that type'),
  slackWebhook: secretSchema.optional().describe('the same as a channel "slack" of that type'),
  emailRecipients: z.array(mailAddress).default([]).describe('with smtpUrl the same as a channel "email"'),
  smtpUrl: secretSchema.optional().describe('smtps://user:password@host:port'),
  pingUrl: secretSchema.optional().describe('the same as a channel "ping" that is called after each good backup'),
});

export type NotificationSettings = z.infer<typeof notificationsSchema>;
export type ChannelSettings = z.infer<typeof channelSchema>;
export type Severity = (typeof severities)[number];
export type Outcome = (typeof outcomes)[number];
export type PingSignal = (typeof pingSignals)[number];
