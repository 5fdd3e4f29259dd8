/**
 * Incidents: what is wrong, from when it is seen first until it is over. It is told once; seen again it is counted, and
 * its end is told to those who heard of it. Pure, but for reading and writing the file.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { severities } from '../../config/schema-notifications.ts';
import { readStateFile, undefinedWhereDamaged, writeStateFile } from '../../repository/state-file.ts';
import { noticeOf, type Notice, type NoticeDraft } from './notice.ts';

const incidentSchema = z.object({
  key: z.string(),
  id: z.uuid(),
  since: z.iso.datetime(),
  /** When it was seen last, and told last. */
  seenAt: z.iso.datetime(),
  toldAt: z.iso.datetime(),
  count: z.int(),
  event: z.string(),
  severity: z.enum(severities),
  target: z.string().optional(),
  command: z.string().optional(),
  title: z.string(),
  /** The parts that a run was for; empty: all. */
  parts: z.array(z.string()),
  acknowledgedAt: z.iso.datetime().optional(),
  escalatedAt: z.iso.datetime().optional(),
});

export type Incident = Readonly<z.infer<typeof incidentSchema>>;

/** What was seen. */
export type Sighting =
  /** Something is wrong. */
  | { readonly kind: 'wrong'; readonly key: string; readonly parts: readonly string[]; readonly draft: NoticeDraft }
  /** It is known now that these are over, if they were open. */
  | {
      readonly kind: 'over';
      readonly isOver: (incident: Incident) => boolean;
      readonly draftOf: (incident: Incident) => Pick<NoticeDraft, 'event' | 'title' | 'text' | 'backup'>;
    }
  /** Something that is no incident. */
  | { readonly kind: 'told'; readonly draft: NoticeDraft };

export interface Judged {
  readonly open: readonly Incident[];
  /** What is to be told, in order. */
  readonly notices: readonly Notice[];
}

/** `reminderMs`: what lasts is told again after so long. */
export function judgeSightings(
  before: readonly Incident[],
  sightings: readonly Sighting[],
  nowMs: number,
  reminderMs?: number,
): Judged {
  const open = new Map(before.map((each) => [each.key, each]));
  const notices: Notice[] = [];
  for (const sighting of sightings) {
    switch (sighting.kind) {
      case 'told':
        notices.push(noticeOf(sighting.draft, nowMs));
        break;
      case 'wrong': {
        const known = open.get(sighting.key);
        const incident = seen(known, sighting, nowMs);
        const mustTell = known === undefined || isWorse(incident, known) || isDue(known, nowMs, reminderMs);
        open.set(sighting.key, mustTell ? { ...incident, toldAt: incident.seenAt } : incident);
        if (mustTell) notices.push(noticeOf({ ...sighting.draft, incident: referenceTo(incident) }, nowMs));
        break;
      }
      case 'over':
        for (const incident of [...open.values()].filter(sighting.isOver)) {
          open.delete(incident.key);
          notices.push(noticeOf(endOf(incident, sighting.draftOf(incident)), nowMs));
        }
        break;
    }
  }
  return { open: [...open.values()], notices };
}

function seen(
  known: Incident | undefined,
  { key, parts, draft }: Extract<Sighting, { kind: 'wrong' }>,
  nowMs: number,
): Incident {
  const now = new Date(nowMs).toISOString();
  const { event, severity, target, command } = draft;
  const { title } = noticeOf(draft, nowMs);
  return {
    ...(known ?? { key, id: randomUUID(), since: now, toldAt: now }),
    seenAt: now,
    count: (known?.count ?? 0) + 1,
    event,
    severity,
    ...(target === undefined ? {} : { target }),
    ...(command === undefined ? {} : { command }),
    title,
    parts: [...parts],
  };
}

function isWorse(incident: Incident, known: Incident): boolean {
  return severities.indexOf(incident.severity) > severities.indexOf(known.severity);
}

function isDue({ toldAt }: Incident, nowMs: number, reminderMs: number | undefined): boolean {
  return reminderMs !== undefined && nowMs - Date.parse(toldAt) >= reminderMs;
}

/** It has the severity of what it ends: who was woken hears it, too. */
function endOf(incident: Incident, draft: Pick<NoticeDraft, 'event' | 'title' | 'text' | 'backup'>): NoticeDraft {
  const { severity, target, command } = incident;
  return { ...draft, outcome: 'recovery', severity, target, command, incident: referenceTo(incident) };
}

export function referenceTo({ key, id, since, count }: Incident): NonNullable<Notice['incident']> {
  return { key, id, since, count };
}

/** What is open now; a file that makes no sense counts as none: what is wrong is told once more. */
export async function readIncidents(folder: string): Promise<Incident[]> {
  const found = await readStateFile(fileIn(folder), z.array(incidentSchema), {}).catch(undefinedWhereDamaged);
  return found ?? [];
}

/** Rejects where the state folder cannot be written. */
export async function writeIncidents(folder: string, open: readonly Incident[]): Promise<void> {
  await writeStateFile(fileIn(folder), open);
}

function fileIn(folder: string): string {
  return join(folder, 'incidents.json');
}
