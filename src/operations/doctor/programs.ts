/** What `lifeboat doctor` checks of the folders that the configuration names for the servers' programs. */
import { readdir } from 'node:fs/promises';
import type { Config } from '../../config/config.ts';
import { tellingFileErrors } from '../../lib/file-errors.ts';
import { installedTools } from '../../source/postgres/server/tools.ts';
import { failed, passed } from './check.ts';
import type { DoctorCheck } from './request.ts';

/** Nothing for what is not configured. */
export async function checkPrograms({ tools }: Pick<Config, 'tools'>): Promise<readonly DoctorCheck[]> {
  const checks = [
    ...(tools.postgres === undefined ? [] : [checkPostgresFolder(tools.postgres)]),
    ...(tools.redis === undefined ? [] : [checkRedisFolder(tools.redis)]),
  ];
  return Promise.all(checks);
}

async function checkPostgresFolder(folder: string): Promise<DoctorCheck> {
  const name = 'PostgreSQL programs';
  const [found] = await installedTools({ folder });
  if (found !== undefined) return passed(name, `version ${found.version} in ${folder}`);
  const hint = 'name the folder with pg_dump, pg_dumpall, pg_restore and psql in tools.postgresBin';
  return failed(name, `${folder} does not hold all of PostgreSQL's client programs`, hint, 'usage');
}

async function checkRedisFolder(folder: string): Promise<DoctorCheck> {
  const name = 'Redis programs';
  const hint = 'name the folder with redis-server or valkey-server in tools.redisBin';
  const names = await tellingFileErrors(`cannot read ${folder}`, { hint }, async () => readdir(folder));
  const programs = names.filter((each) => /^(?:redis|valkey)-(?:server|cli|check-rdb)$/.test(each));
  if (programs.length > 0) return passed(name, `${programs.join(', ')} in ${folder}`);
  return failed(name, `${folder} holds no program of Redis or Valkey`, hint, 'usage');
}
