/**
 * What a change of schedules makes of the text of a configuration file. Pure. All that was not to be changed means the
 * same afterwards, or it is refused.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { faultsOf } from '../../config/issues.ts';
import { addItem, removeItem, setMember } from '../../config/jsonc-edit.ts';
import { parseJsonc } from '../../config/jsonc.ts';
import { isRaw, type Raw } from '../../config/origins.ts';
import { camelCase, optionsOfType, optionValue, type ScheduleType } from '../../config/schedule-options.ts';
import { scheduleSchema } from '../../config/schema-schedules.ts';
import { uncompiled } from '../../config/uncompiled.ts';
import { addState, LifeboatError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/suggest.ts';
import { checkScheduleId } from '../../repository/slots/names.ts';
import type { ScheduleChange, ScheduleMembers } from './request.ts';

/** The new text, and what the schedule is in it. Throws LifeboatError `usage`, and `not_found` for one that is not. */
export function changeSchedules(text: string, change: ScheduleChange): string {
  const document = documentOf(text);
  const schedules = listOf(document);
  const index = schedules.findIndex(({ id }) => id === change.id);
  const edited = change.act === 'add' ? add(text, schedules, index, change) : alter(text, schedules, index, change);
  const expected = { ...document, schedules: edited.schedules };
  if (!isDeepStrictEqual(documentOf(edited.text), expected)) {
    throw refused(change, 'the file would mean something else than was asked for: does a key stand twice in it?');
  }
  return edited.text;
}

interface Edited {
  readonly text: string;
  readonly schedules: readonly Raw[];
}

function add(text: string, schedules: readonly Raw[], index: number, change: ScheduleChange): Edited {
  if (index !== -1) throw refused(change, 'there is one of that id', `lifeboat schedule update ${change.id}`);
  checkId(change);
  const { options: given = [], members = {} } = change;
  const options = withOptions({}, members.type ?? 'full', given);
  const schedule = { id: change.id, ...members, ...(given.length === 0 ? {} : { options }) };
  check(change, schedule);
  const isThere = documentOf(text)['schedules'] !== undefined;
  const edited = isThere ? addItem(text, ['schedules'], schedule) : setMember(text, [], 'schedules', [schedule]);
  return { text: edited, schedules: [...schedules, schedule] };
}

function checkId({ id }: ScheduleChange): void {
  try {
    checkScheduleId(id);
  } catch (error) {
    throw addState(error, unchanged);
  }
}

function alter(text: string, schedules: readonly Raw[], index: number, change: ScheduleChange): Edited {
  const before = schedules[index];
  if (before === undefined) throw absent(change.id, schedules);
  if (change.act === 'remove') {
    return { text: removeItem(text, ['schedules'], index), schedules: schedules.toSpliced(index, 1) };
  }
  const after = change.act === 'update' ? updated(before, change) : switched(before, change.act === 'enable');
  check(change, after);
  return { text: setMembers(text, index, before, after), schedules: schedules.with(index, after) };
}

/** Only what differs is touched, down to single options. */
function setMembers(text: string, index: number, before: Raw, after: Raw): string {
  let edited = text;
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, now] = [before[key], after[key]];
    if (isDeepStrictEqual(old, now)) continue;
    if (key !== 'options' || !isRaw(old) || !isRaw(now)) {
      edited = setMember(edited, ['schedules', index], key, now);
      continue;
    }
    for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
      if (isDeepStrictEqual(old[name], now[name])) continue;
      edited = setMember(edited, ['schedules', index, 'options'], name, now[name]);
    }
  }
  return edited;
}

/** One that is on because nothing else is said stays as it is. */
function switched(before: Raw, isOn: boolean): Raw {
  return isOn && before['enabled'] === undefined ? before : { ...before, enabled: isOn };
}

const removable = ['name', 'timezone', 'missed', 'graceMinutes', 'timeoutSeconds', 'attempts', 'options'];

function updated(before: Raw, change: ScheduleChange): Raw {
  const { members = {}, options: given = [], unset = [] } = change;
  const type = (members.type ?? before['type'] ?? 'full') as ScheduleType;
  const after: Raw = { ...before, ...members };
  const known = isRaw(before['options']) ? before['options'] : {};
  const options = withOptions(known, type, given);
  if (given.length > 0 || isRaw(before['options'])) after['options'] = options;
  for (const each of unset) {
    const name = camelCase(each);
    const option = Object.keys(options).find((key) => camelCase(key) === name);
    if (option !== undefined) delete options[option];
    else if (removable.includes(name)) delete after[name];
    else if (!isOption(name)) throw refused(change, `${each} is nothing to unset${nearest(each)}`);
  }
  return after;
}

function isOption(name: string): boolean {
  return Object.values(optionsOfType).some((names) => names.some((each) => each === name));
}

function nearest(name: string): string {
  return didYouMean(name, [...removable, ...new Set(Object.values(optionsOfType).flat())]);
}

/** `name=value`, or `name` alone for what is true; one that stands several times is a list. */
function withOptions(before: Raw, type: ScheduleType, given: readonly string[]): Raw {
  const options: Raw = { ...before };
  const named = Map.groupBy(given, (each) => camelCase(each.split('=', 1)[0] ?? ''));
  for (const [name, each] of named) {
    const key = Object.keys(before).find((known) => camelCase(known) === name) ?? name;
    const values = each.map((text) => {
      const at = text.indexOf('=');
      return optionValue(type, name, at === -1 ? 'true' : text.slice(at + 1));
    });
    options[key] = values.length === 1 ? values[0] : values;
  }
  return options;
}

/** Before the whole file is read again, so that it is told in terms of the schedule. */
function check(change: ScheduleChange, schedule: Raw): void {
  const read = scheduleSchema.safeParse(schedule, { reportInput: true, ...uncompiled });
  if (read.success) return;
  const faults = faultsOf(new z.ZodError(read.error.issues), (path) => path);
  throw refused(change, faults.map(({ where, message }) => `${where} ${message}`).join('; '));
}

function documentOf(text: string): Raw {
  const document = parseJsonc(text);
  if (isRaw(document)) return document;
  throw new LifeboatError('usage', 'cannot change the configuration: it is no object { … }');
}

function listOf({ schedules = [] }: Raw): Raw[] {
  if (Array.isArray(schedules) && schedules.every(isRaw)) return schedules;
  throw new LifeboatError('usage', 'cannot change the configuration: "schedules" is no list of objects');
}

function absent(id: string, schedules: readonly Raw[]): LifeboatError {
  const ids = schedules.map((each) => String(each['id']));
  return new LifeboatError('not_found', `there is no schedule ${id}${didYouMean(id, ids)}`, {
    state: unchanged,
    hint: ids.length === 0 ? 'none is configured: lifeboat schedule add' : `configured: ${ids.join(', ')}`,
  });
}

/** What is told after each error. */
export const unchanged = 'nothing was changed';

function refused({ act, id }: ScheduleChange, why: string, hint?: string): LifeboatError {
  return new LifeboatError('usage', `cannot ${act} the schedule ${id}: ${why}`, { state: unchanged, hint });
}

/** So that an update of nothing is told. */
export function isEmpty({ members = {}, options = [], unset = [] }: ScheduleChange): boolean {
  const given = Object.values(members satisfies ScheduleMembers).length;
  return given === 0 && options.length === 0 && unset.length === 0;
}
