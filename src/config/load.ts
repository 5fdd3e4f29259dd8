/** Finds, reads, overlays and parses the configuration: flags over environment over file over defaults. */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LifeboatError, messageOf } from '../lib/errors.ts';
import { tellingFileErrors } from '../lib/file-errors.ts';
import type { Config } from './config.ts';
import { findConfigFile, type Environment } from './discover.ts';
import { readEnvironment } from './environment.ts';
import { configurationError, type Fault } from './faults.ts';
import { faultsOf } from './issues.ts';
import { isRaw, originOf, overlay, recordOrigins, type Layer, type Raw } from './origins.ts';
import { parseSettings } from './parse.ts';
import type { SecretNeeds } from './parser.ts';
import { settingsSchema, type Settings } from './schema.ts';
import { uncompiled } from './uncompiled.ts';

export interface LoadOptions {
  /** Absolute. */
  readonly cwd: string;
  readonly env: Environment;
  /** --config: no search. */
  readonly configPath?: string | undefined;
  /** The file at `configPath` need not be there yet (init writes it): no other one is read instead. */
  readonly configMayBeMissing?: boolean;
  /** A document instead of a configuration file: nothing is searched for or read. Its paths start from `cwd`. */
  readonly document?: Readonly<Raw> | undefined;
  /** --env-file; wins over the file's `envFile`. */
  readonly envFile?: string | undefined;
  /** Flags, over everything else; the origin is the flag's name. */
  readonly overrides?: readonly Layer[];
  /** Whose secrets to fetch. Default: all. */
  readonly need?: SecretNeeds;
  /**
   * Texts of the configuration and environment files by their absolute paths. What is here is not read again, what is
   * read is put here: so another process goes by the same texts, whatever the files hold by then.
   */
  readonly texts?: Map<string, string> | undefined;
  readonly signal?: AbortSignal;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Dotted path → environment name, flag, or the file's path. What is not there is a default. */
  readonly origins: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
  /** Absolute path of the configuration file, if there is one. */
  readonly file: string | undefined;
  /** Absolute path of the file of NAME=value lines, if one was read. */
  readonly envFile?: string | undefined;
  /** --as-of: commands that only read the repository read it as it was then, milliseconds since 1970. */
  readonly asOfMs?: number | undefined;
  /** The document before secrets were fetched: for `config show`. */
  readonly settings: Settings;
}

const everything: SecretNeeds = { repository: true, encryption: true, targets: 'all' };

/** Loads it. All faults are told in one LifeboatError `usage` (2), each with its origin. */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const file = await configFile(options);
  const faults: Fault[] = [];
  const given = new Set(options.texts?.keys());
  const document: Raw =
    file === undefined ? structuredClone(options.document ?? {}) : await readDocument(file, faults, options.texts);
  const origins = new Map<string, string>();
  if (file !== undefined) recordOrigins(origins, document, file);
  const { env, envFile, originNames } = await readEnvFile(options, document, file);
  const fromFile = isRaw(document['targets']);
  const environment = readEnvironment(env, options.cwd, document['targets']);
  faults.push(...environment.faults.map((fault) => ({ ...fault, where: originNames(fault.where) })));
  const isRead = file !== undefined && !given.has(file);
  const warnings = [...environment.warnings, ...(isRead ? await warnOfReaders(file, document) : [])];
  normalizeRepository(document);
  for (const layer of environment.layers) overlay(document, origins, { ...layer, origin: originNames(layer.origin) });
  for (const layer of options.overrides ?? []) overlay(document, origins, layer);
  dropLooseRepository(document, origins);
  const parsed = settingsSchema.safeParse(document, { reportInput: true, ...uncompiled });
  if (!parsed.success) {
    throw configurationError([...faults, ...faultsOf(parsed.error, (path) => whereOf(path, origins, file))]);
  }
  const surroundings = {
    env,
    cwd: options.cwd,
    file,
    origins,
    defaultTarget: environment.target,
    targetFromEnvironment: !fromFile,
    need: options.need ?? everything,
    signal: options.signal,
    faults,
    warnings,
  };
  const config = await parseSettings(parsed.data, surroundings);
  if (config.defaultTarget !== undefined && fromFile && !config.targets.has(config.defaultTarget)) {
    faults.push({
      where: 'BACKUP_TARGET',
      message: `there is no target ${config.defaultTarget}; there are: ${[...config.targets.keys()].join(', ')}`,
    });
  }
  if (faults.length > 0) throw configurationError(faults);
  return { config, origins, warnings, file, envFile, settings: parsed.data };
}

/** What to call the place of a value: its path in the file, or what it came from otherwise. */
function whereOf(path: string, origins: ReadonlyMap<string, string>, file: string | undefined): string {
  const origin = originOf(origins, path);
  if (origin !== undefined && origin !== file) return origin;
  return `${file ?? 'configuration'}: ${path === '' ? 'the whole document' : path}`;
}

