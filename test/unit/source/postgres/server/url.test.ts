import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePostgresUrl } from '../../../../../src/config/postgres-url-parser.ts';
import { libpqEnvironment } from '../../../../../src/source/postgres/server/url.ts';

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
  });
  assert.equal(
    libpqEnvironment(parsePostgresUrl('postgres://u@h/d'), { encoding: 'SQL_ASCII' })['PGCLIENTENCODING'],
    'SQL_ASCII',
  );
  assert.equal('PGPASSWORD' in libpqEnvironment(parsePostgresUrl('postgres://u@h/d')), false);
});
