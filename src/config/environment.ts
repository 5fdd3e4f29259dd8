/**
 * The environment as layers over the configuration file: every accepted name, its aliases, NAME_FILE
 * and NAME_COMMAND. Nothing is taken silently: a name that looks like ours but is not, two different
 * values for one thing, an empty or unusable value are faults.
 */
import { didYouMean } from '../lib/suggest.ts';
import { parseCompression } from './compression.ts';
import type { Environment } from './discover.ts';
import type { Fault } from './faults.ts';
import { allSpellings, names, type Name } from './names.ts';
import { isRaw, type Layer, type Raw } from './origins.ts';
import { urlFromPgVariables } from './postgres-defaults.ts';
import type { SecretReference } from './schema.ts';
import { targetNamePattern } from './schema-targets.ts';

/** A value that was found, under the spelling it was found by. */
interface Reading {
  readonly value: unknown;
  readonly origin: string;
}

export interface EnvironmentLayers {
  readonly layers: readonly Layer[];
  readonly faults: readonly Fault[];
  readonly warnings: readonly string[];
  /** BACKUP_TARGET. */
  readonly target: string | undefined;
}

/**
 * Reads the environment. `fileTargets`: what the file's `targets` says; where it says anything, the environment makes
 * no target.
 */
export function readEnvironment(env: Environment, cwd: string, fileTargets: unknown): EnvironmentLayers {
  const faults = unknownNames(env);
  const warnings: string[] = [];
  const readings = new Map<string, Reading>();
  for (const each of names) {
    const reading = read(env, each, faults);
    if (reading !== undefined) readings.set(each.name, reading);
  }
  const repository = repositoryLayer(readings, cwd);
  // First, and whole: what the file says about another repository's bucket must not mix in.
  const layers: Layer[] = repository === undefined ? [] : [repository];
  for (const { name, path } of names) {
    const reading = readings.get(name);
    if (reading !== undefined && path !== '') layers.push({ path, ...reading });
  }
  layers.push(...retentionLayers(readings));
  const target = targetName(readings.get('BACKUP_TARGET'), faults);
  if (!isRaw(fileTargets)) layers.push(...targetLayers(readings, env, target ?? 'main', cwd, faults));
  else if (!coversFiles(fileTargets, readings.get('BACKUP_FILES'))) {
    warnings.push('BACKUP_FILES has no effect: the configuration file names its targets');
  }
  return { layers, faults, warnings, target };
}

function unknownNames(env: Environment): Fault[] {
  const known = new Set(allSpellings());
  return Object.keys(env)
    .filter((name) => /^(BACKUP|MAX_BACKUP)_/.test(name) && !known.has(name))
    .map((name) => ({ where: name, message: `is not a known name${didYouMean(name, known)}` }));
}

/** One thing under all its spellings. Equal values pass; different ones, or two kinds of source, are a fault. */
function read(env: Environment, name: Name, faults: Fault[]): Reading | undefined {
  const found: { spelling: string; text: string; source: '' | '_FILE' | '_COMMAND' }[] = [];
  for (const each of [name.name, ...name.aliases]) {
    for (const source of name.kind === 'secret' ? (['', '_FILE', '_COMMAND'] as const) : ([''] as const)) {
      const text = env[each + source];
      if (text !== undefined) found.push({ spelling: each + source, text, source });
    }
  }
  const [first] = found;
  if (first === undefined) return undefined;
  const other = found.find(({ text, source }) => text !== first.text || source !== first.source);
  if (other !== undefined) {
    faults.push({
      where: `${first.spelling} and ${other.spelling}`,
      message: 'say different things about one value; unset one of them',
    });
    return undefined;
  }
  if (first.text.trim() === '') {
    faults.push({ where: first.spelling, message: 'is set but empty; unset it or give it a value' });
    return undefined;
  }
  const value = understand(first.text, first.source === '' ? name.kind : first.source);
  if (value instanceof Error) faults.push({ where: first.spelling, message: value.message });
  return value instanceof Error ? undefined : { value, origin: first.spelling };
}

function understand(text: string, kind: Name['kind'] | '_FILE' | '_COMMAND'): unknown {
  const trimmed = text.trim();
  switch (kind) {
    case '_FILE':
      return { file: trimmed } satisfies SecretReference;
    case '_COMMAND':
      return commandOf(trimmed);
    case 'integer':
      return /^\d{1,15}$/.test(trimmed) ? Number(trimmed) : new Error(`"${trimmed}" is not a whole number`);
    case 'boolean':
      return booleanOf(trimmed);
    case 'list':
      return trimmed.split(/[\s,]+/).filter((each) => each !== '');
    case 'paths':
      return trimmed.split(':').filter((each) => each !== '');
    case 'json':
      return jsonOf(trimmed);
    case 'compression':
      return compressionOf(trimmed);
    case 'secret':
      return text;
    case 'text':
      return trimmed;
  }
}

