import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../../src/lib/errors.ts';
import { Secret } from '../../../../../src/lib/secret.ts';
import { describeServer, libpqEnvironment, parsePostgresUrl } from '../../../../../src/source/postgres/server/url.ts';

const parse = (url: string): ReturnType<typeof parsePostgresUrl> => parsePostgresUrl(new Secret(url));

test('every part may be percent-encoded, and has a default', () => {
  const { host, port, user, password, database, parameters } = parse(
    'postgresql://us%40er:p%3A%2Fw@db.example:6543/my%20db?sslmode=verify-full&sslrootcert=%2Fca.pem',
  );
  assert.deepEqual([host, port, user, password, database], ['db.example', 6543, 'us@er', 'p:/w', 'my db']);
  assert.deepEqual(
    [...parameters],
    [
      ['sslmode', 'verify-full'],
      ['sslrootcert', '/ca.pem'],
    ],
  );
  const least = parse('postgres://u@');
  assert.deepEqual([least.host, least.port, least.password, least.database], ['localhost', 5432, undefined, 'u']);
});

test('sockets and IPv6', () => {
  for (const url of [
    'postgres://u@%2Frun%2Fpg:5433/d',
    'postgres:///d?host=/run/pg&port=5433&user=u',
    'postgres://u@/d?host=%2Frun%2Fpg&port=5433',
  ]) {
    const parsed = parse(url);
    assert.deepEqual([parsed.host, parsed.port, parsed.user, parsed.database], ['/run/pg', 5433, 'u', 'd'], url);
    assert.equal(describeServer(parsed), '/run/pg/.s.PGSQL.5433, database d');
  }
  assert.equal(describeServer(parse('postgres://u@[::1]:5433/d')), '[::1]:5433, database d');
});

test('what libpq would refuse is a usage error that never shows the URL', () => {
  for (const url of [
    'mysql://u:hidden@h/d',
    'postgres://u:hidden@h:0/d',
    'postgres://u:hidden@a,b/d',
    'postgres://u:hidden%zz@h/d',
    'postgres://u:hidden@h/d?sslmod=require',
    'postgres://u:hidden@::1/d',
  ]) {
    assert.throws(
      () => parse(url),
      (error: unknown) =>
        error instanceof LifeboatError && error.exitCode === 2 && !`${error.message}${error.hint}`.includes('hidden'),
      url,
    );
  }
});

test("parameters of other programs' URLs are passed over", () => {
  assert.deepEqual(
    [...parse('postgres://u@h/d?schema=public&connection_limit=5&pgbouncer=true&ssl=true').parameters],
    [['sslmode', 'require']],
  );
});

test('children get everything by environment, names in UTF-8 unless the database has no encoding', () => {
  const env = libpqEnvironment(new Secret('postgres://u:s3cret@h:5433/d?sslmode=require&connect_timeout=3'), {
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
    libpqEnvironment(new Secret('postgres://u@h/d'), { encoding: 'SQL_ASCII' })['PGCLIENTENCODING'],
    'SQL_ASCII',
  );
  assert.equal('PGPASSWORD' in libpqEnvironment(new Secret('postgres://u@h/d')), false);
});
