/**
 * Where slots lie: schedules/<target or _>/<schedule>/, in it one record for each attempt of a slot, named after its
 * due moment, and one note for each change of the schedule as it is published. Layout: man lifeboat-repository(7).
 */
import { createHash, randomBytes } from 'node:crypto';
import { LifeboatError } from '../../lib/errors.ts';
import { compactUtc, expandUtc } from '../../lib/time.ts';

/** A schedule as the repository knows it: of a target, or of all (undefined). */
export interface ScheduleKey {
  readonly target: string | undefined;
  readonly id: string;
}

/** What a name says. */
export interface SlotName extends ScheduleKey {
  readonly object: string;
  /** `record`: of an attempt; `plan`: the schedule as published. */
  readonly kind: 'record' | 'plan';
  /** Due, or published; milliseconds since 1970. */
  readonly atMs: number;
}

const part = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Throws LifeboatError `usage` for an id that cannot be part of an object's name. */
export function checkScheduleId(id: string): void {
  if (part.test(id)) return;
  throw new LifeboatError('usage', `the schedule "${id}" has no slots: its id is no part of an object's name`, {
    hint: 'give it an id of a-z, 0-9 and -, at most 63, not beginning with -',
  });
}

/** With a slash at its end. */
export function scheduleFolder({ target, id }: ScheduleKey): string {
  return `schedules/${target ?? '_'}/${id}/`;
}

/** Of one attempt; the same slot has several. */
export function recordKey(of: ScheduleKey, dueMs: number): string {
  return `${scheduleFolder(of)}${compactUtc(new Date(dueMs))}-${randomBytes(2).toString('hex')}.json`;
}

export function planKey(of: ScheduleKey, atMs: number): string {
  return `${scheduleFolder(of)}plan-${compactUtc(new Date(atMs))}-${randomBytes(2).toString('hex')}.json`;
}

/** Undefined for what is no name of these. */
export function parseSlotName(object: string): SlotName | undefined {
  const [, target, id, plan, time = ''] =
    /^schedules\/([^/]+)\/([^/]+)\/(plan-)?(\d{8}T\d{6}Z)-[0-9a-f]{4}\.json$/.exec(object) ?? [];
  if (target === undefined || id === undefined || !part.test(id) || !(target === '_' || part.test(target))) {
    return undefined;
  }
  const atMs = Date.parse(expandUtc(time));
  if (Number.isNaN(atMs)) return undefined;
  return {
    object,
    target: target === '_' ? undefined : target,
    id,
    kind: plan === undefined ? 'record' : 'plan',
    atMs,
  };
}

/** The scope of its lease. Names of scopes are shorter than the names of a target and a schedule may be together. */
export function slotScope(of: ScheduleKey): `slot-${string}` {
  return `slot-${createHash('sha256').update(scheduleFolder(of)).digest('hex').slice(0, 16)}`;
}

/** The tag by which a backup names its slot: its manifest is what makes the slot done. */
export function slotTag(id: string, dueMs: number): string {
  return `slot:${id}:${compactUtc(new Date(dueMs))}`;
}

/** The slot that a tag names; undefined: it is another tag. */
export function slotOfTag(tag: string): { readonly id: string; readonly dueMs: number } | undefined {
  const [, id, time = ''] = /^slot:([a-z0-9-]+):(\d{8}T\d{6}Z)$/.exec(tag) ?? [];
  const dueMs = Date.parse(expandUtc(time));
  return id === undefined || Number.isNaN(dueMs) ? undefined : { id, dueMs };
}
