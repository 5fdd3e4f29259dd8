/**
 * A recovered cluster as a standby: it reads what it lacks of the log from the archive, then streams from its primary.
 * For rebuilding a replica without loading the primary with a copy of all of it.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { completePostgresUrl, readPostgresUrl } from '../../config/postgres-url-parser.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { quoteLiteral } from '../../source/postgres/server/quote.ts';
import { walRecipe } from '../wal/recipe.ts';
import type { PitrRequest, PitrStandby } from './request.ts';

/** Lines for postgresql.auto.conf; the first may hold the password of the replication user. */
export async function standbySettings(
  loaded: LoadedConfig,
  standby: PitrStandby,
  target: string,
  context: RunContext,
): Promise<string[]> {
  const primary = await primaryOf(loaded, standby, target);
  const { restoreCommand } = await walRecipe(loaded, { target }, context);
  return [
    `primary_conninfo = ${setting(conninfoOf(primary))}`,
    ...(standby.slot === undefined ? [] : [`primary_slot_name = ${setting(standby.slot)}`]),
    restoreCommand,
    "recovery_target_timeline = 'latest'",
  ];
}

/** Makes the slot, so that the primary keeps what the standby has not got. What keeps it from that is a warning. */
export async function makeSlot(
  loaded: LoadedConfig,
  standby: PitrStandby,
  target: string,
  { signal, emit }: RunContext,
): Promise<void> {
  const { slot } = standby;
  if (slot === undefined) return;
  const name = quoteLiteral(slot);
  try {
    await withConnection(await primaryOf(loaded, standby, target), { signal }, async (connection) => {
      const [found] = await connection.query(`SELECT slot_type FROM pg_replication_slots WHERE slot_name = ${name}`);
      if (found?.['slot_type'] === 'logical') throw new Error('there is a logical slot of that name');
      if (found === undefined) await connection.query(`SELECT pg_create_physical_replication_slot(${name}, true)`);
    });
  } catch (error) {
    signal.throwIfAborted();
    const todo = `on the primary: SELECT pg_create_physical_replication_slot(${name}, true)`;
    emit({ type: 'warning', component: 'base', message: `the slot was not made: ${messageOf(error)}; ${todo}` });
  }
}

/** Throws LifeboatError `usage` for what does not go together. */
export function refuseStandby({ standby, to, action, intoDatabase, dataDir, check, dryRun }: PitrRequest): void {
  if (standby === undefined) {
    if (action !== 'standby') return;
    throw new LifeboatError('usage', 'a standby wants to know whom it follows: give standby');
  }
  const wrong =
    to !== 'immediate'
      ? 'a standby goes on to the end of the log: leave --to out'
      : intoDatabase !== undefined || action !== 'standby'
        ? 'a standby is left shut down, for you to start: leave --action and --into-database out'
        : dataDir === undefined && !check && !dryRun
          ? 'name the folder that becomes the standby: --data-dir'
          : undefined;
  if (wrong !== undefined) throw new LifeboatError('usage', wrong);
  // As PostgreSQL names slots; nothing else reaches a configuration file.
  if (standby.slot !== undefined && !/^[a-z0-9_]{1,63}$/.test(standby.slot)) {
    throw new LifeboatError('usage', `"${standby.slot}" is no name of a slot: a to z, 0 to 9 and _, at most 63`);
  }
}

async function primaryOf({ config }: LoadedConfig, { primaryUrl }: PitrStandby, target: string): Promise<PostgresUrl> {
  if (primaryUrl !== undefined) return completePostgresUrl(readPostgresUrl(primaryUrl.reveal()));
  const url = config.targets.get(target)?.postgres?.url;
  if (url !== undefined) return url;
  throw new LifeboatError('usage', `the server that is to be followed is not known: ${target} is not configured here`, {
    hint: 'name the variable that holds its URL: --primary-url-env',
  });
}

/** As libpq reads it. `options` are for sessions of ours. */
function conninfoOf(url: PostgresUrl): string {
  const parameters = [...url.parameters].filter(([name]) => !['options', 'connect_timeout'].includes(name));
  const words: [string, string][] = [
    ['host', url.host],
    ['port', String(url.port)],
    ['user', url.user],
    ...(url.password === undefined ? [] : [['password', url.password.reveal()] as [string, string]]),
    ...parameters,
  ];
  return words.map(([name, value]) => `${name}='${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`).join(' ');
}

/** A value of postgresql.conf. */
function setting(value: string): string {
  if (/[\n\r\0]/.test(value)) throw new LifeboatError('usage', 'the connection to the primary holds a line end');
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