function booleanOf(text: string): boolean | Error {
  if (/^(true|1|yes|on)$/i.test(text)) return true;
  return /^(false|0|no|off)$/i.test(text) ? false : new Error(`"${text}" is neither true nor false`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return new Error('is not valid JSON');
  }
}

function compressionOf(text: string): unknown {
  const parsed = parseCompression(text);
  return parsed instanceof Error ? new Error(`"${text}" ${parsed.message}`) : parsed;
}

/** A JSON list, or words with blanks between them; quotes hold a word together. No shell is started. */
function commandOf(text: string): SecretReference | Error {
  if (text.startsWith('[')) {
    const list = jsonOf(text);
    const fits =
      Array.isArray(list) && list.length > 0 && list.every((each): each is string => typeof each === 'string');
    return fits ? { command: list } : new Error('is not a JSON list of a program and its arguments');
  }
  const words = text.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  return {
    command: words.map((word) =>
      word.replaceAll(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
    ),
  };
}

function repositoryLayer(readings: ReadonlyMap<string, Reading>, cwd: string): Layer | undefined {
  const whole = readings.get('BACKUP_REPOSITORY');
  const bucket = readings.get('BACKUP_S3_BUCKET');
  const folder = readings.get('BACKUP_LOCAL_PATH');
  const prefix = textOf(readings.get('BACKUP_S3_PREFIX')).replaceAll(/^\/+|\/+$/g, '');
  const path = 'repository';
  if (whole !== undefined) return { path, value: { url: absolute(textOf(whole), cwd) }, origin: whole.origin };
  if (bucket !== undefined) {
    return {
      path,
      value: { url: `s3://${textOf(bucket)}${prefix === '' ? '' : `/${prefix}`}` },
      origin: bucket.origin,
    };
  }
  if (folder === undefined) return undefined;
  const local = textOf(folder);
  return {
    path,
    value: {
      url: local.startsWith('file:')
        ? local
        : absolute(local.startsWith('.') || local.startsWith('/') ? local : `./${local}`, cwd),
    },
    origin: folder.origin,
  };
}

/** A path that begins with a dot, made absolute; anything else as it is. */
function absolute(text: string, cwd: string): string {
  return /^\.\.?(\/|$)/.test(text) ? `${cwd}/${text}` : text;
}

function targetName(reading: Reading | undefined, faults: Fault[]): string | undefined {
  if (reading === undefined) return undefined;
  const name = textOf(reading);
  if (targetNamePattern.test(name)) return name;
  faults.push({
    where: reading.origin,
    message: 'must be a target name: a-z, 0-9 and -, at most 63, not beginning with -',
  });
  return undefined;
}

function textOf(reading: Reading | undefined): string {
  return typeof reading?.value === 'string' ? reading.value : '';
}

/** True if the file's targets protect what BACKUP_FILES names, too: so it is after `init`, and nothing is lost. */
function coversFiles(targets: Raw, files: Reading | undefined): boolean {
  const named = new Set(
    Object.values(targets).flatMap((target) =>
      isRaw(target) && isRaw(target['files']) && Array.isArray(target['files']['paths'])
        ? target['files']['paths']
        : [],
    ),
  );
  return Array.isArray(files?.value) ? files.value.every((path) => named.has(path)) : true;
}

function retentionLayers(readings: ReadonlyMap<string, Reading>): Layer[] {
  const days = readings.get('BACKUP_RETENTION_DAYS');
  return days === undefined
    ? []
    : ['database', 'redis', 'files'].map((component) => ({ path: `retention.${component}.days`, ...days }));
}

function targetLayers(
  readings: ReadonlyMap<string, Reading>,
  env: Environment,
  target: string,
  cwd: string,
  faults: Fault[],
): Layer[] {
  const layers: Layer[] = [];
  const database = readings.get('DATABASE_URL') ?? urlFromPgVariables(env, faults);
  if (database !== undefined) layers.push({ path: `targets.${target}.postgres.url`, ...database });
  const redis = readings.get('REDIS_URL');
  if (redis !== undefined) layers.push({ path: `targets.${target}.redis.url`, ...redis });
  const files = readings.get('BACKUP_FILES');
  if (files !== undefined) {
    const paths = (files.value as string[]).map((each) => (each.startsWith('/') ? each : `${cwd}/${each}`));
    layers.push({ path: `targets.${target}.files.paths`, value: paths, origin: files.origin });
  }
  return layers;
}
