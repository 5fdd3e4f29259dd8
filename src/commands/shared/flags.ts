/** Flags that several commands take, and what makes their text a value; a wrong one gets the nearest right one. */
import { InvalidArgumentError, Option } from 'commander';
import { parseCompression, type CompressionSettings } from '../../config/compression.ts';
import type { Layer } from '../../config/origins.ts';
import { messageOf } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/suggest.ts';
import { formatDuration, momentOf, parseDuration } from '../../lib/time.ts';
import { parseSize } from '../../lib/units.ts';
import type { ComponentName } from '../../operations/operation.ts';

export const componentNames = ['database', 'redis', 'files', 'base'] as const satisfies readonly ComponentName[];

/** A parser for one of several words. */
export function oneOf<T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) {
      throw new InvalidArgumentError(`It must be one of ${words.join(', ')}${didYouMean(text, words)}.`);
    }
    return found;
  };
}

/** The same for a flag or argument that may stand several times. */
export function severalOf<T extends string>(
  words: readonly T[],
): (text: string, before: readonly T[] | undefined) => T[] {
  const parse = oneOf(words);
  return (text, before) => [...(before ?? []), parse(text)];
}

/** Several words, with commas between them or the flag repeated. */
export function listOf<T extends string>(words: readonly T[]): (text: string, before: readonly T[] | undefined) => T[] {
  const parse = oneOf(words);
  return (text, before) => [...(before ?? []), ...text.split(',').map((word) => parse(word.trim()))];
}

/** A flag that may stand several times. */
export function several(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** A whole number from 1 on. */
export function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number, 1 or more.');
  return Number(text);
}

/** `90s`, `5m`, `12h` in milliseconds. */
export function duration(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}: write 90s, 5m or 12h.`);
  }
}

/** The same for a time that something waits or may take: from `leastMs` to a year. */
export function timeSpan(leastMs: number): (text: string) => number {
  return (text) => {
    const ms = duration(text);
    if (ms >= leastMs && ms <= yearMs) return ms;
    throw new InvalidArgumentError(`It must be between ${formatDuration(leastMs)} and 365d.`);
  };
}

const yearMs = 365 * 86_400_000;

/** `90s`: a default as `duration` reads it. */
export function secondsText(ms: number): string {
  return `${ms / 1000}s`;
}

/** `2GB`: a default as `size` reads it. */
export function gigabytesText(bytes: number): string {
  return `${bytes / 1e9}GB`;
}

/** `2026-01-02`, `2026-01-02T03:04`, with seconds and zone if need be (default UTC), in milliseconds since 1970. */
export function moment(text: string): number {
  const [, day = '', time = '00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text.trim()) ?? [];
  const ms = momentOf(day, time, zone);
  if (ms === undefined) throw new InvalidArgumentError('It is not a time: write 2026-01-02T03:04:05Z.');
  return ms;
}

/** For commands that only read the repository. */
export function asOfFlag(): Option {
  return new Option(
    '--as-of <time>',
    'read the repository as it was then, what was deleted or overwritten since included (buckets that keep versions)',
  ).argParser(moment);
}

/** `500MB`, `2GB`, `1.5GiB` in bytes; a bare number counts 10^6 bytes, as MAX_BACKUP_SIZE_MB does. */
export function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new InvalidArgumentError('It is not a size: write 500MB or 2GB, at least 1MB.');
  return bytes;
}

/** `zstd:3` as the configuration has it. */
export function compression(text: string): CompressionSettings {
  const parsed = parseCompression(text);
  if (parsed instanceof Error) throw new InvalidArgumentError(`It ${parsed.message}.`);
  return parsed;
}

export const jobsFlag = (): Option => new Option('--jobs <number>', 'streams side by side').argParser(count);
export const dryRunFlag = (): Option => new Option('--dry-run', 'only say what would be done');
export const confirmFlag = (): Option =>
  new Option('--confirm <name>', 'the name that would be asked for on a terminal');

/** Flags that stand for configuration values. */
export function overridesOf(flags: {
  readonly jobs?: number;
  readonly compression?: CompressionSettings;
  readonly maxSize?: number;
}): Layer[] {
  const layers: Layer[] = [];
  if (flags.jobs !== undefined) layers.push({ path: 'jobs', value: flags.jobs, origin: '--jobs' });
  if (flags.compression !== undefined) {
    layers.push({ path: 'compression', value: flags.compression, origin: '--compression' });
  }
  if (flags.maxSize !== undefined) {
    layers.push({ path: 'maxBackupSizeMb', value: Math.round(flags.maxSize / 1_000_000), origin: '--max-size' });
  }
  return layers;
}

/** Parses `5%` or `5`. */
export function percent(text: string): number {
  const value = Number(/^(\d{1,3}(?:\.\d{1,3})?)%?$/.exec(text)?.[1]);
  if (!(value > 0 && value <= 100)) {
    throw new InvalidArgumentError('It must be a percentage above 0 and up to 100, such as 5%.');
  }
  return value;
}
