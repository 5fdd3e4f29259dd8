/**
 * From a document that fits the schema to the trusted Config: URLs taken apart, paths made absolute,
 * the secrets that are asked for fetched, defaults filled in.
 */
import { availableParallelism } from 'node:os';
import { parseDuration } from '../lib/time.ts';
import type {
  Schedule,
  Config,
  DrillConfig,
  EncryptionConfig,
  MonitoringConfig,
  RetentionByComponent,
  RetentionPolicy,
  TargetConfig,
} from './config.ts';
import { defaultLevels } from './compression.ts';
import { defaultStateDir } from './discover.ts';
import { parseHooks, parseQuiesce } from './parse-hooks.ts';
import { parseNotifications } from './parse-notifications.ts';
import { Parser, type ParseSurroundings } from './parser.ts';
import { fillCredentials, fillFromPgVariables } from './postgres-defaults.ts';
import { completePostgresUrl } from './postgres-url-parser.ts';
import { filled } from './postgres-url.ts';
import { parseRepository } from './repository-url.ts';
import { parseScheduleOptions } from './schedule-options.ts';
import type { RetentionSettings, SecretReference, Settings } from './schema.ts';
import { parseMetrics } from './parse-metrics.ts';
import { PendingSecret } from './secrets.ts';

/** Builds the Config. What is wrong is pushed to `faults`; the result is only good if none was. */
export async function parseSettings(settings: Settings, surroundings: ParseSurroundings): Promise<Config> {
  const parser = new Parser(surroundings);
  const [repository, encryption, drill, targets] = await Promise.all([
    parseRepository(settings.repository, parser, surroundings.need.repository === true),
    parseEncryption(settings, parser),
    parseDrill(settings, parser),
    parseTargets(settings, parser),
  ]);
  const method = settings.compression.method;
  return {
    repository,
    encryption,
    compression: { method, level: settings.compression.level ?? defaultLevels[method] },
    jobs: settings.jobs ?? Math.min(4, availableParallelism()),
    maxConcurrentBackups: settings.maxConcurrentBackups,
    hangTimeoutMs: settings.hangTimeoutSeconds * 1000,
    maxBackupBytes: settings.maxBackupSizeMb === undefined ? undefined : settings.maxBackupSizeMb * 1_000_000,
    stateDir:
      settings.stateDir === undefined
        ? defaultStateDir(surroundings.env)
        : parser.absolute('stateDir', settings.stateDir),
    logLevel: settings.logLevel,
    logFormat: settings.logFormat,
    targets,
    defaultTarget: surroundings.defaultTarget,
    retention: parseRetention(settings.retention, { database: days(30), redis: days(7), files: days(30) }),
    trashMs: Math.round(settings.trashHours * 3_600_000),
    schedules: settings.schedules.map(parseSchedule),
    hooks: parseHooks(settings.hooks, 'hooks', parser),
    preDeploy: settings.preDeploy,
    notifications: parseNotifications(settings.notifications, parser),
    metrics: parseMetrics(settings, parser),
    drill,
    tools: parseTools(settings, parser),
    monitoring: parseMonitoring(settings),
    emergency: parseEmergency(settings),
  };
}

function parseSchedule({
  graceMinutes,
  timeoutSeconds,
  name,
  options,
  timezone,
  ...same
}: Settings['schedules'][number]): Schedule {
  return {
    ...same,
    name: name ?? same.id,
    timezone,
    options: parseScheduleOptions(same.type, options),
    graceMs: graceMinutes * 60_000,
    timeoutMs: timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000,
  };
}

function parseEmergency({
  emergency: { serviceTimeoutSeconds, stopServices, startServices, ...others },
}: Settings): Config['emergency'] {
  return { ...others, stopServices, startServices, serviceTimeoutMs: serviceTimeoutSeconds * 1000 };
}

async function parseEncryption(settings: Settings, parser: Parser): Promise<EncryptionConfig> {
  const { enabled, recipients, trustedKeys, ...secrets } = settings.encryption;
  const needed = parser.surroundings.need.encryption === true;
  if (secrets.key !== undefined && secrets.passphrase !== undefined) {
    parser.fault('encryption.passphrase', 'stands beside a key; give one of them');
  }
  if (!enabled && (secrets.key ?? secrets.passphrase ?? secrets.identity) !== undefined) {
    parser.surroundings.warnings.push('encryption is switched off although a key is configured');
  }
  const [key, passphrase, identity] = await Promise.all([
    parser.secret('encryption.key', secrets.key, needed),
    parser.secret('encryption.passphrase', secrets.passphrase, needed),
    parser.secret('encryption.identity', identityReference(secrets.identity), needed),
  ]);
  return { enabled, key, passphrase, identity, recipients, trustedKeys };
}

/** A text that holds no identity is the path of a file that does. */
function identityReference(reference: SecretReference | undefined): SecretReference | undefined {
  return typeof reference === 'string' && !reference.includes('AGE-SECRET-KEY-')
    ? { file: reference.trim() }
    : reference;
}

function parseTools({ tools: { postgresBin, redisBin } }: Settings, parser: Parser): Config['tools'] {
  return {
    postgres: postgresBin === undefined ? undefined : parser.absolute('tools.postgresBin', postgresBin),
    redis: redisBin === undefined ? undefined : parser.absolute('tools.redisBin', redisBin),
  };
}

async function parseDrill({ drill }: Settings, parser: Parser): Promise<DrillConfig> {
  const at = 'drill.databaseUrl';
  const { isolation, user } = drill;
  const url = await parser.secret(at, drill.databaseUrl, parser.surroundings.need.drill === true);
  const scratchPostgresUrl = url === undefined ? undefined : await parser.postgresUrl(at, url, completePostgresUrl);
  return { scratchPostgresUrl, isolation, user };
}

