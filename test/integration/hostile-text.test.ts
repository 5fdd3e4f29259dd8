/**
 * Names that drive terminals, break lines and turn the direction of writing, in everything that is backed up: nothing
 * of them reaches standard output, standard error, the log or a text file as more than text.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bench, makeBench } from '../helpers/cli/command-run.ts';
import { runCli } from '../helpers/cli/run-cli.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';
import { startRedis, type TestRedis } from '../helpers/servers/redis.ts';

/** Sets the title, clears the screen (in 7 and 8 bits), runs backwards, isolates. */
const onOneLine = '\u001b]0;x\u0007\u001b[2J\u009b31m\u202e\u2066';
/** PostgreSQL's programs refuse line ends in names of databases and roles. */
const hostile = `${onOneLine}\r\nhint: rm\n`;

const escape = '\u001b';
const ourColours = new RegExp(`${escape}\\[(?:3[123]|39)m`, 'g');

let server: TestPostgres;
let redis: TestRedis;
let bench: Bench;
let id: string;

before(async () => {
  [server, redis] = await Promise.all([startPostgres(), startRedis()]);
  const files = `/files${onOneLine}`;
  bench = makeBench({ DATABASE_URL: server.url(`db${onOneLine}`), REDIS_URL: redis.url() });
  bench.env = { ...bench.env, BACKUP_FILES: join(bench.folder, files), BACKUP_LOG_LEVEL: 'debug' };
  mkdirSync(join(bench.folder, files));
  writeFileSync(join(bench.folder, files, `file${hostile}`), 'content');
  await server.query('postgres', `CREATE DATABASE "db${onOneLine}"`);
  await server.query('postgres', `CREATE ROLE "role${onOneLine}" LOGIN`);
  await server.query(
    `db${onOneLine}`,
    `CREATE TABLE "table${hostile}" ("column${hostile}" text CHECK ("column${hostile}" <> '${hostile}'))`,
  );
  await server.query(`db${onOneLine}`, `ALTER TABLE "table${hostile}" OWNER TO "role${onOneLine}"`);
  redis.cli(['SET', `key${hostile}`, 'value']);
  await bench.run('init');
});

after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([server?.stop(), redis?.stop()]);
});

/** Runs a command with and without colours: no byte of control but line feeds, and where there are colours, ours. */
async function runClean(words: readonly string[], exitCodes: readonly number[], env = {}): Promise<string> {
  const all: string[] = [];
  for (const colours of [false, true]) {
    const { stdout, stderr, exitCode } = await runCli(words, {
      env: { ...bench.env, ...env },
      cwd: bench.folder,
      colours,
    });
    assert.ok(exitCodes.includes(exitCode), `${words.join(' ')}: ${exitCode}: ${stdout}${stderr}`);
    const lines = words.includes('--csv') ? stdout.replaceAll('\r\n', '\n') : stdout;
    assertClean(colours ? lines.replaceAll(ourColours, '') : lines, words);
    assertClean(stderr, words);
    all.push(stdout, stderr);
  }
  return all.join('');
}

function assertClean(text: string, words: readonly string[]): void {
  const raw = /[^\P{Cc}\n]|[\p{Cs}\p{Bidi_Control}\u2028\u2029]/u.exec(text);
  assert.equal(raw?.[0], undefined, `${words.join(' ')}: ${JSON.stringify(text)}`);
  assert.doesNotMatch(text, /^hint: rm/m, 'a name speaks as we do');
}

test('a backup, its log, lists and proofs show such names as text', async () => {
  const label = ['--label', hostile, '--tag', `tag${onOneLine}`];
  const log = await runClean(['backup', ...label], [0, 3]);
  const lines = log.split('\n').filter((line) => /^\d{4}-\d\d-\d\dT/.test(line));
  assert.ok(lines.length > 5 && lines.every((line) => /Z (debug|info|warn) /.test(line)), log);
  id = bench.recorded().at(-1) ?? '';
  for (const words of [['list'], ['show', id], ['audit'], ['audit', '--csv'], ['runbook'], ['config', 'show']]) {
    const text = await runClean(words, [0]);
    if (words[0] === 'show') assert.match(text, /db\\u001b\]0;x\\u0007/);
  }
  assertClean(readFileSync(join(bench.stateDir, 'runbook.md'), 'utf8'), ['runbook.md']);
  for (const words of [
    ['status'],
    ['doctor'],
    ['validate', 'latest'],
    ['restore', 'latest', '--dry-run', '--only', 'database', '--to-database', 'beside'],
    ['restore', 'latest', '--dry-run', '--only', 'files', '--to-dir', join(bench.folder, `to${onOneLine}`)],
    ['restore', 'latest', '--dry-run', '--only', 'files', '--to-dir', join(bench.folder, 'to'), '--json'],
    ['emergency-restore', 'status'],
    ['integrity'],
  ]) {
    await runClean(words, [0, 3, 4, 14]);
  }
});

test('failures, questions and damaged objects show them as text too', async () => {
  writeFileSync(join(bench.repository, 'manifests', `x${hostile}.json`), '{}');
  writeFileSync(join(bench.repository, 'packs', `x${hostile}`), '{}');
  for (const words of [['list'], ['integrity'], ['status']]) await runClean(words, [0, 3, 4, 14]);
  const failures: readonly (readonly string[])[] = [
    ['show', `no${hostile}`],
    [`no${hostile}`],
    ['list', '--target', `no${hostile}`],
    ['restore', 'latest', '--only', 'database', '--database', `no${hostile}`],
    ['restore', 'latest', '--only', 'database', '--tables', `no${hostile}`, '--confirm', hostile],
    ['export', 'latest', '--to', join(bench.folder, `files${onOneLine}`, `file${hostile}`, 'x')],
  ];
  for (const words of failures) {
    const range = Array.from({ length: 30 }, (_, n) => n + 2);
    await runClean(words, range);
    await runClean([...words, '--debug'], range);
  }
  const words = encodeURIComponent(hostile);
  await runClean(['backup', 'redis'], [10, 11, 12, 13, 20, 2, 17], { REDIS_URL: `redis://host${words}:1/0` });
  await runClean(['backup', 'database'], [2, 10, 11, 12, 13, 20, 17], { DATABASE_URL: server.url(`no${onOneLine}`) });
});
