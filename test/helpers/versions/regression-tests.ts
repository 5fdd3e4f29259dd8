/**
 * PostgreSQL's own regression tests, as Debian's source package of the installed major has them: their scripts leave a
 * database behind that holds objects of nearly every kind there is. Fetched by setup, kept between runs.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestPostgres } from '../servers/postgres.ts';
import { openSuite } from './debian-archive.ts';
import { versionsFolder } from './server-versions.ts';

const run = promisify(execFile);
/** psql's own, and one that asks for notifications that nobody sends. */
const ofNoUse = new Set(['psql', 'async']);

/** Fetches them unless they are there. */
export async function fetchRegressionTests(): Promise<void> {
  const major = installedMajor();
  const place = placeFor(major);
  if (existsSync(join(place, 'ready'))) return;
  if (process.getuid?.() !== 0) {
    throw new Error(`the regression tests of PostgreSQL ${major} are missing: run this as root`);
  }
  console.error(`setup: fetching the regression tests of PostgreSQL ${major} into ${place}`);
  const work = `${place}.work`;
  await rm(work, { recursive: true, force: true });
  await rm(place, { recursive: true, force: true });
  await mkdir(place, { recursive: true });
  try {
    const suite = await openSuite(suiteOf(major), join(work, 'suite'), 'deb-src');
    const files = await suite.downloadSource(`postgresql-${major}`, join(work, 'source'));
    const archive = files.find((file) => /\.orig\.tar\.\w+$/.test(file));
    if (archive === undefined) throw new Error(`the source package of PostgreSQL ${major} has no archive`);
    const parts = ['sql', 'data', 'expected', 'parallel_schedule'].map((name) => `*/src/test/regress/${name}`);
    await run('tar', ['-x', '-f', archive, '-C', place, '--strip-components=4', '--wildcards', ...parts]);
    await mkdir(join(place, 'results'), { mode: 0o1777 });
    await run('chmod', ['-R', 'a+rX', place]);
    await writeFile(join(place, 'ready'), '');
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Runs all scripts in a new database, one after the other; statements that fail, as many are to, are passed over. */
export async function fillByRegressionTests(postgres: TestPostgres, database: string): Promise<void> {
  const place = placeFor(installedMajor());
  if (!existsSync(join(place, 'ready'))) throw new Error('missing: run node test/setup.js --versions=long');
  await postgres.query('postgres', `CREATE DATABASE ${database} TEMPLATE template0`);
  const scripts = readFileSync(join(place, 'parallel_schedule'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('test:'))
    .flatMap((line) => line.slice('test:'.length).trim().split(/\s+/));
  for (const script of scripts.filter((each) => !ofNoUse.has(each))) await runScript(postgres, database, place, script);
}

async function runScript(postgres: TestPostgres, database: string, place: string, script: string): Promise<void> {
  const args = ['-X', '-q', '-d', database, '-f', join(place, 'sql', `${script}.sql`)];
  const env = {
    ...postgres.env,
    PATH: process.env['PATH'],
    PG_ABS_SRCDIR: place,
    PG_ABS_BUILDDIR: place,
    PG_LIBDIR: join(postgres.binDir, '../lib'),
    PG_DLSUFFIX: '.so',
    PGTZ: 'PST8PDT',
    PGDATESTYLE: 'Postgres, MDY',
  };
  const psql = spawn(join(postgres.binDir, 'psql'), args, { cwd: join(place, 'results'), env, stdio: 'ignore' });
  const ended = Promise.withResolvers<void>();
  psql.once('error', ended.reject).once('close', () => ended.resolve());
  await ended.promise;
}

function installedMajor(): number {
  return Math.max(...readdirSync('/usr/lib/postgresql').map(Number).filter(Number.isInteger));
}

function placeFor(major: number): string {
  return join(versionsFolder, `postgres-regression-${major}`);
}

function suiteOf(major: number): string {
  return { 13: 'bullseye', 15: 'bookworm', 17: 'trixie' }[major] ?? 'sid';
}
