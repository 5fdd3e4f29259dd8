/**
 * Finds PostgreSQL's client programs. pg_dump refuses a server newer than itself and writes archives
 * that older pg_restores refuse, so the server's own major version is wanted, else the oldest newer
 * one. A folder that the operator names comes first, then the versioned folders, then PATH: on Debian
 * /usr/bin/pg_dump is a wrapper that may choose another version than it says.
 */
import { accessSync, constants, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LifeboatError } from '../../../lib/errors.ts';
import { runTool } from '../../../lib/exec.ts';
import { programFolders } from '../../../lib/program-folders.ts';

/** Absolute paths of the programs of one version. */
export interface PostgresTools {
  /** E.g. "15.18". */
  readonly version: string;
  readonly major: number;
  readonly folder: string;
  readonly pgDump: string;
  readonly pgDumpall: string;
  readonly pgRestore: string;
  readonly psql: string;
}

export interface FindToolsOptions {
  /** A folder that holds them; nothing else is looked at then. */
  readonly folder?: string | undefined;
}

/** The programs that fit a server of this major version. Throws `tool` (16) when there are none. */
export async function findTools(serverMajor: number, options: FindToolsOptions = {}): Promise<PostgresTools> {
  const found = await installedTools(options);
  return namedAmong(found, serverMajor) ?? oldestFrom(serverMajor, `a server of version ${serverMajor}`, found);
}

/** Those of the folder that the operator names, where they are as new as is needed. */
function namedAmong(found: readonly PostgresTools[], wanted: number): PostgresTools | undefined {
  const folder = namedFolder();
  return found.find((each) => each.folder === folder && each.major >= wanted);
}

/**
 * The programs that restore into a server of this major version what pg_dump of version `writer` (e.g. "15.18") wrote:
 * the oldest that are as new as both, since pg_restore refuses newer archives. Throws `tool` (16) when there are none.
 */
export async function findRestoreTools(
  serverMajor: number,
  writer: string,
  options: FindToolsOptions = {},
): Promise<PostgresTools> {
  return restoreToolsOf(await installedTools(options), serverMajor, writer);
}

/** The same, of those that are found. */
export function restoreToolsOf<Found extends Versioned>(
  found: readonly Found[],
  serverMajor: number,
  writer: string,
): Found {
  const writerMajor = Number.parseInt(writer, 10);
  return writerMajor > serverMajor
    ? oldestFrom(writerMajor, `archives that pg_dump ${writer} wrote`, found)
    : oldestFrom(serverMajor, `a server of version ${serverMajor}`, found);
}

type Versioned = Pick<PostgresTools, 'version' | 'major'>;

function oldestFrom<Found extends Versioned>(wanted: number, purpose: string, found: readonly Found[]): Found {
  const fitting = found.filter(({ major }) => major >= wanted).sort((a, b) => a.major - b.major)[0];
  if (fitting !== undefined) return fitting;
  const have =
    found.length === 0
      ? 'none is installed'
      : `only version ${found.map(({ version }) => version).join(', ')} is installed`;
  throw new LifeboatError('tool', `no PostgreSQL client programs for ${purpose}: ${have}`, {
    hint:
      `install pg_dump and pg_restore ${wanted} (Debian, Ubuntu: apt-get install ` +
      `postgresql-client-${wanted}; see https://www.postgresql.org/download/)`,
  });
}

/** Every complete set of client programs on this machine, one for each version, the places looked at first winning. */
export async function installedTools(options: FindToolsOptions = {}): Promise<PostgresTools[]> {
  const own = namedFolder();
  const folders =
    options.folder === undefined
      ? [...(own === undefined ? [] : [own]), ...versionedFolders(), ...(await folderInPath())]
      : [options.folder];
  const found = new Map<number, PostgresTools>();
  for (const folder of new Set(folders.filter(isComplete).map((each) => realpathSync(each)))) {
    const tools = await readTools(folder);
    if (tools !== undefined && !found.has(tools.major)) found.set(tools.major, tools);
  }
  return [...found.values()].sort((a, b) => a.major - b.major);
}

