/** Which channels hear of what, and when they may be disturbed. Pure. */
import type { Channel, NotificationRoute, Notifications, QuietHours } from '../../config/config.ts';
import { civilTime } from '../../lib/time-zone.ts';
import type { Notice } from './notice.ts';

/** Names of the channels, each once, in the order of the configuration. Pings have routes of their own. */
export function channelsFor(notice: Notice, { channels, routes }: Notifications): string[] {
  const named = new Set(routes.filter((route) => fits(route, notice)).flatMap((route) => route.channels));
  // That a channel fails is told on the others.
  const itself = /^status:channel:(.*)$/.exec(notice.incident?.key ?? '')?.[1];
  return [...channels.values()]
    .filter(({ name, type }) => named.has(name) && type !== 'ping' && name !== itself)
    .map(({ name }) => name);
}

function fits({ events, severities, outcomes, targets }: NotificationRoute, notice: Notice): boolean {
  const { event, severity, outcome, target } = notice;
  return (
    outcomes.includes(outcome) &&
    (severities === undefined || outcome === 'success' || severities.includes(severity)) &&
    (targets === undefined || (target !== undefined && targets.includes(target))) &&
    (events === undefined || events.some((pattern) => matches(pattern, event)))
  );
}

/** `*` stands for any text. */
function matches(pattern: string, event: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  if (others.length === 0) return pattern === event;
  if (!event.startsWith(first)) return false;
  let at = first.length;
  const last = others.pop() ?? '';
  for (const part of others) {
    const found = event.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return event.length - last.length >= at && event.endsWith(last);
}

/** It has to wait for the end of the quiet hours. */
export function isQuiet(notice: Notice, { type }: Channel, hours: QuietHours | undefined, nowMs: number): boolean {
  if (hours === undefined || notice.severity === 'critical' || notice.isTest === true) return false;
  if (type === 'ping' || type === 'command') return false;
  const minute = Math.floor(civilTime(hours.timezone, nowMs) / 60_000) % 1440;
  const { fromMinute, toMinute } = hours;
  return fromMinute <= toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}
