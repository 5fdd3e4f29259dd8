/**
 * A repository without encryption, to which somebody else writes backups that are whole: his superuser must not become
 * one of ours by a restore.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { InitResult } from '../../src/operations/setup/request.ts';
import { type Bench, assertFailed, makeBench } from '../helpers/cli/command-run.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let ours: TestPostgres;
let theirs: TestPostgres;
let bench: Bench;
let own: string;
let made: InitResult;

before(async () => {
  [ours, theirs] = await Promise.all([startPostgres(), startPostgres()]);
  bench = makeBench({ DATABASE_URL: ours.url('app'), BACKUP_ENCRYPTION_ENABLED: 'false', RESTORE_TO: ours.url() });
  const { BACKUP_ENCRYPTION_KEY: _, ...env } = bench.env;
  bench.env = env;
  await ours.query('postgres', 'CREATE DATABASE app');
  await ours.psql('app', 'CREATE ROLE worker; CREATE TABLE t AS SELECT 1 AS a; GRANT SELECT ON t TO worker');
  await theirs.query('postgres', 'CREATE DATABASE app');
  await theirs.psql('app', "CREATE ROLE intruder SUPERUSER LOGIN PASSWORD 'x'; CREATE TABLE t AS SELECT 2 AS a");
  made = await bench.json<InitResult>('init', { exitCode: 3 });
  own = (await bench.backup('backup database')).id;
});

after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([ours?.stop(), theirs?.stop()]);
});

/** By one who may write to the repository, with a host and a server of his own. */
async function forge(): Promise<string> {
  const env = { DATABASE_URL: theirs.url('app'), BACKUP_STATE_DIR: join(bench.folder, 'intruder') };
  return (await bench.backup('backup database', { env })).id;
}

async function supers(): Promise<unknown[]> {
  return (await ours.query('postgres', 'SELECT rolname::text AS name FROM pg_roles WHERE rolsuper')).map(
    ({ name }) => name,
  );
}

test('init and doctor say what an unencrypted repository cannot promise', async () => {
  assert.match(made.warnings.join(), /only this host's signature tells/);
  assert.match(made.publicKey ?? '', /^[A-Za-z0-9+/]{43}=$/);
  assert.match((await bench.run('doctor')).stdout, /not encrypted.*only signatures tell/s);
});

test('roles and grants of a backup that somebody else made are refused, before anything is changed', async () => {
  const forged = await forge();
  assertFailed(await bench.run('restore latest --globals --to-database a'), 14, /roles and tablespaces of backup/);
  assertFailed(await bench.run('restore latest --to-database a'), 14, /owners and grants/, /--no-owner --no-acl/);
  assertFailed(await bench.run('emergency-restore restore --dry-run'), 14, /roles and grants/);
  assert.deepEqual(await supers(), ['postgres']);
  await bench.restore('restore latest --to-database data_only --no-owner --no-acl');
  assert.deepEqual(await ours.query('data_only', 'SELECT a FROM t'), [{ a: '2' }]);
  const insisted = await bench.json<{ warnings: string[] }>(`restore ${forged} --to-database b --force`, {
    exitCode: 3,
  });
  assert.match(insisted.warnings.join(), /--force: owners and grants are taken from/);
  rmSync(join(bench.repository, 'manifests', `${forged}.json`));
});

test('our own backup is restored by this host; another host lists who signed it', async () => {
  await bench.restore('restore latest --globals --to-database c');
  const env = { BACKUP_STATE_DIR: join(bench.folder, 'other-host') };
  assertFailed(await bench.run('restore latest --globals --to-database d', { env }), 14, /signed neither by this host/);
  const config = join(bench.folder, 'trusting.json');
  writeFileSync(config, JSON.stringify({ encryption: { enabled: false, trustedKeys: [made.publicKey] } }));
  await bench.restore(['restore', 'latest', '--globals', '--to-database', 'd', '--config', config], { env });
});

test('an unsigned backup, as older versions made them, is restored as before, but for its rights', async () => {
  const file = join(bench.repository, 'manifests', `${own}.json`);
  const signed = readFileSync(file, 'utf8');
  const open = signed.replace(/ {2}"signature": \{[^}]*\},\n {2}"seal": "[0-9a-f]+"\n\}\n$/, '');
  assert.notEqual(open, signed, 'it was signed');
  const seal = createHash('sha256').update(open).digest('hex');
  writeFileSync(file, `${open}  "seal": "${seal}"\n}\n`);
  await bench.restore('restore latest --to-database e --no-owner --no-acl');
  assert.deepEqual(await ours.query('e', 'SELECT a FROM t'), [{ a: '1' }]);
  assertFailed(await bench.run('restore latest --to-database f'), 14, /owners and grants/);
  writeFileSync(file, signed);
});