/**
 * The first minor version of each major whose pg_restore keeps names and comments of an archive from being psql's
 * commands (\restrict; CVE-2025-8714, CVE-2025-8715). Later majors always do, earlier ones never.
 */
const restrictingMinor: Readonly<Record<number, number>> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 };

/**
 * For what is fed to psql as text. Throws `tool` (16) where an archive that somebody made for it could have psql run
 * programs.
 */
export function assertRestrictsPsql({ version, major }: Pick<PostgresTools, 'version' | 'major'>): void {
  const needs = restrictingMinor[major];
  const minor = Number(/^\d+\.(\d+)/.exec(version)?.[1] ?? 0);
  if (major > 17 || (needs !== undefined && minor >= needs)) return;
  const wanted = needs === undefined ? '18' : `${major}.${needs}`;
  throw new LifeboatError('tool', `pg_restore ${version} lets a backup hand commands to psql (CVE-2025-8714)`, {
    hint: `install PostgreSQL's client programs ${wanted} or newer, or restore into a new database`,
    state: 'nothing was changed',
  });
}

/** The folder that the operator names (tools.postgresBin), if it is there. */
function namedFolder(): string | undefined {
  const { postgres } = programFolders();
  try {
    return postgres === undefined ? undefined : realpathSync(postgres);
  } catch {
    return undefined;
  }
}

/** A program on a disk that does not answer counts as missing; the run must not wait for it. */
const versionTimeoutMs = 30_000;

const programs = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'];

/** Where packages of Debian, Red Hat, Alpine, Homebrew and Postgres.app put each version: `*` stands for digits. */
const places: readonly (readonly [parent: string, name: RegExp, rest: string])[] = [
  ['/usr/lib/postgresql', /^\d+$/, 'bin'],
  ['/usr', /^pgsql-\d+$/, 'bin'],
  ['/usr/libexec', /^postgresql\d+$/, ''],
  ['/opt/homebrew/opt', /^(postgresql@\d+|libpq)$/, 'bin'],
  ['/usr/local/opt', /^(postgresql@\d+|libpq)$/, 'bin'],
  ['/Applications/Postgres.app/Contents/Versions', /^\d+$/, 'bin'],
  ['/usr/local', /^pgsql$/, 'bin'],
];

function versionedFolders(): string[] {
  return places.flatMap(([parent, name, rest]) =>
    namesIn(parent)
      .filter((each) => name.test(each))
      .map((each) => join(parent, each, rest)),
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Where the shell finds pg_dump; none or one. */
async function folderInPath(): Promise<string[]> {
  const found = await runTool({ file: '/bin/sh', args: ['-c', 'command -v pg_dump'] }).catch(() => undefined);
  const path = found?.stdout.trim() ?? '';
  return path.startsWith('/') ? [dirname(path)] : [];
}

/** A file there that we may execute. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isComplete(folder: string): boolean {
  return programs
    .map((program) => join(folder, program))
    .every((path) => isProgram(path) && !realpathSync(path).endsWith('/pg_wrapper'));
}

async function readTools(folder: string): Promise<PostgresTools | undefined> {
  const pgDump = join(folder, 'pg_dump');
  const said = await runTool({
    file: pgDump,
    args: ['--version'],
    signal: AbortSignal.timeout(versionTimeoutMs),
  }).catch(() => undefined);
  // "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", and "18beta1" before a release.
  const version = /\(PostgreSQL\) (\d+\S*)/.exec(said?.stdout ?? '')?.[1];
  if (version === undefined) return undefined;
  return {
    version,
    major: Number.parseInt(version, 10),
    folder,
    pgDump,
    pgDumpall: join(folder, 'pg_dumpall'),
    pgRestore: join(folder, 'pg_restore'),
    psql: join(folder, 'psql'),
  };
}
