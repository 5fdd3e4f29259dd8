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

test("the URL's options beat our defaults, and our search_path beats them, for every program and session", () => {
  const url = parsePostgresUrl(`postgres://u@h/d?options=${encodeURIComponent('-c search_path=evil -c role=owner')}`);
  const given = '-c search_path=evil -c role=owner -c search_path=pg_catalog';
  assert.equal(startupOptions(url), given);
  assert.equal(libpqEnvironment(url)['PGOPTIONS'], given);
  const target = { url, database: 'd', encoding: 'UTF8', isSuperuser: true };
  const defaults = '-c role=none -c default_transaction_read_only=off -c synchronous_commit=';
  assert.equal(restoreEnvironment(target)['PGOPTIONS'], `${defaults}off -c lc_messages=C ${given}`);
  assert.equal(restoreEnvironment(target, true)['PGOPTIONS'], `${defaults}on -c lc_messages=C ${given}`);
});