async function configFile({
  cwd,
  env,
  configPath,
  configMayBeMissing,
  document,
}: LoadOptions): Promise<string | undefined> {
  if (document !== undefined) return undefined;
  if (configPath === undefined) return findConfigFile(cwd, env);
  const path = resolve(cwd, configPath);
  return configMayBeMissing === true && !existsSync(path) ? undefined : path;
}

async function readDocument(file: string, faults: Fault[], texts: LoadOptions['texts']): Promise<Raw> {
  const text =
    texts?.get(file) ??
    (await tellingFileErrors(`cannot read the configuration file ${file}`, {}, async () => readFile(file, 'utf8')));
  texts?.set(file, text);
  try {
    const { parseJsonc } = await import('./jsonc.ts');
    const document = parseJsonc(text);
    if (isRaw(document)) return document;
    faults.push({ where: file, message: 'must be an object: { … }' });
  } catch (error) {
    faults.push({ where: file, message: messageOf(error) });
  }
  return {};
}

/** The environment with what stands in the env file under it, and what to call a name in messages. */
async function readEnvFile(
  options: LoadOptions,
  document: Raw,
  file: string | undefined,
): Promise<{ env: Environment; envFile: string | undefined; originNames: (name: string) => string }> {
  const configured =
    typeof document['envFile'] === 'string' && file !== undefined
      ? resolve(dirname(file), document['envFile'])
      : undefined;
  const path = options.envFile === undefined ? configured : resolve(options.cwd, options.envFile);
  const env = withoutLineEnds(options.env);
  if (path === undefined) return { env, envFile: undefined, originNames: (name) => name };
  const inFile = withoutLineEnds(await variablesOf(path, options.texts));
  const originNames = (name: string): string =>
    options.env[name] === undefined && inFile[name] !== undefined ? `${name} in ${path}` : name;
  return { env: { ...inFile, ...env }, envFile: path, originNames };
}

const maxEnvFileBytes = 1024 * 1024;

async function variablesOf(path: string, texts: LoadOptions['texts']): Promise<Environment> {
  const act = `cannot read the environment file ${path}`;
  const known = texts?.get(path);
  // Latin-1 keeps each byte: whether they are UTF-8 is for the parser to say.
  const bytes =
    known === undefined ? await tellingFileErrors(act, {}, async () => readFile(path)) : Buffer.from(known, 'latin1');
  texts?.set(path, bytes.toString('latin1'));
  if (bytes.length > maxEnvFileBytes) throw new LifeboatError('usage', `${act}: it is larger than 1 MiB`);
  const { EnvFileError, parseEnvFile } = await import('./env-file.ts');
  try {
    return parseEnvFile(bytes);
  } catch (error) {
    if (!(error instanceof EnvFileError)) throw error;
    const hint =
      "the rules stand in lifeboat.config(5), ENVIRONMENT FILE; single quotes keep a value as it is: NAME='…'";
    throw new LifeboatError('usage', `${act}: ${error.message}`, { hint });
  }
}

/** A value is the same one in a variable and in a file of its own (NAME_FILE): one line end at its end is dropped. */
function withoutLineEnds(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value?.replace(/\r?\n$/, '')]));
}

/** A plain URL becomes an object, so that the environment can add keys to it. */
function normalizeRepository(document: Raw): void {
  if (typeof document['repository'] === 'string') document['repository'] = { url: document['repository'] };
}

/** Credentials of a bucket without a bucket (left over in many environments) are no repository. */
function dropLooseRepository(document: Raw, origins: ReadonlyMap<string, string>): void {
  const { repository } = document;
  if (isRaw(repository) && repository['url'] === undefined && !origins.has('repository')) delete document['repository'];
}

/** A file with secrets in it that others can read. */
async function warnOfReaders(file: string | undefined, document: Raw): Promise<string[]> {
  if (file === undefined || !holdsSecret(document)) return [];
  return ((await stat(file)).mode & 0o077) === 0
    ? []
    : [`${file} holds secrets and others can read it; run: chmod 600 ${file}`];
}

const secretKeys = new Set(
  'key passphrase identity secretKey sessionToken token secret webhook slackWebhook smtpUrl pingUrl'.split(' '),
);
/** Whoever knows the URL of one of these can use it. */
const secretUrls = new Set(['webhook', 'slack', 'discord', 'teams', 'ping']);

function holdsSecret(value: unknown): boolean {
  if (!isRaw(value)) return false;
  const isUrlSecret = typeof value['type'] === 'string' && secretUrls.has(value['type']);
  return Object.entries(value).some(([key, inner]) =>
    typeof inner === 'string'
      ? secretKeys.has(key) || (key === 'url' && (isUrlSecret || /:[^/]+@/.test(inner)))
      : holdsSecret(inner),
  );
}
