import assert from 'node:assert/strict';
import { userInfo } from 'node:os';
import { test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { formatPostgresUrl, parsePostgresUrl, readPostgresUrl } from '../../../src/config/postgres-url.ts';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { describeServer } from '../../../src/source/postgres/server/url.ts';

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

/** What libpq makes of each: host, port, user, password, database. */
const asLibpq: Readonly<Record<string, readonly [string, number, string, string | undefined, string]>> = {
  'postgres://a:p@h:1/d?host=g&port=2&user=b&password=q&dbname=e': ['g', 2, 'b', 'q', 'e'],
  'postgres://a@h/d?host=': ['localhost', 5432, 'a', undefined, 'd'],
  'postgres://a@h:7/d?port=': ['h', 5432, 'a', undefined, 'd'],
  'postgres://a@h/d?dbname=': ['h', 5432, 'a', undefined, 'a'],
  'postgres://a:p@h/d?password=': ['h', 5432, 'a', undefined, 'd'],
  'postgres://a@h/d?user=': ['h', 5432, userInfo().username, undefined, 'd'],
  'postgres://a@h/d?host=f&host=g': ['g', 5432, 'a', undefined, 'd'],
  'postgres://a:p:q@h/d': ['h', 5432, 'a', 'p:q', 'd'],
  'postgres://a:@h/d': ['h', 5432, 'a', undefined, 'd'],
  'postgres://a:x+y@h/d+e': ['h', 5432, 'a', 'x+y', 'd+e'],
  'postgres://a@[::1]:5433/d': ['::1', 5433, 'a', undefined, 'd'],
  'postgres://a@[fe80::1%25eth0]/d': ['fe80::1%eth0', 5432, 'a', undefined, 'd'],
  'postgres://a@/d?host=%2Frun%2Fpg': ['/run/pg', 5432, 'a', undefined, 'd'],
};

for (const [url, wanted] of Object.entries(asLibpq)) {
  test(`as libpq reads it, in the configuration and at the source: ${url}`, async () => {
    const partsOf = (text: string): unknown => {
      const { host, port, user, password, database } = parse(text);
      return [host, port, user, password, database];
    };
    assert.deepEqual(partsOf(url), wanted);
    assert.deepEqual(partsOf(formatPostgresUrl(readPostgresUrl(url))), wanted, 'written anew');
    const { config } = await loadConfig({ cwd: '/', env: { DATABASE_URL: url, HOME: '/none' } });
    assert.deepEqual(partsOf(config.targets.get('main')?.postgres?.url.reveal() ?? ''), wanted, 'as configured');
  });
}

test('an empty part keeps its default, whatever PG* variables say', async () => {
  const env = { DATABASE_URL: 'postgres://a@h/d?host=&port=', PGHOST: 'other', PGPORT: '9', HOME: '/none' };
  const { config } = await loadConfig({ cwd: '/', env });
  const { host, port } = parse(config.targets.get('main')?.postgres?.url.reveal() ?? '');
  assert.deepEqual([host, port], ['localhost', 5432]);
});

test('what the source would refuse is a fault of the configuration, in the same words', async () => {
  for (const [url, why] of [
    ['postgres://u:hidden@a,b/d', /it names several hosts; name the one to back up/],
    ['postgres://u:hidden@a:1,b:2/d', /it names several hosts/],
    ['postgres://u:hidden@h/d?host=a,b', /it names several hosts/],
    ['postgres://u:hidden@h:x/d', /its port is not a number/],
    ['postgres://u:hidden@h/d?sslmod=require', /unknown parameter "sslmod"/],
  ] as const) {
    assert.throws(() => parse(url), LifeboatError, url);
    await assert.rejects(loadConfig({ cwd: '/', env: { DATABASE_URL: url } }), (error: Error) => {
      assert.match(error.message, why);
      assert.doesNotMatch(error.message, /hidden/);
      return true;
    });
  }
});
