import assert from 'node:assert/strict';
import { userInfo } from 'node:os';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { loadConfig } from '../../../src/config/load.ts';
import { parsePostgresUrl as parse } from '../../../src/config/postgres-url-parser.ts';
import { PostgresUrl } from '../../../src/config/postgres-url.ts';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { libpqEnvironment } from '../../../src/source/postgres/server/libpq.ts';

test('every part may be percent-encoded, and has a default', () => {
  const { host, port, user, password, database, parameters } = parse(
    'postgresql://us%40er:p%3A%2Fw@db.example:6543/my%20db?sslmode=verify-full&sslrootcert=%2Fca.pem',
  );
  assert.deepEqual([host, port, user, password?.reveal(), database], ['db.example', 6543, 'us@er', 'p:/w', 'my db']);
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
    assert.equal(parsed.describe(), '/run/pg/.s.PGSQL.5433, database d');
  }
  assert.equal(parse('postgres://u@[::1]:5433/d').describe(), '[::1]:5433, database d');
});

test('what libpq would refuse is a usage error that never shows the URL', () => {
  for (const url of [
    'mysql://u:hidden@h/d',
    'postgres://u:hidden@h:0/d',
    'postgres://u:hidden@a,b/d',
    'postgres://u:hidden%zz@h/d',
    'postgres://u:hidden@h/d?sslmod=require',
    'postgres://u:hidden@::1/d',
    'postgres://u:hidden@h/d%00e',
    'postgres://u:hidden@h/d?constructor=e',
    'postgres://u:hidden@a%2Cb/d',
    'postgres://u:hidden@h:65536/d',
    'postgres://u:hidden@h:1e3/d',
    ' ',
  ]) {
    assert.throws(
      () => parse(url),
      (error: unknown) =>
        error instanceof LifeboatError && error.exitCode === 2 && !`${error.message}${error.hint}`.includes('hidden'),
      url,
    );
  }
});

test('hostaddr is where to connect, host what the server is called and what a password file has', async () => {
  for (const [url, host, address] of [
    ['postgres://u@db.example/d?hostaddr=10.0.0.7', 'db.example', '10.0.0.7'],
    ['postgres://u@/d?hostaddr=::1', '::1', '::1'],
    ['postgres://u@%2Frun%2Fpg/d?hostaddr=127.0.0.1', '/run/pg', '127.0.0.1'],
    ['postgres://u@db.example/d?hostaddr=', 'db.example', 'db.example'],
  ] as const) {
    const { config } = await loadConfig({ cwd: '/', env: { DATABASE_URL: url, HOME: '/none' } });
    for (const parsed of [parse(url), parse(parse(url)), config.targets.get('main')?.postgres?.url]) {
      assert.deepEqual([parsed?.host, parsed?.address], [host, address], url);
    }
  }
  assert.equal(libpqEnvironment(parse('postgres://u@h/d?hostaddr=10.0.0.7'))['PGHOSTADDR'], '10.0.0.7');
  const env = { PGHOST: 'h', PGHOSTADDR: '10.0.0.8', PGDATABASE: 'd', PGUSER: 'u', HOME: '/none' };
  const { config } = await loadConfig({ cwd: '/', env });
  const { host, address } = config.targets.get('main')?.postgres?.url ?? {};
  assert.deepEqual([host, address], ['h', '10.0.0.8']);
  for (const address of ['db.example', '10.0.0.7,10.0.0.8', '[::1]']) {
    assert.throws(() => parse(`postgres://u:hidden@h/d?hostaddr=${address}`), { code: 'usage' }, address);
  }
});

test("parameters of other programs' URLs are passed over", () => {
  assert.deepEqual(
    [...parse('postgres://u@h/d?schema=public&connection_limit=5&pgbouncer=true&ssl=true').parameters],
    [['sslmode', 'require']],
  );
});

function partsOf(url: PostgresUrl | undefined): unknown[] {
  return [url?.host, url?.port, url?.user, url?.password?.reveal(), url?.database];
}

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
    assert.deepEqual(partsOf(parse(url)), wanted);
    assert.deepEqual(partsOf(parse(parse(url))), wanted, 'written anew');
    const { config } = await loadConfig({ cwd: '/', env: { DATABASE_URL: url, HOME: '/none' } });
    assert.deepEqual(partsOf(config.targets.get('main')?.postgres?.url), wanted, 'as configured');
  });
}

