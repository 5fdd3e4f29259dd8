/** `lifeboat doctor` on real servers: all green, then each kind of trouble provoked, one by one and all at once. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { loadConfig } from '../../src/config/load.ts';
import { ownIdentity } from '../../src/lib/process-identity.ts';
import { checkStorage } from '../../src/operations/doctor/storage.ts';
import { doctor } from '../../src/operations/doctor/doctor.ts';
import type { InitResult } from '../../src/operations/setup/request.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { makeBench, testKey } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { fillMany, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import { runCli } from '../helpers/cli/run-cli.ts';
import type { DoctorCheck, DoctorResult } from '../../src/operations/doctor/request.ts';

const work = mkdtempSync(join(tmpdir(), 'doctor-'));
const at = (...parts: string[]): string => join(work, ...parts);
let postgres: TestPostgres;
let redis: TestRedis;
let s3: TestS3Server;

before(async () => {
  [postgres, redis, s3] = await Promise.all([
    startPostgres({ port: 0, password: 'super' }),
    startRedis({ password: 'secret', aclUsers: ['limited on >limited ~* +@all -sync -psync'] }),
    startS3Server(),
  ]);
  await postgres.psql('postgres', 'CREATE DATABASE shop');
  await postgres.psql('shop', 'CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)');
  fillMany(redis, 100);
  mkdirSync(at('uploads'));
  writeFileSync(at('uploads', 'one'), 'content');
  writeFileSync(at('key'), testKey, { mode: 0o600 });
});
after(async () => {
  await Promise.all([postgres?.stop(), redis?.stop(), s3?.stop()]);
  rmSync(work, { recursive: true, force: true });
});

type Document = Record<string, unknown>;

/** Settings of a local repository of that name with one small file tree. */
function local(name: string, more: Document = {}): Document {
  return {
    repository: `file://${at(name)}`,
    stateDir: at(`${name}-state`),
    encryption: { key: { file: at('key') } },
    targets: { main: { files: { paths: [at('uploads')] } } },
    ...more,
  };
}

/** The same written down, as the commands need it. */
function configured(settings: Document, name: string): readonly string[] {
  writeFileSync(at(`${name}.json`), JSON.stringify(settings), { mode: 0o600 });
  return ['--config', at(`${name}.json`)];
}

async function made(name: string, settings = local(name)): Promise<Document> {
  const flags = configured(settings, name);
  for (const command of ['init', 'backup']) {
    const result = await runCli([command, ...flags, '--quiet']);
    assert.equal(result.exitCode, 0, result.stderr);
  }
  return settings;
}

async function diagnose(settings: Document): Promise<readonly DoctorCheck[]> {
  const loaded = await loadConfig({ cwd: work, env: {}, document: settings });
  const { checks } = await doctor(loaded, {}, { signal: new AbortController().signal, emit: () => {} });
  assert.ok(
    checks.every(({ ok, hint }) => ok === 'ok' || (hint ?? '') !== ''),
    `each fault says what to do: ${JSON.stringify(checks.filter(({ ok, hint }) => ok !== 'ok' && hint === undefined))}`,
  );
  return checks;
}

/** One check by name must be of that kind and say that; others of the same name may say more. */
function expect(
  checks: readonly DoctorCheck[],
  name: string,
  ok: DoctorCheck['ok'],
  message: RegExp,
  code?: string,
): void {
  const named = checks.filter((check) => check.name === name);
  const found = named.find((check) => check.ok === ok && message.test(check.message));
  assert.ok(
    found !== undefined,
    `${name} is not ${ok} ${message}: ${JSON.stringify(named.length > 0 ? named : checks, null, 1)}`,
  );
  assert.equal(found.code, code);
}

function faultyNames(checks: readonly DoctorCheck[]): string[] {
  return [...new Set(checks.filter(({ ok }) => ok !== 'ok').map(({ name }) => name))];
}

