/**
 * From what was seen to what is sent: incidents are brought up to date, what is to be told is written down for each
 * channel that is to hear it, and then delivery is tried, for some seconds at most.
 */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { messageOf } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { withFileLock } from '../../lib/file-lock.ts';
import { ensureFolder } from '../../lib/fs.ts';
import { flushOutbox } from './flush.ts';
import { judgeSightings, readIncidents, writeIncidents, type Sighting } from './incidents.ts';
import type { Notice } from './notice.ts';
import { Outbox } from './outbox.ts';
import { noticesFolder } from './place.ts';
import { channelsFor } from './routing.ts';

/** Other processes hold it for a moment only. */
const lockWaitMs = 3000;
/** So long a command waits for the other side: what has not arrived by then goes later. */
const deliveryMs = 10_000;

/** A notice that goes to one channel, whatever the routes say. */
export interface Addressed {
  readonly channel: string;
  readonly notice: Notice;
}

/** Never rejects: nothing that cannot be told makes a good run a bad one. What went wrong is a warning. */
export async function tell(
  config: Config,
  sightings: readonly Sighting[],
  emit: EventSink,
  direct: readonly Addressed[] = [],
): Promise<void> {
  try {
    await writeDown(config, sightings, direct);
  } catch (error) {
    emit({ type: 'warning', message: `nobody is told of this, since it cannot be written down: ${messageOf(error)}` });
    return;
  }
  await flushOutbox(config, { limitMs: deliveryMs, emit });
}

/** Under a lock, so that of two runs at once one opens an incident and the other counts it. */
export async function writeDown(
  config: Config,
  sightings: readonly Sighting[],
  direct: readonly Addressed[] = [],
): Promise<void> {
  const folder = noticesFolder(config);
  const { notifications } = config;
  await ensureFolder(folder);
  const work = async (): Promise<void> => {
    const before = await readIncidents(folder);
    const { open, notices } = judgeSightings(before, sightings, Date.now(), notifications.reminderMs);
    const escalated = new Set(before.flatMap(({ id, escalatedAt }) => (escalatedAt === undefined ? [] : [id])));
    const routed = notices.flatMap((notice) => {
      const more = escalated.has(notice.incident?.id ?? '') ? (notifications.escalation?.channels ?? []) : [];
      return [...new Set([...channelsFor(notice, notifications), ...more])].map((channel) => ({ channel, notice }));
    });
    // First the messages: killed in between it is told twice rather than not at all.
    for (const { channel, notice } of [...routed, ...direct]) await new Outbox(folder, channel).add(notice);
    if (before.length > 0 || open.length > 0) await writeIncidents(folder, open);
  };
  const done = await withFileLock(join(folder, 'incidents.lock'), lockWaitMs, work);
  // Somebody holds it for seconds: better told twice.
  if (done === undefined) await work();
}
