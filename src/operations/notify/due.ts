/** Whether there is anything to send now, at the cost of a look at some folders. */
import type { Config } from '../../config/config.ts';
import { readIncidents } from './incidents.ts';
import { Outbox } from './outbox.ts';
import { noticesFolder } from './place.ts';

/** Something waits for a channel that may be tried now, or an incident may have to be escalated. */
export async function hasDueNotices(config: Config, nowMs = Date.now()): Promise<boolean> {
  const { channels, escalation } = config.notifications;
  const folder = noticesFolder(config);
  for (const name of channels.keys()) {
    const outbox = new Outbox(folder, name);
    if ((await outbox.names()).length === 0) continue;
    if (((await outbox.readState()).nextTryMs ?? 0) <= nowMs) return true;
  }
  if (channels.size === 0 || escalation === undefined) return false;
  return (await readIncidents(folder)).some(
    ({ acknowledgedAt, escalatedAt }) => acknowledgedAt === undefined && escalatedAt === undefined,
  );
}
