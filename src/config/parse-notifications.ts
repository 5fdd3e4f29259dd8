/** From the section `notifications` as it is written to channels and routes; secrets stay references until used. */
import type { Channel, ChannelType, NotificationRoute, Notifications, QuietHours } from './config.ts';
import type { Parser } from './parser.ts';
import {
  pingSignals,
  type ChannelSettings,
  type NotificationSettings,
  type Outcome,
  type Severity,
} from './schema-notifications.ts';
import type { LaterSecret } from './secrets.ts';

/** All of it. What is wrong is a fault of the parser's. */
export function parseNotifications(from: NotificationSettings, parser: Parser): Notifications {
  const channels = new Map<string, Channel>();
  for (const written of [...channelsOf(from), ...shorthandsOf(from, parser)]) {
    const { name } = written;
    if (channels.has(name)) parser.fault(written.at('url'), `stands beside a channel "${name}"; give one of them`);
    else channels.set(name, parseChannel(written, parser));
  }
  requireChannels(from, channels, parser);
  const { quietHours, escalation, reminderHours } = from;
  return {
    channels,
    routes: routesOf(from, channels),
    quietHours: quietHours === undefined ? undefined : parseQuietHours(quietHours),
    escalation: escalation === undefined ? undefined : { ...escalation, afterMs: escalation.afterMinutes * 60_000 },
    reminderMs: reminderHours === undefined ? undefined : reminderHours * 3_600_000,
  };
}

/** A channel as it is written, and where a key of it stands in the document. */
interface WrittenChannel {
  readonly name: string;
  readonly settings: ChannelSettings;
  readonly at: (key: string) => string;
}

function channelsOf({ channels }: NotificationSettings): WrittenChannel[] {
  return Object.entries(channels).map(([name, settings]) => ({
    name,
    settings,
    at: (key) => `notifications.channels.${name}.${key}`,
  }));
}

/** The keys that were there before channels were. */
function shorthandsOf(from: NotificationSettings, parser: Parser): WrittenChannel[] {
  const { webhook, slackWebhook, smtpUrl, emailRecipients, pingUrl } = from;
  if (emailRecipients.length > 0 && smtpUrl === undefined) {
    parser.surroundings.warnings.push('nobody gets mail: emailRecipients are configured, but no smtpUrl (SMTP_URL)');
  }
  const to = emailRecipients.length === 0 ? undefined : emailRecipients;
  const given: readonly (readonly [name: ChannelType, key: string, settings: Partial<ChannelSettings>])[] = [
    ['webhook', 'webhook', { url: webhook }],
    ['slack', 'slackWebhook', { url: slackWebhook }],
    ['email', 'smtpUrl', to === undefined ? {} : { url: smtpUrl, to }],
    ['ping', 'pingUrl', { url: pingUrl, signals: ['success'] }],
  ];
  return given.flatMap(([type, key, settings]) =>
    settings.url === undefined
      ? []
      : [{ name: type, settings: { timeoutSeconds: 10, ...settings, type }, at: () => `notifications.${key}` }],
  );
}

function parseChannel({ name, settings, at }: WrittenChannel, parser: Parser): Channel {
  const { type, timeoutSeconds, digestMinutes } = settings;
  const optional = (key: 'url' | 'token' | 'secret'): LaterSecret | undefined => {
    const reference = settings[key];
    return reference === undefined ? undefined : parser.laterSecret(at(key), reference);
  };
  // The schema has seen that it is there.
  const needed = (key: 'url' | 'token'): LaterSecret => optional(key) ?? parser.laterSecret(at(key), { env: '' });
  const any = {
    name,
    timeoutMs: timeoutSeconds * 1000,
    digestMs: digestMinutes === undefined ? undefined : digestMinutes * 60_000,
  };
  switch (type) {
    case 'webhook':
      return {
        ...any,
        type,
        url: needed('url'),
        token: optional('token'),
        secret: optional('secret'),
        body: settings.body,
      };
    case 'slack':
    case 'discord':
    case 'teams':
      return { ...any, type, url: needed('url') };
    case 'telegram':
      return { ...any, type, url: optional('url'), token: needed('token'), chat: settings.chat ?? '' };
    case 'ntfy':
      return { ...any, type, url: needed('url'), token: optional('token') };
    case 'pagerduty':
      return { ...any, type, url: optional('url'), token: needed('token') };
    case 'email': {
      const { to = [], from, tls = 'required' } = settings;
      return { ...any, type, url: needed('url'), to, from, isTlsRequired: tls === 'required' };
    }
    case 'ping': {
      const { signals = [...pingSignals], commands = ['backup'], target } = settings;
      return { ...any, type, url: needed('url'), signals, commands, target };
    }
    case 'command':
      return { ...any, type, command: settings.command ?? [], cwd: parser.folder(at('command')) };
  }
}

const loud: readonly Severity[] = ['warning', 'critical'];
const usual: readonly Outcome[] = ['failure', 'recovery'];

/** Without a route all channels hear what is wrong. */
function routesOf(from: NotificationSettings, known: ReadonlyMap<string, Channel>): NotificationRoute[] {
  if (from.routes !== undefined) {
    return from.routes.map(({ events, severities, outcomes = usual, targets, channels }) => ({
      events,
      severities,
      outcomes,
      targets,
      channels,
    }));
  }
  return [{ events: undefined, severities: loud, outcomes: usual, targets: undefined, channels: [...known.keys()] }];
}

function requireChannels(from: NotificationSettings, known: ReadonlyMap<string, Channel>, parser: Parser): void {
  const lists: (readonly [key: string, names: readonly string[]])[] = (from.routes ?? []).map(
    ({ channels }, index) => [`routes.${index}`, channels] as const,
  );
  if (from.escalation !== undefined) lists.push(['escalation', from.escalation.channels]);
  for (const [key, names] of lists) {
    for (const name of names.filter((each) => !known.has(each))) {
      parser.fault(`notifications.${key}.channels`, `there is no channel "${name}"`);
    }
  }
}

function parseQuietHours({ from, to, timezone }: NonNullable<NotificationSettings['quietHours']>): QuietHours {
  return { fromMinute: minuteOf(from), toMinute: minuteOf(to), timezone };
}

/** `22:30` as minutes since midnight. */
function minuteOf(time: string): number {
  const [hours, minutes] = time.split(':').map(Number);
  return (hours ?? 0) * 60 + (minutes ?? 0);
}
