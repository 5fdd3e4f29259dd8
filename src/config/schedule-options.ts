/**
 * The options of schedules: which flags the command has that a schedule of each type stands for, what each may be, and
 * what it means.
 */
import { parseDuration } from '../lib/time.ts';
import { didYouMean } from '../lib/suggest.ts';
import { parseSize } from '../lib/units.ts';
import { defaultLevels, parseCompression, type CompressionSettings } from './compression.ts';
import { compressionSchema } from './schema-repository.ts';
import { targetNamePattern } from './schema-targets.ts';

/** Those of a backup. */
const backupTypes = ['full', 'database', 'redis', 'files', 'base'] as const;

/** What a schedule can stand for. */
export const scheduleTypes = [
  ...backupTypes,
  'validate',
  'integrity',
  'drill',
  'drill-pitr',
  'cleanup',
  'report',
  'status',
] as const;

export type ScheduleType = (typeof scheduleTypes)[number];

/** How a report is written. */
export const reportFormats = ['text', 'json', 'csv', 'html', 'pdf'] as const;
export type ReportFormat = (typeof reportFormats)[number];

/** True of a schedule that takes a backup. */
export function isBackupType(type: ScheduleType): boolean {
  return backupTypes.some((each) => each === type);
}

/** What the options say, with units in the names; those of the command that is run. */
export interface ScheduleOptions {
  readonly target?: string;
  readonly label?: string;
  readonly tags?: readonly string[];
  readonly jobs?: number;
  readonly compression?: Required<CompressionSettings>;
  readonly ifRunning?: { readonly action: 'fail' | 'skip' } | { readonly action: 'wait'; readonly waitMs: number };
  readonly timeoutMs?: number;
  readonly maxBackupBytes?: number;
  readonly all?: true;
  readonly level?: 'quick' | 'deep';
  readonly samplePercent?: number;
  readonly seed?: string;
  readonly maxDelete?: number;
  readonly graceMs?: number;
  readonly maxAgeMs?: number;
  readonly days?: number;
  readonly format?: ReportFormat;
  /** Absolute paths. */
  readonly output?: string;
  readonly bundle?: string;
}

/** The flags of each type, by the names that options have. */
export const optionsOfType: Readonly<Record<ScheduleType, readonly OptionName[]>> = (() => {
  const backup = ['target', 'label', 'tag', 'jobs', 'compression', 'ifRunning', 'timeout', 'maxSize'] as const;
  return {
    full: backup,
    database: backup,
    redis: backup,
    files: backup,
    base: backup,
    validate: ['target', 'all', 'quick', 'deep', 'sample', 'jobs'],
    integrity: ['target'],
    drill: ['target', 'jobs'],
    'drill-pitr': ['target', 'jobs', 'seed'],
    cleanup: ['target', 'maxDelete', 'grace'],
    report: ['target', 'days', 'format', 'output', 'bundle'],
    status: ['target', 'maxAge', 'days'],
  };
})();

/** What is wrong with the options of a schedule, each by its key. */
export function faultsOfOptions(
  type: ScheduleType,
  options: Readonly<Record<string, unknown>>,
): { readonly key: string; readonly message: string }[] {
  const faults = Object.entries(options).flatMap(([key, value]) => {
    const name = optionsOfType[type].find((each) => each === camelCase(key));
    if (name === undefined) {
      const what = `is not an option of type ${type}${didYouMean(key, optionsOfType[type])}`;
      return { key, message: what };
    }
    return readers[name].read(value) === undefined ? { key, message: `must be ${readers[name].says}` } : [];
  });
  const isBoth = options['quick'] === true && options['deep'] === true;
  return isBoth ? [...faults, { key: 'deep', message: 'stands beside quick: choose one of the two levels' }] : faults;
}

/** What they mean. Faults are left out. */
export function parseScheduleOptions(type: ScheduleType, options: Readonly<Record<string, unknown>>): ScheduleOptions {
  const parts = Object.entries(options).map(([key, value]) => {
    const name = optionsOfType[type].find((each) => each === camelCase(key));
    return name === undefined ? undefined : readers[name].read(value);
  });
  return Object.assign({}, ...parts) as ScheduleOptions;
}

/**
 * The value that a text on a command line stands for: a number or a truth where the option wants one. A text that is no
 * value of it stays as it is, to be told.
 */
export function optionValue(type: ScheduleType, key: string, given: string): unknown {
  const name = optionsOfType[type].find((each) => each === camelCase(key));
  if (name === undefined) return given;
  const number = /^\d{1,15}$/.test(given) ? [Number(given)] : [];
  const meant = [given, ...number, true, false].find((value) => {
    const fits = typeof value !== 'boolean' || given === String(value);
    return fits && readers[name].read(value) !== undefined;
  });
  return meant ?? given;
}

