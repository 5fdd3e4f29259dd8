import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePostgresUrl } from '../../../../../src/config/postgres-url-parser.ts';
import { restoreEnvironment } from '../../../../../src/source/postgres/restore/pg-restore.ts';
import { libpqEnvironment, startupOptions } from '../../../../../src/source/postgres/server/libpq.ts';

test('children get everything by environment, names in UTF-8 unless the database has no encoding', () => {
  const env = libpqEnvironment(parsePostgresUrl('postgres://u:s3cret@h:5433/d?sslmode=require&connect_timeout=3'), {
    database: 'o"ther',
  });
  assert.deepEqual(env, {
    PGHOST: 'h',
    PGPORT: '5433',
    PGUSER: 'u',
    PGPASSWORD: 's3cret',
    PGDATABASE: 'o"ther',
    PGSSLMODE: 'require',
    PGCONNECT_TIMEOUT: '3',
    PGAPPNAME: 'lifeboat',
    PGCLIENTENCODING: 'UTF8',
    PGOPTIONS: '-c search_path=pg_catalog',
  });
  assert.equal(
    libpqEnvironment(parsePostgresUrl('postgres://u@h/d'), { encoding: 'SQL_ASCII' })['PGCLIENTENCODING'],
    'SQL_ASCII',
  );
  assert.equal('PGPASSWORD' in libpqEnvironment(parsePostgresUrl('postgres://u@h/d')), false);
});

test('blanks in a setting do not end it; what a version does not know, or superusers alone may set, is absent', () => {
  const url = parsePostgresUrl('postgres://u@h/d');
  const optionsOf = (versionNum: number, isSuperuser: boolean): string =>
    restoreEnvironment({ url, database: 'd', encoding: 'UTF8', versionNum, isSuperuser })['PGOPTIONS'] ?? '';
  assert.match(optionsOf(130_000, false), / -c default_transaction_isolation=read\\ committed -c /);
  assert.doesNotMatch(optionsOf(130_000, true), /idle_session_timeout|transaction_timeout=/);
  assert.match(optionsOf(140_000, false), /idle_session_timeout=0/);
  assert.match(optionsOf(170_000, false), /transaction_timeout=0/);
  assert.doesNotMatch(optionsOf(170_000, false), /session_replication_role|lc_messages|temp_file_limit/);
});

test("the URL's options beat our defaults, and our search_path beats them, for every program and session", () => {
  const url = parsePostgresUrl(`postgres://u@h/d?options=${encodeURIComponent('-c search_path=evil -c role=owner')}`);
  const given = '-c search_path=evil -c role=owner -c search_path=pg_catalog';
  assert.equal(startupOptions(url), given);
  assert.equal(libpqEnvironment(url)['PGOPTIONS'], given);
  const target = { url, database: 'd', encoding: 'UTF8', versionNum: 150_018, isSuperuser: true };
  const options = restoreEnvironment(target)['PGOPTIONS'] ?? '';
  assert.ok(options.startsWith('-c role=none -c default_transaction_read_only=off '), options);
  assert.ok(options.endsWith(` -c lc_messages=C -c synchronous_commit=off ${given}`), options);
  assert.match(restoreEnvironment(target, true)['PGOPTIONS'] ?? '', / -c synchronous_commit=on /);
});