function parseMonitoring({
  monitoring: { backupDelayHours, provenDelayDays, failureRatePercent, storagePercent, storageBudgetGb },
}: Settings): MonitoringConfig {
  return {
    backupDelayMs: backupDelayHours * 3_600_000,
    provenDelayMs: provenDelayDays * 86_400_000,
    failureRate: failureRatePercent / 100,
    storageShare: storagePercent / 100,
    storageBudgetBytes: storageBudgetGb === undefined ? undefined : storageBudgetGb * 1e9,
  };
}

async function parseTargets(settings: Settings, parser: Parser): Promise<Map<string, TargetConfig>> {
  const entries = Object.entries(settings.targets ?? {});
  const { targets: need } = parser.surroundings.need;
  const wanted = typeof need === 'object' ? (need.name ?? parser.surroundings.defaultTarget) : undefined;
  const isNeeded = (name: string): boolean =>
    need === 'all' || (need !== undefined && (name === wanted || (wanted === undefined && entries.length === 1)));
  const parsed = await Promise.all(
    entries.map(async ([name, target]) => parseTarget(name, target, isNeeded(name), settings, parser)),
  );
  return new Map(parsed.map((target) => [target.name, target]));
}

type TargetSettings = NonNullable<Settings['targets']>[string];

async function parseTarget(
  name: string,
  target: TargetSettings,
  needed: boolean,
  settings: Settings,
  parser: Parser,
): Promise<TargetConfig> {
  const at = `targets.${name}`;
  const paths = (key: string, list: readonly string[]): string[] =>
    list.map((each) => parser.absolute(`${at}.files.${key}`, each));
  const file = (key: string, value: string | undefined): string | undefined =>
    value === undefined ? undefined : parser.absolute(`${at}.redis.${key}`, value);
  const { postgres, redis, files, retention } = target;
  const redisUrl = await parser.secret(`${at}.redis.url`, redis?.url, needed);
  if (
    redisUrl !== undefined &&
    !(redisUrl instanceof PendingSecret) &&
    !/^(rediss?|unix):\/\//.test(redisUrl.reveal())
  ) {
    parser.fault(`${at}.redis.url`, 'must begin with redis://, rediss:// or unix://');
  }
  return {
    name,
    postgres: postgres === undefined ? undefined : await parsePostgres(at, postgres, needed, parser),
    redis:
      redis === undefined || redisUrl === undefined
        ? undefined
        : {
            url: redisUrl,
            caFile: file('caFile', redis.caFile),
            certFile: file('certFile', redis.certFile),
            keyFile: file('keyFile', redis.keyFile),
            method: redis.method,
          },
    files:
      files === undefined
        ? undefined
        : { paths: paths('paths', files.paths), include: files.include, exclude: files.exclude },
    hooks: parseHooks(target.hooks, `${at}.hooks`, parser),
    quiesce: parseQuiesce(target.quiesce, `${at}.quiesce`, parser),
    retention:
      retention === undefined
        ? undefined
        : parseRetention(
            retention,
            parseRetention(settings.retention, { database: days(30), redis: days(7), files: days(30) }),
          ),
  };
}

async function parsePostgres(
  at: string,
  postgres: NonNullable<TargetSettings['postgres']>,
  needed: boolean,
  parser: Parser,
): Promise<TargetConfig['postgres']> {
  const { env, targetFromEnvironment, warnings } = parser.surroundings;
  const path = `${at}.postgres.url`;
  const given = (await parser.secret(path, postgres.url, needed)) ?? new PendingSecret(at);
  let database: string | undefined;
  const url = await parser.postgresUrl(path, given, async (parts) => {
    const merged = targetFromEnvironment ? fillFromPgVariables(parts, env) : parts;
    database = filled(merged.database);
    return completePostgresUrl(await fillCredentials(merged, env, warnings));
  });
  return {
    url,
    databases: postgres.databases ?? [database ?? '*'],
    bigTableBytes: postgres.bigTableMiB * 1024 * 1024,
    lockWaitTimeoutMs: postgres.lockWaitTimeoutSeconds * 1000,
    trustedExtensions: postgres.trustedExtensions,
    yieldToDdl: postgres.yieldToDdl,
    base: postgres.base === undefined ? undefined : {},
  };
}

function days(count: number): RetentionPolicy {
  return { ...emptyPolicy, days: count, minBackups: 3 };
}

const emptyPolicy: RetentionPolicy = {
  days: undefined,
  keepLast: undefined,
  keepHourly: undefined,
  keepDaily: undefined,
  keepWeekly: undefined,
  keepMonthly: undefined,
  keepYearly: undefined,
  keepWithinMs: undefined,
  minBackups: undefined,
};

/** A component that is named replaces the other policy whole; rules are not mixed. */
function parseRetention(settings: RetentionSettings, otherwise: RetentionByComponent): RetentionByComponent {
  const policy = (component: 'database' | 'redis' | 'files'): RetentionPolicy => {
    const given = settings[component];
    if (given === undefined) return otherwise[component];
    const { keepWithin, ...rules } = given;
    return { ...emptyPolicy, ...rules, keepWithinMs: keepWithin === undefined ? undefined : parseDuration(keepWithin) };
  };
  return {
    database: policy('database'),
    redis: policy('redis'),
    files: policy('files'),
    walDays: settings.walDays ?? otherwise.walDays,
  };
}
