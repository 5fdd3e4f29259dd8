/**
 * Fetches versions of servers that are missing, each from a suite of Debian that has it (14 and 16 of PostgreSQL are in
 * none and come from npm: server programs without clients), and unpacks them with the libraries of that suite, so that
 * they run beside whatever is installed. Part of setup; test/setup.js starts it, one at a time on a machine.
 *
 *   node test/helpers/versions/fetch.ts [smoke|long|all|postgres-17…]
 *
 * "long" is what `npm run test:long` needs: the smoke versions, and PostgreSQL's own regression tests.
 */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openSuite, type Suite } from './debian-archive.ts';
import {
  allVersions,
  isThere,
  parseVersion,
  placeOf,
  programsOf,
  type ServerVersion,
  smokeVersions,
  versionsFolder,
} from './server-versions.ts';
import { fetchRegressionTests } from './regression-tests.ts';
import { unpackDebian, unpackNpm } from './unpack.ts';

const run = promisify(execFile);
/** In no suite of Debian; their clients are lent. */
const isLent = (name: string): boolean => ['postgres-14', 'postgres-16'].includes(name);
const lender = 'postgres-17';

try {
  const names = process.argv.slice(2);
  await fetchVersions(names.flatMap(namesOf));
  if (names.includes('long')) await fetchRegressionTests();
} catch (error) {
  console.error(`setup: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

function namesOf(argument: string): readonly string[] {
  return argument === 'smoke' || argument === 'long' ? smokeVersions : argument === 'all' ? allVersions : [argument];
}

async function fetchVersions(names: readonly string[]): Promise<void> {
  const needed = new Set(names.flatMap((name) => (isLent(name) ? [name, lender] : [name])));
  const missing = [...needed].filter((name) => !isThere(name));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) throw new Error(`missing: ${missing.join(', ')}; run this as root once`);
  console.error(`setup: fetching ${missing.join(', ')} into ${versionsFolder}`);
  const work = join(versionsFolder, '.work');
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  try {
    const suites = new Map<string, Promise<Suite>>();
    const open = async (suite: string): Promise<Suite> => {
      if (!suites.has(suite)) suites.set(suite, openSuite(suite, join(work, 'suites', suite)));
      return suites.get(suite) ?? Promise.reject(new Error(suite));
    };
    const fetch = async (name: string): Promise<void> => fetchOne(name, join(work, name), open);
    const [lent, own] = [missing.filter(isLent), missing.filter((name) => !isLent(name))];
    // They borrow clients of one of the others.
    const done = [...(await Promise.allSettled(own.map(fetch))), ...(await Promise.allSettled(lent.map(fetch)))];
    const failed = done.filter((each) => each.status === 'rejected').map(({ reason }) => reasonOf(reason));
    if (failed.length > 0) throw new Error(failed.join('\nsetup: '));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function fetchOne(name: string, work: string, open: (suite: string) => Promise<Suite>): Promise<void> {
  const wanted = parseVersion(name);
  const place = placeOf(name);
  await mkdir(work);
  await rm(place, { recursive: true, force: true });
  try {
    const from = isLent(name)
      ? await unpackNpm(wanted, programsOf(lender), { work, place })
      : await fromDebian(wanted, { work, place }, open);
    await run('chmod', ['-R', 'a+rX', place]);
    await assertRuns(wanted, place);
    await writeFile(join(place, 'ready'), `${from}\n`);
    console.error(`setup: ${name} is ${from}`);
  } catch (error) {
    throw new Error(`${name} cannot be fetched: ${reasonOf(error)}`, { cause: error });
  }
}

interface Places {
  readonly work: string;
  readonly place: string;
}

async function fromDebian(
  wanted: ServerVersion,
  places: Places,
  open: (suite: string) => Promise<Suite>,
): Promise<string> {
  const asked = packagesOf(wanted);
  const [server = ''] = asked;
  const seen: string[] = [];
  for (const name of suitesOf(wanted)) {
    const suite = await open(name);
    const plan = await suite.plan(asked);
    const version = plan?.get(server)?.replace(/^\d+:/, '') ?? 'none';
    if (plan !== undefined && (wanted.kind === 'postgres' || version.startsWith(`${wanted.version}.`))) {
      await unpackDebian(wanted, { suite, packages: [...plan.keys()].filter((each) => isNeeded(each, asked)) }, places);
      return `${version} of Debian ${name}`;
    }
    seen.push(`${name} has ${version}`);
  }
  throw new Error(`no suite of Debian has it: ${seen.join(', ')}`);
}

/** The server first. */
function packagesOf({ kind, version }: ServerVersion): string[] {
  if (kind === 'postgres') return [`postgresql-${version}`, `postgresql-client-${version}`];
  return [`${kind}-server`, `${kind}-tools`];
}

/** Where to look, the most likely first. Suites change their contents; the version decides. */
function suitesOf({ kind, version }: ServerVersion): readonly string[] {
  const known: Readonly<Record<string, readonly string[]>> = {
    'postgres 13': ['bullseye'],
    'postgres 15': ['bookworm'],
    'postgres 17': ['trixie', 'forky', 'sid'],
    'postgres 18': ['forky', 'sid'],
    'redis 6': ['bullseye'],
    'redis 7': ['bookworm'],
    'redis 8': ['trixie', 'forky', 'sid'],
    'valkey 8': ['trixie', 'forky', 'sid'],
    'valkey 9': ['forky', 'sid'],
  };
  return known[`${kind} ${version}`] ?? ['experimental', 'sid', 'forky'];
}

/** Libraries, without compilers for JIT and what only an installed system needs. */
function isNeeded(name: string, asked: readonly string[]): boolean {
  const isLibrary = /^(lib|lua-)|^zlib1g$/.test(name);
  const isOfNoUse =
    /^(libllvm|libclang|libz3-|libperl|libpam-)|^lib.*-(bin|utils?|modules|perl)$|^libsystemd-shared$|^libdebconf/;
  return asked.includes(name) || (isLibrary && !isOfNoUse.test(name));
}

async function assertRuns({ kind, version }: ServerVersion, place: string): Promise<void> {
  const { stdout } = await run(join(place, 'bin', kind === 'postgres' ? 'postgres' : `${kind}-server`), ['--version']);
  const says =
    kind === 'postgres' ? new RegExp(` ${version}[.a-z]`) : new RegExp(`v=${version.replace('.', '\\.')}\\.`);
  if (!says.test(stdout)) throw new Error(`it is another version: ${stdout.trim()}`);
}

/** What a program said last, without addresses. */
function reasonOf(error: unknown): string {
  const { stderr, message } = error as { readonly stderr?: string; readonly message?: string };
  const said = (stderr ?? '').trim().split('\n').at(-1) ?? '';
  return (said === '' ? (message ?? String(error)) : said).replaceAll(/https?:\/\/\S*/g, 'the archive');
}