/** This process's clock runs ahead. */
function shiftClock(t: TestContext, byMs: number): void {
  const now = Date.now.bind(Date);
  t.mock.method(Date, 'now', () => now() + byMs);
}

const minuteMs = 60_000;

test('all green: exit code 0, everything said once, nothing left', async () => {
  const { bucket, endpoint, prefix } = await s3.location({ prefix: 'green' });
  const settings = {
    repository: {
      url: `s3://${bucket}/${prefix}`,
      endpoint,
      pathStyle: true,
      accessKey: s3.accessKey,
      secretKey: s3.secretKey,
    },
    stateDir: at('green-state'),
    encryption: { key: { file: 'key' } },
    targets: {
      main: { postgres: { url: postgres.url('shop') }, redis: { url: redis.url() }, files: { paths: ['uploads'] } },
    },
  };
  await made('green', settings);
  const result = await runCli(['doctor', ...configured(settings, 'green'), '--json']);
  const { checks, ...rest } = JSON.parse(result.stdout) as DoctorResult;
  assert.deepEqual(faultyNames(checks), [], result.stdout);
  assert.equal(result.exitCode, 0);
  assert.deepEqual(rest, { schema: 'lifeboat.doctor/v1' });
  assert.deepEqual(
    checks.map(({ name }) => name),
    [
      'program',
      'configuration',
      'jobs',
      'secret files',
      'state folder',
      'drill isolation',
      'temporary folder',
      'main: PostgreSQL',
      'main: PostgreSQL tools',
      'main: PostgreSQL clock',
      'main: Redis',
      'main: Redis tools',
      'main: Redis spool',
      'main: files',
      'repository',
      'repository writing',
      'repository clock',
      'repository leases',
      'repository bucket',
      'repository rescue script',
      'repository hidden backups',
      'key',
      'main: newest backup',
    ],
  );
  expect(checks, 'main: PostgreSQL', 'ok', /version 15\.\d+ at 127\.0\.0\.1.*shop/);
  expect(checks, 'main: PostgreSQL tools', 'ok', /pg_dump, pg_dumpall, pg_restore and psql 15\.\d+ in \//);
  expect(checks, 'main: Redis', 'ok', /Redis 7\.\S+ at 127\.0\.0\.1.*replication/);
  expect(checks, 'main: newest backup', 'ok', /-main-full-.* old, opens with the configured key/);
  assert.doesNotMatch(
    result.stdout,
    new RegExp(
      `super|secret|${testKey}|${s3.secretKey}`.replace('super', '[:"]super').replace('|secret|', '|[:"]secret[@"]|'),
    ),
  );
  const text = await runCli(['doctor', '--target', 'main', ...configured(settings, 'green')]);
  assert.equal(text.stdout.split('\n').filter((line) => line.startsWith('ok    ')).length, checks.length);
});

test('nothing configured: says so and goes on (2); an unknown target is refused', async () => {
  const checks = await diagnose({ stateDir: at('none') });
  assert.deepEqual(faultyNames(checks), ['configuration', 'repository']);
  expect(checks, 'configuration', 'fail', /nothing to back up/, 'usage');
  expect(checks, 'repository', 'fail', /no repository is configured/, 'usage');
  assert.equal((await runCli(['doctor'], { env: { BACKUP_STATE_DIR: at('none') } })).exitCode, 2);
  const wrong = await runCli(['doctor', '--target', 'mian', ...configured(local('wrong'), 'wrong')]);
  assert.equal(wrong.exitCode, 2, wrong.stdout);
});

test('all that is named is silent or gone: each is told, none hides another, and it ends', async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => void sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  try {
    const checks = await diagnose({
      repository: { url: 's3://bucket/x', endpoint: `http://127.0.0.1:${port}`, accessKey: 'a', secretKey: 'b' },
      stateDir: at('silent-state'),
      encryption: { enabled: false },
      targets: {
        silent: { postgres: { url: `postgres://u@127.0.0.1:${port}/x` }, redis: { url: `redis://127.0.0.1:${port}` } },
        gone: {
          postgres: { url: 'postgres://u@127.0.0.1:1/x' },
          redis: { url: 'redis://127.0.0.1:1' },
          files: { paths: [at('gone')] },
        },
      },
    });
    assert.deepEqual(faultyNames(checks), [
      'silent: PostgreSQL',
      'silent: Redis',
      'gone: PostgreSQL',
      'gone: Redis',
      'gone: files',
      'repository',
    ]);
    expect(checks, 'silent: PostgreSQL', 'fail', /./, 'source');
    expect(checks, 'silent: Redis', 'fail', /./, 'source');
    expect(checks, 'gone: PostgreSQL', 'fail', /127\.0\.0\.1:1/, 'source');
    expect(checks, 'gone: Redis', 'fail', /nothing listens there/, 'source');
    expect(checks, 'gone: files', 'fail', /does not exist/, 'source');
    expect(checks, 'gone: PostgreSQL tools', 'ok', /client programs of version/);
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

test('PostgreSQL: a wrong password, missing rights, hidden rows, large objects, roles without passwords', async () => {
  await postgres.psql(
    'shop',
    `
    CREATE ROLE weak LOGIN PASSWORD 'weak'; CREATE SCHEMA closed; CREATE TABLE closed.t (a int);
    CREATE TABLE hidden (a int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
    GRANT SELECT ON hidden TO weak; SELECT lo_create(4711)`,
  );
  const withUrl = (url: string): Document =>
    local('pg', { targets: { main: { postgres: { url, databases: ['shop'] } } } });
  try {
    const checks = await diagnose(withUrl(postgres.url('shop', 'weak', 'weak')));
    const name = 'main: PostgreSQL';
    expect(checks, name, 'fail', /schemas: closed/, 'source');
    expect(checks, name, 'fail', /tables and sequences: .*public\.item/, 'source');
    expect(checks, name, 'fail', /row-level security.*public\.hidden/, 'source');
    expect(checks, name, 'fail', /large objects: 4711/, 'source');
    expect(checks, name, 'warn', /roles are backed up without them/);
    expect(checks, `${name} tools`, 'ok', /15\./);
    assert.ok(!checks.some((check) => check.name === `${name} password`), 'valid for ever');
    for (const [days, level] of [
      [5, 'warn'],
      [50, 'ok'],
    ] as const) {
      await postgres.psql(
        'shop',
        `DO $$ BEGIN EXECUTE format('ALTER ROLE weak VALID UNTIL %L', now() + '${days} d'); END $$`,
      );
      const until = await diagnose(withUrl(postgres.url('shop', 'weak', 'weak')));
      expect(until, `${name} password`, level, /the password of role weak is valid until 20\d\d-/);
    }
    expect(await diagnose(withUrl(postgres.url('shop', 'weak', 'wrong'))), name, 'fail', /password/, 'source');
    expect(
      await diagnose(
        local('pg', { targets: { main: { postgres: { url: postgres.url('postgres'), databases: ['nosuch'] } } } }),
      ),
      name,
      'fail',
      /nosuch/,
      'source',
    );
  } finally {
    await postgres.psql(
      'shop',
      'SELECT lo_unlink(4711); DROP SCHEMA closed CASCADE; DROP TABLE hidden; DROP OWNED BY weak; DROP ROLE weak',
    );
  }
});

test('Redis: replication refused, a wrong password, a spool that is too small', async () => {
  const withUrl = (url: string, method = 'auto'): Document =>
    local('redis', { targets: { main: { redis: { url, method } } } });
  const name = 'main: Redis';
  expect(await diagnose(withUrl(redis.url('limited', 'limited'))), name, 'warn', /limited may not replicate/);
  expect(
    await diagnose(withUrl(redis.url('limited', 'limited'), 'replication')),
    name,
    'fail',
    /limited may not replicate/,
    'source',
  );
  expect(await diagnose(withUrl(redis.url('', 'wrong'))), name, 'fail', /password is wrong/, 'source');
  expect(await diagnose(withUrl(redis.url(), 'scan')), name, 'ok', /key by key/);
});

test('programs that are missing: 16', async () => {
  await using bench = makeBench({ DATABASE_URL: postgres.url('shop'), REDIS_URL: redis.url() });
  mkdirSync(join(bench.folder, 'bin'));
  const node = join(process.execPath, '..');
  const wrapper = [
    '/usr/bin/unshare',
    '-m',
    '/bin/sh',
    '-c',
    `/bin/mount -t tmpfs none /usr/lib/postgresql && PATH=${node} exec "$0" "$@"`,
  ];
  const { checks } = await bench.json<DoctorResult>('doctor', {
    wrapper: [...wrapper, process.execPath],
    exitCode: 16,
  });
  expect(checks, 'main: PostgreSQL', 'ok', /version 15/);
  expect(checks, 'main: PostgreSQL tools', 'fail', /none is installed/, 'tool');
  expect(checks, 'main: Redis', 'ok', /./);
  expect(checks, 'main: Redis tools', 'warn', /no redis-server/);
  expect(checks, 'repository', 'fail', /there is no repository/, 'not_found');
  assert.equal(existsSync(bench.repository), false, 'nothing was written');
});

test('files: an empty root, a root in the repository, a repository in a root or on the same disk', async () => {
  await made('places');
  mkdirSync(at('empty'));
  const withPaths = (...paths: string[]): Document => local('places', { targets: { main: { files: { paths } } } });
  const checks = await diagnose(withPaths(at('uploads'), at('empty'), at('places', 'packs')));
  expect(checks, 'main: files', 'warn', /empty is empty/);
  expect(checks, 'repository place', 'fail', /packs lies inside the repository/, 'usage');
  expect(checks, 'repository place', 'warn', /same disk as .*uploads/);
  expect(await diagnose(withPaths(work)), 'repository place', 'warn', /the repository lies inside/);
  const servers = await diagnose(
    local('places', { targets: { main: { postgres: { url: postgres.url('shop') }, redis: { url: redis.url() } } } }),
  );
  expect(
    servers,
    'repository place',
    'warn',
    /same disk as the data of main's PostgreSQL and the data of main's Redis/,
  );
});

test('the repository: none, a wrong key, no encryption against encryption, no rights', async () => {
  const none = await diagnose(local('absent'));
  expect(none, 'repository', 'fail', /there is no repository/, 'not_found');
  assert.equal(existsSync(at('absent')), false, 'nothing was written');
  await made('keyed');
  const wrong = await diagnose(local('keyed', { encryption: { key: 'cd'.repeat(32) } }));
  expect(wrong, 'key', 'fail', /does not open/, 'key');
  expect(wrong, 'main: newest backup', 'fail', /cannot be opened/, 'key');
  expect(wrong, 'repository writing', 'ok', /./);
  const off = await diagnose(local('keyed', { encryption: { enabled: false } }));
  expect(off, 'repository', 'fail', /switched off/, 'key');
  const stranger = await s3.makeUser();
  const bucket = await s3.makeBucket();
  const refused = await diagnose({
    ...local('s3'),
    repository: { url: `s3://${bucket}/x`, endpoint: s3.endpoint, pathStyle: true, ...stranger },
  });
  expect(refused, 'repository', 'fail', /may not/, 'storage');
  // A file where the folder of leases should be: nothing can be written there.
  rmSync(at('keyed', 'locks'), { recursive: true, force: true });
  writeFileSync(at('keyed', 'locks'), '');
  const blocked = await diagnose(local('keyed'));
  expect(blocked, 'repository writing', 'fail', /locks/, 'storage');
  expect(blocked, 'main: newest backup', 'ok', /opens with/);
});

test('a storage that does not show what was written, keeps what was removed, or gives back other bytes', async () => {
  const real = openLocalStorage(at('lying'), { create: true });
  const context = { signal: new AbortController().signal, emit: () => {} };
  const check = async (change: Partial<Storage>): Promise<readonly DoctorCheck[]> =>
    checkStorage(
      {
        location: real.location,
        capabilities: real.capabilities,
        put: (...a) => real.put(...a),
        get: (...a) => real.get(...a),
        stat: (key) => real.stat(key),
        list: (...a) => real.list(...a),
        remove: (...a) => real.remove(...a),
        space: () => real.space(),
        removeStaleTemporaries: (ms) => real.removeStaleTemporaries(ms),
        close: () => real.close(),
        ...change,
      },
      { kind: 'local', path: at('lying') },
      context,
    );
  const forgetful = async function* (): AsyncGenerator<never> {};
  expect(await check({ list: forgetful }), 'repository writing', 'warn', /just written does not show/);
  const late: Storage['list'] = async function* (prefix) {
    yield* kept.filter(({ key }) => key.startsWith(prefix));
    for await (const info of real.list(prefix)) {
      if (!kept.some(({ key }) => key === info.key)) yield (kept.push(info), info);
    }
  };
  const kept: Awaited<ReturnType<Storage['stat']>>[] = [];
  expect(await check({ list: late }), 'repository writing', 'warn', /just removed still shows/);
  expect(
    await check({ get: async (key) => Buffer.from(await real.get(key)).fill(0) }),
    'repository writing',
    'fail',
    /other bytes/,
    'integrity',
  );
  expect(await check({ get: (key) => real.get(key) }), 'repository writing', 'fail', /another range/, 'integrity');
  expect(await check({}), 'repository writing', 'ok', /./);
  assert.deepEqual(readdirSync(at('lying'), { recursive: true }), [], 'nothing is left');
});

test('clocks: 3 minutes warn, 11 minutes fail, of the storage and of the server', async (t) => {
  const settings = await made(
    'clock',
    local('clock', { targets: { main: { postgres: { url: postgres.url('shop') } } } }),
  );
  shiftClock(t, 3 * minuteMs);
  const some = await diagnose(settings);
  expect(some, 'repository clock', 'warn', /3 min .* ahead of that of the storage/);
  expect(some, 'main: PostgreSQL clock', 'warn', /3 min .* ahead of that of the server/);
  shiftClock(t, -14 * minuteMs);
  const much = await diagnose(settings);
  expect(much, 'repository clock', 'fail', /1[01] min .* behind/, 'usage');
  expect(much, 'main: PostgreSQL clock', 'fail', /1[01] min .* behind/, 'usage');
});

test('space: for the next backup, for a full one, and for the Redis snapshot', async () => {
  mkdirSync(at('small'));
  mkdirSync(at('noise'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'none', at('small')]);
  const tmp = process.env['TMPDIR'];
  try {
    execFileSync('sh', ['-c', `head -c 9000000 /dev/urandom > ${at('noise', 'file')}`]);
    const settings = {
      ...local('small-repository', { targets: { main: { files: { paths: [at('noise')] } } } }),
      repository: `file://${at('small', 'repository')}`,
    };
    await made('small-repository', settings);
    expect(await diagnose(settings), 'repository space', 'fail', /the newest backup stored 8\.6 MiB/, 'space');
    // Ids sort by their second.
    await sleep(1100);
    assert.equal((await runCli(['backup', ...configured(settings, 'small-repository'), '--quiet'])).exitCode, 0);
    expect(await diagnose(settings), 'repository space', 'warn', /a full backup.* 8\.6 MiB/);
    redis.cli(['SET', 'big', 'x'], undefined);
    redis.cli(['SETRANGE', 'big', '30000000', 'x']);
    process.env['TMPDIR'] = at('small');
    expect(
      await diagnose(local('spool', { targets: { main: { redis: { url: redis.url() } } } })),
      'main: Redis spool',
      'fail',
      /free in .*small/,
      'space',
    );
  } finally {
    if (tmp === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = tmp;
    redis.cli(['DEL', 'big']);
    execFileSync('umount', [at('small')]);
  }
});

test('files and folders that others can read; a state folder that is none; too many jobs', async () => {
  const settings = await made('rights');
  chmodSync(at('key'), 0o644);
  chmodSync(at('rights-state'), 0o755);
  try {
    const checks = await diagnose({ ...settings, jobs: 64 });
    expect(checks, 'secret files', 'warn', /key can be read by others/);
    expect(checks, 'state folder', 'warn', /open to others/);
    expect(checks, 'jobs', 'warn', /64 streams/);
  } finally {
    chmodSync(at('key'), 0o600);
    chmodSync(at('rights-state'), 0o700);
  }
  writeFileSync(at('secret.json'), JSON.stringify({ ...settings, encryption: { key: testKey } }), { mode: 0o644 });
  const result = await runCli(['doctor', '--config', at('secret.json'), '--json']);
  expect(
    (JSON.parse(result.stdout) as DoctorResult).checks,
    'configuration',
    'warn',
    /holds secrets and others can read it/,
  );
  writeFileSync(at('no-folder'), '');
  expect(
    await diagnose({ ...settings, stateDir: at('no-folder') }),
    'state folder',
    'fail',
    /is not a folder/,
    'usage',
  );
  expect(
    await diagnose({ ...settings, stateDir: at('no-folder', 'state') }),
    'state folder',
    'fail',
    /cannot use/,
    'usage',
  );
});

test('leases of dead runs are named, those of living ones too; abandoned trial objects go', async () => {
  const settings = await made('leases');
  const write = (scope: string, id: string, change: object): void => {
    mkdirSync(at('leases', 'locks', scope), { recursive: true });
    writeFileSync(
      at('leases', 'locks', scope, `${id}.json`),
      JSON.stringify({ id, scope, command: 'backup', ...ownIdentity(), parents: [], ...change }),
    );
  };
  write('backup-main', 'aaaa', {});
  expect(
    await diagnose(settings),
    'repository leases',
    'ok',
    new RegExp(`running now: backup-main .*pid ${process.pid}`),
  );
  write('cleanup', 'bbbb', { processStart: '1' });
  mkdirSync(at('leases', 'locks', 'doctor'), { recursive: true });
  writeFileSync(at('leases', 'locks', 'doctor', 'feedfeed'), '');
  execFileSync('touch', ['-d', '2 hours ago', at('leases', 'locks', 'doctor', 'feedfeed')]);
  expect(await diagnose(settings), 'repository leases', 'warn', /dead: cleanup/);
  assert.equal(existsSync(at('leases', 'locks', 'doctor', 'feedfeed')), false);
  write('cleanup', 'cccc', { host: 'elsewhere' });
  execFileSync('touch', ['-d', '1 hour ago', at('leases', 'locks', 'cleanup', 'cccc.json')]);
  expect(await diagnose(settings), 'repository leases', 'warn', /on elsewhere/);
});

test('the rescue script: another one, or none; init puts the one of this version there', async () => {
  const settings = await made('rescue');
  const script = at('rescue', 'rescue', 'rescue.mjs');
  writeFileSync(script, `${readFileSync(script, 'utf8')}// changed\n`);
  expect(await diagnose(settings), 'repository rescue script', 'warn', /not the one of this version/);
  rmSync(script);
  expect(await diagnose(settings), 'repository rescue script', 'warn', /has no rescue/);
  const put = await runCli(['init', '--rescue-script', ...configured(settings, 'rescue'), '--json']);
  const { created, rescueSha256 } = JSON.parse(put.stdout) as InitResult;
  assert.deepEqual(
    [put.exitCode, created, rescueSha256],
    [0, ['rescue/rescue.mjs', 'rescue/README.md'], createHash('sha256').update(readFileSync(script)).digest('hex')],
  );
  expect(await diagnose(settings), 'repository rescue script', 'ok', /the one of this version/);
});

test('archiving: told where base backups want the log, or a slot holds much back', async () => {
  const target = (base: object): Document =>
    local('archiving', { targets: { main: { postgres: { url: postgres.url('shop'), ...base } } } });
  await made('archiving', target({}));
  assert.ok(
    !(await diagnose(target({}))).some(({ name }) => name === 'main: PostgreSQL archiving'),
    'nobody asked for it',
  );
  expect(await diagnose(target({ base: {} })), 'main: PostgreSQL archiving', 'warn', /archive_mode is off/);
});

test('the newest backup: none, old, damaged, taken away', async (t) => {
  const settings = await made('newest');
  const [id = ''] = readdirSync(at('newest', 'manifests'));
  const other = {
    ...settings,
    targets: { ...(settings['targets'] as object), other: { files: { paths: [at('uploads')] } } },
  };
  expect(await diagnose(other), 'other: newest backup', 'warn', /no backup of target other yet/);
  const facts = at('newest', 'backups', id.replace('.json', ''), 'facts');
  const whole = readFileSync(facts);
  const spoilt = Buffer.from(whole);
  spoilt[70] = (spoilt[70] ?? 0) ^ 0xff;
  writeFileSync(facts, spoilt);
  expect(await diagnose(settings), 'main: newest backup', 'fail', /facts/, 'integrity');
  writeFileSync(facts, whole);
  const manifest = at('newest', 'manifests', id);
  const text = readFileSync(manifest, 'utf8');
  writeFileSync(manifest, text.replace('"host": "', '"host": "x'));
  const damaged = await diagnose(settings);
  expect(damaged, 'manifests', 'fail', /cannot be used/, 'integrity');
  expect(damaged, 'main: newest backup', 'fail', /remembers a newer one/, 'integrity');
  writeFileSync(manifest, text);
  shiftClock(t, 72 * 60 * minuteMs);
  expect(await diagnose(settings), 'main: newest backup', 'warn', /72 h .* old/);
});

test(
  'buckets: versions are mentioned, a default retention is warned ' +
    'of, object lock without a bucket that has it is a fault',
  async () => {
    const bucket = await s3.makeBucket({ objectLock: true });
    const settings = {
      ...local('bucket'),
      repository: {
        url: `s3://${bucket}`,
        endpoint: s3.endpoint,
        pathStyle: true,
        accessKey: s3.accessKey,
        secretKey: s3.secretKey,
      },
    };
    await made('bucket', settings);
    expect(
      await diagnose(settings),
      'repository bucket',
      'ok',
      /object lock is on, but backups are not retained .*; versions are kept/,
    );
    const locked = { ...settings, repository: { ...settings.repository, objectLock: { days: 3, mode: 'governance' } } };
    expect(await diagnose(locked), 'repository bucket', 'ok', /backups are retained for 3 days \(governance\)/);
    const other = { ...settings.repository, url: `s3://${await s3.makeBucket({ versions: true })}` };
    await made('unlocked', { ...local('unlocked'), repository: other });
    expect(
      await diagnose({ ...local('unlocked'), repository: { ...other, objectLock: { days: 3 } } }),
      'repository bucket',
      'fail',
      /bucket without it/,
      'usage',
    );
    await s3.client.send(
      new PutObjectLockConfigurationCommand({
        Bucket: bucket,
        ObjectLockConfiguration: {
          ObjectLockEnabled: 'Enabled',
          Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } },
        },
      }),
    );
    expect(await diagnose(settings), 'repository bucket', 'warn', /GOVERNANCE, 1 days/);
  },
);