/** `max-size` as on the command line, too. */
export function camelCase(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

interface OptionReader {
  /** To go on from "must be". */
  readonly says: string;
  /** Undefined: it is not. */
  readonly read: (value: unknown) => ScheduleOptions | undefined;
}

type OptionName = keyof typeof readers;

const dayMs = 86_400_000;

const readers = {
  target: text((target) => (targetNamePattern.test(target) ? { target } : undefined), 'the name of a target'),
  label: text((label) => (label.length <= 1000 ? { label } : undefined), 'a text'),
  tag: { says: 'a word, or a list of words', read: tagsOf },
  seed: text((seed) => ({ seed }), 'a text'),
  compression: text(compressionOf, 'a method and level such as "zstd:3"'),
  ifRunning: text(ifRunningOf, '"fail", "skip" or "wait=5m"'),
  timeout: duration(1000, (timeoutMs) => ({ timeoutMs })),
  grace: duration(3_600_000, (graceMs) => ({ graceMs })),
  maxAge: duration(1000, (maxAgeMs) => ({ maxAgeMs })),
  maxSize: text((size) => {
    const maxBackupBytes = parseSize(size);
    return maxBackupBytes === undefined ? undefined : { maxBackupBytes };
  }, 'a size such as "20GB", at least "1MB"'),
  jobs: whole(64, (jobs) => ({ jobs })),
  maxDelete: whole(1_000_000, (maxDelete) => ({ maxDelete })),
  days: whole(36_500, (days) => ({ days })),
  format: text((given) => {
    const format = reportFormats.find((each) => each === given);
    return format === undefined ? undefined : { format };
  }, reportFormats.join(', ')),
  output: path((output) => ({ output })),
  bundle: path((bundle) => ({ bundle })),
  all: flag({ all: true }),
  quick: flag({ level: 'quick' }),
  deep: flag({ level: 'deep' }),
  sample: { says: 'a percentage such as "5%"', read: sampleOf },
} satisfies Record<string, OptionReader>;

function text(read: (value: string) => ScheduleOptions | undefined, says: string): OptionReader {
  return { says, read: (value) => (typeof value === 'string' && value !== '' ? read(value) : undefined) };
}

/** A schedule has no folder that a path could begin in. */
function path(meaning: (path: string) => ScheduleOptions): OptionReader {
  return text((value) => (value.startsWith('/') ? meaning(value) : undefined), 'an absolute path');
}

function whole(most: number, read: (value: number) => ScheduleOptions): OptionReader {
  const fits = (value: unknown): value is number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= most;
  return { says: `a whole number from 1 to ${most}`, read: (value) => (fits(value) ? read(value) : undefined) };
}

/** `false` is what is without it. */
function flag(meaning: ScheduleOptions): OptionReader {
  return { says: 'true or false', read: (value) => (value === true ? meaning : value === false ? {} : undefined) };
}

function duration(leastMs: number, read: (ms: number) => ScheduleOptions): OptionReader {
  return text(
    (value) => {
      const ms = durationOf(value);
      return ms !== undefined && ms >= leastMs && ms <= 365 * dayMs ? read(ms) : undefined;
    },
    `a time such as "12h", at least ${leastMs / 1000} s and at most 365 days`,
  );
}

function durationOf(value: string): number | undefined {
  try {
    return parseDuration(value);
  } catch {
    return undefined;
  }
}

function tagsOf(value: unknown): ScheduleOptions | undefined {
  const tags: unknown[] = Array.isArray(value) ? value : [value];
  const fits = tags.length <= 99 && tags.every((each) => typeof each === 'string' && each !== '' && each.length <= 200);
  return fits ? { tags: tags as string[] } : undefined;
}

function compressionOf(value: string): ScheduleOptions | undefined {
  const parsed = parseCompression(value);
  if (parsed instanceof Error) return undefined;
  const checked = compressionSchema.safeParse(parsed);
  if (!checked.success) return undefined;
  const { method, level } = checked.data;
  return { compression: { method, level: level ?? defaultLevels[method] } };
}

function ifRunningOf(value: string): ScheduleOptions | undefined {
  if (value === 'fail' || value === 'skip') return { ifRunning: { action: value } };
  const waitMs = durationOf(/^wait=(.+)$/.exec(value)?.[1] ?? '');
  return waitMs === undefined || waitMs > 365 * dayMs ? undefined : { ifRunning: { action: 'wait', waitMs } };
}

function sampleOf(value: unknown): ScheduleOptions | undefined {
  const [, digits] = /^(\d{1,3}(?:\.\d{1,3})?)%?$/.exec(String(value)) ?? [];
  const samplePercent = Number(digits);
  return samplePercent > 0 && samplePercent <= 100 ? { samplePercent } : undefined;
}
