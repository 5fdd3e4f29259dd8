/** The owner of a database, without rights of their own, gets none by whatever we do as a superuser on its server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import type { RestoreResult } from '../../src/operations/restore/request.ts';
import { openConnection } from '../../src/source/postgres/server/connection.ts';
import { type Bench, makeBench } from '../helpers/cli/command-run.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';
import { type HostileDatabase, createHostileDatabase } from '../helpers/source/hostile-database.ts';

let server: TestPostgres;
let bench: Bench;
let hostile: HostileDatabase;

before(async () => {
  server = await startPostgres({ settings: { archive_mode: 'on', archive_command: "'true'", wal_level: 'replica' } });
  bench = makeBench({ DATABASE_URL: server.url('app') });
  chmodSync(bench.folder, 0o755);
  hostile = await createHostileDatabase(server, bench.folder);
  await server.psql('app', 'SET ROLE mallory; CREATE TABLE public.t AS SELECT pg_catalog.generate_series(1, 100) AS n');
});

after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await server?.stop();
});

test('the trap springs for a superuser who trusts the search_path of the database', async () => {
  const other = await createHostileDatabase(server, bench.folder, { name: 'proof', owner: 'trudy' });
  await server.psql('proof', "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'x'::pg_catalog.text");
  assert.equal((await other.spoils()).length, 2);
  await server.psql('postgres', 'ALTER ROLE trudy NOSUPERUSER; DROP DATABASE proof');
});

/** In this order; each must end as it says. */
const commands: readonly (readonly [line: string, exitCodes: readonly number[]])[] = [
  ['init', [0]],
  ['doctor', [0, 3]],
  ['backup --dry-run', [0]],
  ['backup database', [0]],
  ['status', [0, 3, 19]],
  ['wal status', [0, 3]],
  ['create-restore-point here', [0, 3]],
  ['emergency-restore status', [0, 3]],
  ['restore latest --only database --dry-run', [0]],
  ['restore latest --only database', [0, 3]],
  ['restore latest --only database --into-live --confirm app', [0, 3]],
  ['restore latest --only database --tables public.t --to-database app_again', [0, 3]],
  [
    'restore latest --only database --data-only --tables public.t --to-database app --into-live --confirm app',
    [0, 2, 3, 18],
  ],
  ['emergency-restore restore --dry-run', [0, 3]],
  ['pitr --to immediate --check', [17]],
];

for (const [line, exitCodes] of commands) {
  test(`${line}: runs nothing of theirs`, async () => {
    const withId = line.includes(' latest') ? line.replace(' latest', ` ${await newestDump()}`) : line;
    const result = await bench.run(withId);
    assert.deepEqual(await hostile.spoils(), []);
    assert.ok(exitCodes.includes(result.exitCode), `${result.exitCode}: ${result.stdout}${result.stderr}`);
  });
}

/** Of another home, which belongs to that user; the databases are as those before have left them. */
const byServiceUser: typeof commands = [
  ['init', [0]],
  ['doctor', [0, 3]],
  ['backup database', [0]],
  ['status', [0, 3, 19]],
  ['wal status', [0, 3]],
  ['create-restore-point there', [0, 3]],
  ['restore latest --only database', [0, 3]],
  ['restore latest --only database --into-live --confirm app', [0, 3]],
  ['emergency-restore restore --dry-run', [0, 3]],
];

test('a service user: no command runs anything of theirs', async () => {
  await using own = makeBench({ DATABASE_URL: server.url('app') });
  chmodSync(own.folder, 0o755);
  execFileSync('chown', ['-R', '33:33', own.folder]);
  const wrapper = ['/usr/bin/setpriv', '--reuid=33', '--regid=33', '--clear-groups'];
  for (const [line, exitCodes] of byServiceUser) {
    const result = await own.run(line, { wrapper });
    assert.deepEqual(await hostile.spoils(), [], line);
    assert.ok(exitCodes.includes(result.exitCode), `${line}: ${result.exitCode}: ${result.stdout}${result.stderr}`);
  }
});

/** Latest may be the base backup. */
async function newestDump(): Promise<string> {
  return (await bench.ids()).filter((id) => id.includes('-database-')).at(-1) ?? '';
}

test('an undone swap runs nothing of theirs', async () => {
  const line = `restore ${await newestDump()} --only database --into-live --confirm app`;
  const done = await bench.json<RestoreResult>(line);
  const kept = /"(app_before_\w+)"/.exec(JSON.stringify(done))?.[1] ?? '';
  assert.equal((await bench.run(`restore --undo ${kept} --confirm app`)).exitCode, 0);
  assert.deepEqual(await hostile.spoils(), []);
});

test('a session begins with our search_path, whatever database, role and URL say', async () => {
  await server.psql('postgres', "ALTER ROLE postgres IN DATABASE app SET search_path = 'evil', 'pg_catalog'");
  const url = `${server.url('app')}${server.url('app').includes('?') ? '&' : '?'}options=-c%20search_path%3Devil`;
  await using connection = await openConnection(parsePostgresUrl(url));
  const [row] = await connection.query("SELECT current_setting('search_path') AS path");
  assert.equal(row?.['path'], 'pg_catalog');
  assert.deepEqual(await hostile.spoils(), []);
});