test('an empty part keeps its default, whatever PG* variables say', async () => {
  const env = { DATABASE_URL: 'postgres://a@h/d?host=&port=', PGHOST: 'other', PGPORT: '9', HOME: '/none' };
  const { config } = await loadConfig({ cwd: '/', env });
  const [host, port] = partsOf(config.targets.get('main')?.postgres?.url);
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

test('what PG* variables add is checked with it', async () => {
  for (const [name, value, why] of [
    ['PGPORT', '5432,5433', /its port is not a number/],
    ['PGHOST', 'a,b', /it names several hosts/],
  ] as const) {
    await assert.rejects(loadConfig({ cwd: '/', env: { DATABASE_URL: 'postgres:///d', [name]: value } }), why);
  }
});

/** Names that mean something to libpq, to a URL, to a shell or to JavaScript. */
const oddNames = [
  'host=x',
  'postgres://other/d',
  "o'x; $(id) `id` \\",
  'a/b?c=d#e&f=g',
  'per%cent %41',
  'a+b c',
  ' leading and trailing ',
  'ünï✓',
  '"quoted"',
  'line\nfeed',
  '__proto__',
  '@:,[]',
];

test('names of databases, users and passwords are what they are, whatever stands in them', () => {
  for (const name of oddNames) {
    const parts = { host: '/run/p g@:%', port: 1, user: name, password: new Secret(name), database: name };
    const url = new PostgresUrl({ ...parts, parameters: new Map([['options', name]]) });
    for (const each of [url, parse(url), parse(` ${url.reveal()}\n`), parse('postgres://h/').withDatabase(name)]) {
      assert.equal(each.database, name);
    }
    assert.deepEqual(partsOf(parse(url)), ['/run/p g@:%', 1, name, name, name]);
    assert.equal(parse(url).parameters.get('options'), name);
    assert.equal(libpqEnvironment(url)['PGDATABASE'], name);
    assert.doesNotMatch(url.reveal(), /['"\s$`;\\]/, 'it stands between quotes in commands that are shown');
  }
});

test('another database is another value; the first stays as it was', () => {
  const parameters = new Map([['sslmode', 'require']]);
  const parts = { host: 'h', port: 7, user: 'u', password: new Secret('p'), database: 'd', parameters };
  const url = new PostgresUrl(parts);
  parameters.set('sslmode', 'disable');
  const other = url.withDatabase('e');
  assert.equal(other.reveal(), 'postgres://u:p@h:7/e?sslmode=require');
  assert.equal(url.reveal(), 'postgres://u:p@h:7/d?sslmode=require');
  assert.throws(() => Object.assign(url, { database: 'f' }), TypeError);
});

test('nothing of it is shown by accident', () => {
  const url = parse('postgres://usr:pwd@hst:77/dbs?sslmode=require');
  const entries = JSON.stringify([Object.entries(url), Reflect.ownKeys(url), { ...url }, structuredClone(url)]);
  for (const shown of [
    inspect({ url }, { depth: 9, showHidden: true }),
    inspect(url, { customInspect: false, showHidden: true, getters: false }),
    JSON.stringify({ url }),
    String(url),
    entries,
  ]) {
    assert.doesNotMatch(shown, /usr|pwd|hst|77|dbs|require/);
  }
  assert.equal(url.describe(), 'hst:77, database dbs');
});

test('a URL that was not asked for is there, and says so to whoever uses it', async () => {
  const env = { DATABASE_URL: 'postgres://u:hidden@h/d', BACKUP_DRILL_DATABASE_URL: 'postgres://u:hidden@h/d' };
  const { config } = await loadConfig({ cwd: '/', env, need: {} });
  for (const url of [config.targets.get('main')?.postgres?.url, config.drill.scratchPostgresUrl]) {
    assert.ok(url instanceof PostgresUrl);
    for (const use of [
      () => url.host,
      () => url.password,
      () => url.reveal(),
      () => url.describe(),
      () => url.withDatabase('d'),
      () => libpqEnvironment(url),
    ]) {
      assert.throws(use, /Url|url.* was not loaded for this command/);
    }
    assert.doesNotMatch(inspect(url, { showHidden: true }), /hidden/);
  }
});
