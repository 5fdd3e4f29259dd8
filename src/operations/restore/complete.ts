/** What is meant where a request of a restore leaves something out: all of it, beside what is there. */
import { parsePostgresUrl } from '../../config/postgres-url-parser.ts';
import { PostgresUrl } from '../../config/postgres-url.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { given, pathOf } from '../complete.ts';
import type { Surroundings } from '../operation.ts';
import {
  filesDefaults,
  postgresDefaults,
  redisDefaults,
  type RestoreOptions,
  type RestorePartOptions,
  type RestoreRequest,
} from './request.ts';

export function completeRestore(
  { postgres, redis, files, ...options }: RestoreOptions,
  { cwd, confirm }: Surroundings,
): RestoreRequest {
  return {
    only: [],
    safetyBackup: true,
    force: false,
    dryRun: false,
    confirm,
    ...given(options),
    postgres: completePostgres(postgres),
    redis: completeRedis(redis, cwd),
    files: completeFiles(files, cwd),
  };
}

/** For databases; what recoveries copy into a live server, too. */
export function completePostgres(options: RestorePartOptions['postgres'] = {}): RestoreRequest['postgres'] {
  const wanted = { ...postgresDefaults, ...given(options), toUrl: urlOf(options.toUrl) };
  if (wanted.asRole === undefined) return wanted;
  if (wanted.globals) {
    throw new LifeboatError('usage', '--as-role and --globals contradict each other: roles are not made by that role');
  }
  return { ...wanted, noOwner: true, noAcl: true };
}

export function completeRedis(options: RestorePartOptions['redis'] = {}, cwd: string): RestoreRequest['redis'] {
  const { toUrl, dataDir } = options;
  return { ...redisDefaults, ...given(options), toUrl: secretOf(toUrl), dataDir: pathOf(dataDir, cwd) };
}

export function completeFiles(options: RestorePartOptions['files'] = {}, cwd: string): RestoreRequest['files'] {
  return { ...filesDefaults, ...given(options), toDir: pathOf(options.toDir, cwd) };
}

function urlOf(value: string | Secret | undefined): PostgresUrl | undefined {
  return value === undefined || value instanceof PostgresUrl ? value : parsePostgresUrl(value);
}

function secretOf(value: string | Secret | undefined): Secret | undefined {
  return typeof value === 'string' ? new Secret(value) : value;
}
