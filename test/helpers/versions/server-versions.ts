/**
 * Other versions of PostgreSQL, Redis and Valkey than the installed ones, for tests: which there are, and where their
 * programs lie. They are unpacked beside each other by setup (fetch.ts), installed nowhere, and kept between runs.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export type ServerKind = 'postgres' | 'redis' | 'valkey';

export interface ServerVersion {
  readonly kind: ServerKind;
  /** A major of PostgreSQL; of the others what their version begins with. */
  readonly version: string;
}

/**
 * Below /usr, which drills show to their throwaway servers, and where every user can read. Programs there know their
 * place: the folder can be neither moved nor copied.
 */
export const versionsFolder = '/usr/local/lib/lifeboat-test-servers';

/** Those that the smoke tests start: setup fetches them. */
export const smokeVersions: readonly string[] = ['postgres-13', 'postgres-17', 'postgres-18', 'redis-8.6', 'valkey-9'];

/** All that `npm run test:versions` goes through. */
export const allVersions: readonly string[] = (
  'postgres-13 postgres-14 postgres-15 postgres-16 postgres-17 postgres-18 postgres-19 ' +
  'redis-6 redis-7 redis-8 redis-8.6 valkey-8 valkey-9'
).split(' ');

const nameUnderTest = 'TEST_SERVER';

/** The version of a kind that this test process was started for, by the runner's --server; usually none. */
export function versionUnderTest(kind: ServerKind): string | undefined {
  const name = process.env[nameUnderTest];
  return name !== undefined && parseVersion(name).kind === kind ? name : undefined;
}

/** What a test process is given for it: lifeboat finds the programs in PATH. */
export function environmentFor(name: string): Readonly<Record<string, string>> {
  return { [nameUnderTest]: name, PATH: `${programsOf(name)}:${process.env['PATH'] ?? '/usr/bin:/bin'}` };
}

/** "redis-8.6". Throws where it is no such name. */
export function parseVersion(name: string): ServerVersion {
  const [, kind, version] = /^(postgres|redis|valkey)-(\d+(?:\.\d+)?)$/.exec(name) ?? [];
  if (version === undefined) throw new Error(`${name}: not one of ${allVersions.join(', ')}`);
  return { kind: kind as ServerKind, version };
}

/** The folder of all that belongs to a version, "postgres-17", whether it is there or not. */
export function placeOf(name: string): string {
  return join(versionsFolder, name);
}

/** Written last: it is whole, and was started once. */
export function isThere(name: string): boolean {
  return existsSync(join(placeOf(name), 'ready'));
}

/**
 * The folder with the programs of a version, such as "redis-8.6" (redis-server, redis-cli…) or "postgres-13" (initdb,
 * postgres, pg_dump…). Throws where it is not there: a test that needs it fails.
 */
export function programsOf(name: string): string {
  if (!isThere(name)) throw new Error(`${name} is not there: run node test/setup.js --versions=${name}`);
  return join(placeOf(name), 'bin');
}
