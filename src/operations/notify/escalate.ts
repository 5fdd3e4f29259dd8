/** What was told, and nobody has said that they know: told to somebody else, once. */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { withFileLock } from '../../lib/file-lock.ts';
import { readIncidents, referenceTo, writeIncidents, type Incident } from './incidents.ts';
import { noticeOf } from './notice.ts';
import { Outbox } from './outbox.ts';
import { noticesFolder } from './place.ts';

const lockWaitMs = 3000;

/** Writes down what is to be told. Rejects where the state folder cannot be written. */
export async function escalate(config: Config, nowMs = Date.now()): Promise<void> {
  const { escalation } = config.notifications;
  const folder = noticesFolder(config);
  if (escalation === undefined || !(await readIncidents(folder)).some((each) => isDue(each, escalation, nowMs))) return;
  await withFileLock(join(folder, 'incidents.lock'), lockWaitMs, async () => {
    const open = await readIncidents(folder);
    const due = open.filter((incident) => isDue(incident, escalation, nowMs));
    for (const incident of due) {
      const notice = noticeOf(draftOf(incident), nowMs);
      for (const channel of escalation.channels) await new Outbox(folder, channel).add(notice);
    }
    const escalatedAt = new Date(nowMs).toISOString();
    await writeIncidents(
      folder,
      open.map((each) => (due.includes(each) ? { ...each, escalatedAt } : each)),
    );
  });
}

function isDue(
  { severity, since, acknowledgedAt, escalatedAt }: Incident,
  { afterMs, severities }: NonNullable<Config['notifications']['escalation']>,
  nowMs: number,
): boolean {
  const isOpen = acknowledgedAt === undefined && escalatedAt === undefined;
  return isOpen && severities.includes(severity) && nowMs - Date.parse(since) >= afterMs;
}

function draftOf(incident: Incident): Parameters<typeof noticeOf>[0] {
  const { event, severity, target, command, title, since, count, key } = incident;
  return {
    event: `${event}.escalated`,
    outcome: 'failure',
    severity,
    ...(target === undefined ? {} : { target }),
    ...(command === undefined ? {} : { command }),
    title: `nobody has acknowledged: ${title}`,
    text: `it lasts since ${since}, seen ${count} times`,
    next: `lifeboat acknowledge ${key}`,
    incident: referenceTo(incident),
  };
}
