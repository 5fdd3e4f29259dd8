/** What `lifeboat doctor` checks of a PostgreSQL server: reachability and rights, client programs, its clock. */
import type { PostgresConfig } from '../../config/config.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatBytes } from '../../lib/units.ts';
import { askArchiver } from '../../source/postgres/server/archiver.ts';
import { type PasswordEnd, readPasswordEnd } from '../../source/postgres/server/password-end.ts';
import { renewalMs } from '../renewal.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { probeServer } from '../../source/postgres/dump/probe.ts';
import { findTools, installedTools } from '../../source/postgres/server/tools.ts';
import {
  attempt,
  contactLimitMs,
  failed,
  limited,
  passed,
  warned,
  type ComponentFindings,
  type DataFolder,
} from './check.ts';
import { clockDifference, judgeClock } from './clock.ts';
import { checkConfiguration } from './configuration.ts';
import { judgeArchiving } from './archiving.ts';
import type { DoctorCheck } from './request.ts';

export async function checkPostgres(
  target: string,
  config: PostgresConfig,
  context: RunContext,
): Promise<ComponentFindings> {
  const name = `${target}: PostgreSQL`;
  const contact = limited(context, async ({ signal }) => meet(config, signal), contactLimitMs);
  // Whoever needs it tells its failure.
  contact.catch(() => {});
  const folders: DataFolder[] = [];
  const all = await Promise.all([
    attempt(name, context, async (limit) => {
      const { folder } = await contact;
      if (folder !== undefined) folders.push({ what: `the data of ${target}'s PostgreSQL`, path: folder });
      return checkServer(name, config, limit);
    }),
    attempt(`${name} archiving`, context, async ({ signal }) => {
      const met = await contact.catch(() => undefined);
      return met === undefined
        ? []
        : judgeArchiving(`${name} archiving`, await askArchiver(config.url, { signal }), config, met.major);
    }),
    attempt(`${name} configuration`, context, async (limit) => {
      const met = await contact.catch(() => undefined);
      return met === undefined ? [] : checkConfiguration(`${name} configuration`, config, limit);
    }),
    attempt(`${name} tools`, context, async () =>
      checkTools(
        `${name} tools`,
        contact.then(
          ({ major }) => major,
          () => undefined,
        ),
      ),
    ),
    attempt(`${name} password`, context, async () => {
      const met = await contact.catch(() => undefined);
      return met?.passwordEnd === undefined ? [] : judgePassword(`${name} password`, met.passwordEnd, Date.now());
    }),
    attempt(`${name} clock`, context, async () => {
      const met = await contact.catch(() => undefined);
      return met === undefined ? [] : judgeClock(`${name} clock`, 'the server', met.clockDifferenceMs);
    }),
  ]);
  return { checks: all.flat(), folders };
}

interface Met {
  readonly major: number;
  readonly clockDifferenceMs: number;
  readonly passwordEnd: PasswordEnd | undefined;
  /** The data folder, if it is on this host and may be known. */
  readonly folder: string | undefined;
}

function meet({ url }: PostgresConfig, signal: AbortSignal): Promise<Met> {
  return withConnection(url, { signal }, async (connection) => {
    const clockDifferenceMs = await clockDifference(
      async () =>
        Number((await connection.query('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now'))[0]?.['now']),
      0,
    );
    const { address } = url;
    const isHere = address.startsWith('/') || ['localhost', '::1'].includes(address) || address.startsWith('127.');
    // Not everybody may know it.
    const rows = isHere
      ? await connection.query("SELECT current_setting('data_directory') AS folder").catch(() => [])
      : [];
    return {
      major: Math.floor(connection.serverVersionNum / 10000),
      clockDifferenceMs,
      passwordEnd: await readPasswordEnd(connection),
      folder: rows[0]?.['folder'] ?? undefined,
    };
  });
}

function judgePassword(name: string, { role, endsMs }: PasswordEnd, nowMs: number): DoctorCheck {
  const until = `the password of role ${role} is valid until ${new Date(endsMs).toISOString()}`;
  if (endsMs - nowMs >= renewalMs) return passed(name, until);
  return warned(name, until, "before that: ALTER ROLE … PASSWORD '…' VALID UNTIL '…', and tell lifeboat the new one");
}

async function checkServer(
  name: string,
  { url, databases }: PostgresConfig,
  { signal }: RunContext,
): Promise<DoctorCheck | DoctorCheck[]> {
  const { serverVersion, identity, estimatedBytes, problems } = await probeServer(
    { url, databases, withoutTools: true },
    signal,
  );
  if (problems.length > 0) {
    return problems.map(({ message, hint, fatal }) =>
      fatal ? failed(name, message, hint, 'source') : warned(name, message, hint),
    );
  }
  return passed(
    name,
    `version ${serverVersion} at ${identity['server']}; ${identity['databases']}: ` +
      `${formatBytes(estimatedBytes ?? 0)}, all of it and all roles can be read`,
  );
}

async function checkTools(name: string, server: Promise<number | undefined>): Promise<DoctorCheck> {
  const [found, serverMajor] = await Promise.all([installedTools(), server]);
  if (serverMajor === undefined) {
    if (found.length === 0) {
      return failed(
        name,
        'no PostgreSQL client programs are installed',
        "install pg_dump, pg_dumpall, pg_restore and psql of the server's version (Debian, Ubuntu: apt-get " +
          'install postgresql-client)',
        'tool',
      );
    }
    return passed(
      name,
      `client programs of version ${found.map(({ version }) => version).join(', ')}; whether they fit, the server ` +
        'would have to tell',
    );
  }
  const { version, major, folder } = await findTools(serverMajor);
  const message = `pg_dump, pg_dumpall, pg_restore and psql ${version} in ${folder}`;
  return passed(
    name,
    major === serverMajor
      ? message
      : `${message}, newer than the server (${serverMajor}): a restore needs programs as new`,
  );
}
