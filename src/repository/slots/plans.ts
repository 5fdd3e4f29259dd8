/**
 * The schedules in force, as the repository knows them: a note each time that one changes, so that whoever has only the
 * repository and the key can tell which slot never ran. The newest that counts is in force.
 */
import { z } from 'zod';
import type { Repository } from '../repository.ts';
import { allSlotNames, putDocument, readDocuments, slotNames } from './documents.ts';
import { planKey, scheduleFolder, type ScheduleKey, type SlotName } from './names.ts';
import { namesOf } from './records.ts';

const planSchema = z.object({
  host: z.string().max(255),
  user: z.string().max(255),
  at: z.iso.datetime(),
  /** From when on its moments count: it was made, switched on, or has got another time. */
  since: z.iso.datetime(),
  name: z.string().max(1000),
  type: z.string().max(100),
  cronExpression: z.string().max(1000),
  timezone: z.string().max(100),
  /** False: switched off, or taken away. */
  enabled: z.boolean(),
  graceMinutes: z.number().positive(),
  missed: z.enum(['once', 'skip', 'all']),
  attempts: z.int().positive(),
});

/** A schedule as published; times RFC 3339 in UTC. */
export type Plan = z.infer<typeof planSchema>;

/** What is to be in force. */
export type PlanDraft = Omit<Plan, 'host' | 'user' | 'at' | 'since'>;

export interface PublishedPlan extends Plan, ScheduleKey {}

/** The one in force; undefined: none was published. */
export async function readPlan(repository: Repository, of: ScheduleKey): Promise<Plan | undefined> {
  // In the order of names they come after all records.
  return newest(repository, of, await slotNames(repository, of, `${scheduleFolder(of)}plan`));
}

/** All that are in force, switched off ones too, and the names of their records. */
export async function readPlans(
  repository: Repository,
): Promise<{ readonly plan: PublishedPlan; readonly records: readonly SlotName[] }[]> {
  const found: { plan: PublishedPlan; records: SlotName[] }[] = [];
  for (const names of (await allSlotNames(repository)).values()) {
    const [{ target, id } = { target: undefined, id: '' }] = names;
    const plan = await newest(repository, { target, id }, names);
    const records = names.filter(({ kind }) => kind === 'record');
    if (plan !== undefined) found.push({ plan: { ...plan, target, id }, records });
  }
  return found;
}

/**
 * Publishes a schedule, unless it is in force as it is. Moments after `sinceMs` count, where that is new: milliseconds
 * since 1970. Returns what is in force. Throws what the storage throws, `key`
 * without a key to write with.
 */
export async function publishPlan(
  repository: Repository,
  of: ScheduleKey,
  draft: PlanDraft,
  nowMs: number,
  sinceMs = nowMs,
): Promise<{ readonly plan: Plan; readonly isNew: boolean }> {
  const before = await readPlan(repository, of);
  if (before !== undefined && isSame(before, draft)) return { plan: before, isNew: false };
  // The greatest time counts, also where that was written by a clock that is ahead of ours.
  const atMs = Math.max(nowMs, before === undefined ? 0 : Date.parse(before.at) + 1000);
  const at = new Date(atMs).toISOString();
  const since = before !== undefined && hasSameMoments(before, draft) ? before.since : new Date(sinceMs).toISOString();
  await putDocument(repository, planKey(of, atMs), { ...namesOf(of), at, since, ...draft });
  return { plan: { host: '', user: '', at, since, ...draft }, isNew: true };
}

/** One after the other: the first that counts is the newest. */
async function newest(repository: Repository, of: ScheduleKey, names: readonly SlotName[]): Promise<Plan | undefined> {
  for (const name of names.filter(({ kind }) => kind === 'plan').toReversed()) {
    const [plan] = await readDocuments(repository, of, [name], planSchema);
    if (plan !== undefined) return plan.members;
  }
  return undefined;
}

function isSame(before: Plan, draft: PlanDraft): boolean {
  return (Object.keys(draft) as (keyof PlanDraft)[]).every((key) => before[key] === draft[key]);
}

function hasSameMoments(before: Plan, { cronExpression, timezone, enabled }: PlanDraft): boolean {
  return before.enabled === enabled && before.cronExpression === cronExpression && before.timezone === timezone;
}
