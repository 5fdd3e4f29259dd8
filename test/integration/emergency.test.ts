/**
 * Emergency restores by whole commands: lost and wrong data, a damaged newest backup, the wrong server, a full disk,
 * plans for four eyes, and a kill at each step. What is live afterwards is compared with what was backed up.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { EmergencyStatusResult } from '../../src/operations/emergency/status.ts';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { assertFailed, makeBench, namesBelow, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import type { EmergencyResult } from '../../src/operations/emergency/request.ts';

type Done = Extract<EmergencyResult, { outcome: 'done' }>;
type Planned = Extract<EmergencyResult, { outcome: 'planned' }>;

let postgres: TestPostgres;
let elsewhere: TestPostgres;
let redis: TestRedis;
let bench: Bench;
let files: string;
let services: string;
let id: string;

before(async () => {
  [postgres, elsewhere, redis] = await Promise.all([startPostgres(), startPostgres(), startRedis()]);
  bench = makeBench({ DATABASE_URL: postgres.url('shop'), REDIS_URL: redis.url() });
  files = join(bench.folder, 'files');
  services = join(bench.folder, 'services');
  bench.env = { ...bench.env, BACKUP_FILES: files };
  writeConfig({
    stopServices: ['/bin/sh', '-c', `echo stop >> ${services}`],
    startServices: ['/bin/sh', '-c', `echo start >> ${services}`],
  });
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'right');
  await postgres.query('postgres', 'CREATE DATABASE shop');
  await postgres.psql(
    'shop',
    'CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, md5(n::text) FROM ' +
      'generate_series(1, 200) n',
  );
  redis.cli(['SET', 'k', 'right']);
  await bench.json('init');
  ({ id } = await bench.backup());
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), elsewhere?.stop(), redis?.stop()]);
});
beforeEach(() => rmSync(services, { force: true }));

/** The --json document, held against its schema. */
async function shown<T>(line: string, options?: Parameters<Bench['json']>[1]): Promise<T> {
  const document = await bench.json<T>(line, options);
  documents[line.startsWith('emergency-restore status') ? 'emergency-status' : 'emergency-restore'].parse(document);
  return document;
}

function writeConfig(emergency: object): void {
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ emergency }));
}

/** Somebody has broken everything, but it is still there. */
async function makeWrong(): Promise<void> {
  await postgres.query('shop', "UPDATE item SET name = 'wrong'");
  redis.cli(['SET', 'k', 'wrong']);
  redis.cli(['SET', 'other', 'wrong']);
  writeFileSync(join(files, 'a'), 'wrong');
}

async function makeLost(): Promise<void> {
  await postgres.query('postgres', 'DROP DATABASE shop WITH (FORCE)');
  redis.cli(['FLUSHALL']);
  rmSync(files, { recursive: true });
}

async function live(): Promise<unknown> {
  const rows = await postgres.query(
    'shop',
    'SELECT count(*)::text AS count, count(*) FILTER (WHERE name = md5(id::text))::text AS right FROM item',
  );
  return [
    rows,
    redis.cli(['KEYS', '*']).trim(),
    redis.cli(['GET', 'k']).trim(),
    readdirSync(files),
    readFileSync(join(files, 'a'), 'utf8'),
  ];
}
const right = [[{ count: '200', right: '200' }], 'k', 'right', ['a'], 'right'];

async function dropKept(): Promise<void> {
  const kept = await postgres.query(
    'postgres',
    `SELECT datname AS name FROM pg_database WHERE datname LIKE 'shop%before%'`,
  );
  for (const { name } of kept) await postgres.query('postgres', `DROP DATABASE "${name}"`);
  for (const name of readdirSync(bench.folder)) {
    if (name.startsWith('files_before_')) rmSync(join(bench.folder, name), { recursive: true });
  }
}

test('status says what can be restored, from the repository and the key alone', async () => {
  const { targets } = await shown<EmergencyStatusResult>('emergency-restore status', {
    env: { DATABASE_URL: undefined, REDIS_URL: undefined, BACKUP_FILES: undefined },
  });
  assert.deepEqual(
    targets.map(({ target, components }) => [target, components.map((each) => [each.component, each.id])]),
    [
      [
        'main',
        [
          ['database', id],
          ['redis', id],
          ['files', id],
        ],
      ],
    ],
  );
  const text = await bench.run('emergency-restore status');
  assert.match(text.stdout, new RegExp(`main +database +${id}`));
});

test('the plan changes nothing, and nothing is done without the name', async () => {
  await makeWrong();
  const wrong = await live();
  const { plan } = await shown<Planned>('emergency-restore restore --dry-run');
  assert.deepEqual(
    [plan.id, plan.components, plan.mismatches, plan.confirmName],
    [id, ['database', 'redis', 'files'], [], 'main'],
  );
  assert.deepEqual(
    plan.steps.map(({ name }) => name),
    ['stop-services', 'safety-backup', 'restore-database', 'restore-redis', 'restore-files', 'start-services', 'check'],
  );
  assert.equal(plan.losses.length, 3);
  assert.match(plan.losses.find((loss) => loss.startsWith('database')) ?? '', /shop/);
  assertFailed(await bench.run('emergency-restore restore -q'), 18, /confirmation is needed/, /--confirm=main/);
  assertFailed(await bench.run('emergency-restore restore -q --confirm shop'), 18, /is not the name "main"/);
  assertFailed(await bench.run('emergency-restore restore -q --force'), 2, /wants the id/);
  assertFailed(
    await bench.run(`emergency-restore restore -q --force ${id.slice(0, -3)}`),
    2,
    /wants the id/,
    new RegExp(id),
  );
  assertFailed(await bench.run('emergency-restore restore -q --resume'), 10, /was interrupted/);
  assertFailed(await bench.run('emergency-restore restore -q --database-only --redis-only'), 2, /contradict/);
  assert.deepEqual(await live(), wrong);
  assert.equal(existsSync(services), false);
});

test('live, but wrong: saved first, put right, the old is kept, services are stopped and started', async () => {
  const result = await shown<Done>('emergency-restore restore --confirm main');
  assert.deepEqual(await live(), right);
  assert.equal(readFileSync(services, 'utf8'), 'stop\nstart\n');
  assert.deepEqual(
    result.steps.map(({ state }) => state),
    Array.from({ length: 7 }, () => 'done'),
  );
  assert.match(result.steps[2]?.notes.join() ?? '', /equal to the backup.*kept as shop_before_/);
  const kept = await postgres.query(
    'postgres',
    `SELECT datname AS name FROM pg_database WHERE datname LIKE 'shop_before%'`,
  );
  assert.equal(kept.length, 1);
  assert.deepEqual(
    await postgres.query(kept[0]?.['name'] ?? '', "SELECT count(*)::text AS n FROM item WHERE name = 'wrong'"),
    [{ n: '200' }],
  );
  // What was wrong is in the safety backups, but they are not what the next emergency restore takes.
  assert.equal(bench.recorded().length, 4);
  const { plan } = await shown<Planned>('emergency-restore restore --dry-run');
  assert.equal(plan.id, id);
  // How long it took was measured.
  assert.ok((plan.expectedMs ?? 0) > 0);
  const { records } = await bench.json<AuditResult>('audit --command emergency-restore');
  assert.deepEqual(
    records.filter(({ step }) => step !== undefined).map(({ step, outcome }) => [step, outcome]),
    ['begin', ...result.steps.map(({ name }) => name)].map((name) => [name, 'ok']),
  );
  await dropKept();
});

test('all is lost: the database dropped, Redis empty, the folder gone', async () => {
  await makeLost();
  const result = await shown<Done>(`emergency-restore restore ${id} --force`, { exitCode: 3 });
  assert.deepEqual(await live(), right);
  assert.equal(
    result.steps.some(({ name }) => name === 'safety-backup'),
    false,
  );
  assert.match(result.warnings.join(), /--force: not asked/);
});

test('one component only; the others stay as they are', async () => {
  await makeWrong();
  await bench.json('emergency-restore restore --redis-only --no-backup --confirm main');
  assert.equal(redis.cli(['GET', 'k']).trim(), 'right');
  assert.equal(readFileSync(join(files, 'a'), 'utf8'), 'wrong');
  await bench.json('emergency-restore restore --no-backup --confirm main');
  assert.deepEqual(await live(), right);
  await dropKept();
});

test('killed within and after each step, and gone on with', async () => {
  await makeWrong();
  const kill = async (line: string, pattern: RegExp): Promise<void> => {
    const command = await bench.start(line);
    await command.said(pattern);
    command.kill('SIGKILL');
    assert.equal((await command.result).exitCode, 137);
  };
  await kill('emergency-restore restore --confirm main', /emergency step 1 of 7/);
  for (let step = 1; step <= 6; step++) {
    await kill('emergency-restore restore --resume', new RegExp(`emergency step ${step} is done`));
    await kill('emergency-restore restore --resume', new RegExp(`emergency step ${step + 1} of 7`));
  }
  const { targets } = await shown<EmergencyStatusResult>('emergency-restore status');
  assert.equal(targets[0]?.unfinished?.id, id);
  assertFailed(
    await bench.run('emergency-restore restore -q --resume', { env: { DATABASE_URL: elsewhere.url('shop') } }),
    18,
    /not what was planned: database/,
  );
  const result = await shown<Done>('emergency-restore restore --resume');
  assert.deepEqual(
    result.steps.map(({ state }) => state),
    Array.from({ length: 7 }, () => 'done'),
  );
  assert.deepEqual(await live(), right);
  assertFailed(await bench.run('emergency-restore restore -q --resume'), 10, /was interrupted/);
  const names = await postgres.query(
    'postgres',
    `SELECT datname AS name FROM pg_database WHERE datname LIKE 'shop%restor%'`,
  );
  assert.deepEqual(names, []);
  await dropKept();
});

test('a plan is written by one and applied by another, only unchanged and while it fits', async () => {
  await makeWrong();
  const file = join(bench.folder, 'plan.json');
  await bench.json(`emergency-restore restore --plan-out ${file} --no-backup`);
  assertFailed(await bench.run(`emergency-restore restore -q --plan-out ${file}`), 2, /exists already/);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('"safetyBackup": false', '"safetyBackup": true'));
  assertFailed(
    await bench.run(`emergency-restore restore -q --apply ${file} --confirm main`),
    14,
    /not what was written/,
  );
  writeFileSync(file, text);
  redis.cli(['FLUSHALL']);
  assertFailed(
    await bench.run(`emergency-restore restore -q --apply ${file} --confirm main`),
    18,
    /no longer fits: redis/,
  );
  redis.cli(['SET', 'k', 'wrong']);
  assertFailed(await bench.run(`emergency-restore restore -q --apply ${file}`), 18, /confirmation/);
  const result = await shown<Done>(`emergency-restore restore --apply ${file} --confirm main`);
  assert.equal(result.id, id);
  assert.deepEqual(await live(), right);
  await dropKept();
});

test('the wrong server: its data is replaced only if its own name is given', async () => {
  await elsewhere.query('postgres', 'CREATE DATABASE shop');
  await elsewhere.psql('shop', 'CREATE TABLE precious (n int); INSERT INTO precious VALUES (1)');
  const wrong = { env: { DATABASE_URL: elsewhere.url('shop') } };
  const line = 'emergency-restore restore --database-only --no-backup -q';
  const name = `main@${hostname()}`;
  assertFailed(
    await bench.run(`${line} --confirm main`, wrong),
    18,
    /system identifier/,
    new RegExp(`--confirm=${name}`),
  );
  assertFailed(await bench.run(`${line} ${id} --force`, wrong), 18, /system identifier/);
  assert.deepEqual(await elsewhere.query('shop', 'SELECT n FROM precious'), [{ n: '1' }]);
  await bench.json(`${line} --confirm ${name}`, wrong);
  assert.deepEqual(await elsewhere.query('shop', 'SELECT count(*)::text AS n FROM item'), [{ n: '200' }]);
});

describe('what stands in the way is said before anything is changed, or with what to run', () => {
  test('services that cannot be stopped', async () => {
    await makeWrong();
    const wrong = await live();
    writeConfig({ stopServices: ['/bin/false'] });
    assertFailed(
      await bench.run('emergency-restore restore -q --no-backup --confirm main'),
      16,
      /services cannot be stopped/,
      /\/bin\/false.*--resume --target main/,
    );
    assert.deepEqual(await live(), wrong);
  });
  test('services that cannot be started: all is restored, and said to be', async () => {
    writeConfig({ stopServices: ['/bin/true'], startServices: ['/bin/false'] });
    const result = await bench.run('emergency-restore restore -q --no-backup --confirm main');
    assert.equal(result.exitCode, 16, result.stderr);
    const done = 'done: stop-services, restore-database, restore-redis, restore-files';
    assert.match(result.stderr, new RegExp(`${done}.*services are stopped; to start them: /bin/false`));
    assert.deepEqual(await live(), right);
    writeConfig({ stopServices: ['/bin/true'], startServices: ['/bin/true'] });
    await bench.json('emergency-restore restore --resume');
    await dropKept();
  });
  test('a server that is down', async () => {
    assertFailed(
      await bench.run('emergency-restore restore -q --confirm main', { env: { REDIS_URL: 'redis://127.0.0.1:1' } }),
      13,
      /redis cannot be restored/,
      /REDIS_URL.*--database-only/,
    );
  });
  test('a disk that is too small', async () => {
    // The right mount for that takes root; the tests run as root where servers need another user.
    const small = join(bench.folder, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', small]);
    try {
      await using other = makeBench({ BACKUP_FILES: join(small, 'tree') });
      mkdirSync(join(small, 'tree'));
      writeFileSync(join(small, 'tree', 'big'), Buffer.alloc(400_000, 7));
      await other.json('init');
      await other.backup();
      assertFailed(
        await other.run('emergency-restore restore -q --confirm main'),
        15,
        /files takes about .* only .* are free/,
      );
      assert.deepEqual(readdirSync(small), ['tree']);
    } finally {
      execFileSync('umount', [small]);
    }
  });
});

test('the newest backup is damaged: the newest that is whole is offered', async () => {
  writeConfig({ stopServices: ['/bin/sh', '-c', `echo stop >> ${services}`], startServices: ['/bin/true'] });
  const packs = (): string[] => namesBelow(join(bench.repository, 'packs'));
  const old = packs();
  await postgres.query(
    'shop',
    "INSERT INTO item SELECT n, md5(n::text) || repeat('x', 500) FROM generate_series(201, 300) n",
  );
  const { id: newest } = await bench.backup();
  for (const name of packs()) if (!old.includes(name)) rmSync(join(bench.repository, 'packs', name));
  assertFailed(
    await bench.run(`emergency-restore restore ${newest} -q --confirm main`),
    14,
    /is not whole/,
    new RegExp(`emergency-restore restore ${id}`),
  );
  const status = await shown<EmergencyStatusResult>('emergency-restore status');
  assert.deepEqual(
    status.targets[0]?.components.map((each) => each.id),
    [id, id, id],
  );
  const { plan } = await shown<Planned>('emergency-restore restore --dry-run');
  assert.deepEqual([plan.id, plan.passedOver.map((each) => each.id)], [id, [newest]]);
  await bench.json('emergency-restore restore --no-backup --confirm main');
  assert.deepEqual(await live(), right);
  assert.equal((await bench.run(`emergency-restore validate ${newest}`)).exitCode, 14);
  await bench.nothingLeft();
});

test('damage that only reading finds: nothing live is changed, and another backup is offered', async () => {
  writeFileSync(join(files, 'a'), 'wrong');
  writeFileSync(join(files, 'b'), 'new in the last backup');
  const old = namesBelow(join(bench.repository, 'packs'));
  await bench.backup('backup files');
  for (const name of namesBelow(join(bench.repository, 'packs')).filter((each) => !old.includes(each))) {
    const pack = join(bench.repository, 'packs', name);
    const bytes = readFileSync(pack);
    bytes.writeUInt8(bytes.readUInt8(80) ^ 1, 80);
    writeFileSync(pack, bytes);
  }
  const result = await bench.run('emergency-restore restore --files-only -q --no-backup --confirm main');
  assertFailed(
    result,
    14,
    /stopped at "restore files.*damaged/,
    new RegExp(`newest other one that is whole: lifeboat emergency-restore restore ${id}`),
  );
  assert.match(result.stderr, /services are stopped; to start them: /);
  assert.deepEqual(readdirSync(files), ['a', 'b']);
  assert.equal(readFileSync(services, 'utf8'), 'stop\n');
  await bench.json(`emergency-restore restore ${id} --files-only --no-backup --confirm main`, { exitCode: 3 });
  assert.deepEqual(await live(), right);
});

test('the runbook has the commands of this installation, also where nothing can be reached', async () => {
  writeConfig({
    contacts: [{ name: 'Ada', role: 'on call', reach: '+41 00' }],
    escalation: ['After 30 minutes: the head of operations'],
    scenarios: { 'data-corruption': { rtoMinutes: 45 }, flood: { title: 'The cellar is wet', steps: ['Carry it up'] } },
  });
  const { text, file } = await bench.json<{ text: string; file: string }>('runbook');
  assert.equal(readFileSync(file, 'utf8'), text);
  for (const part of [
    `file://${bench.repository}`,
    'back within 45 minutes (RTO), at most 15 minutes of writing lost (RPO)',
    'back within 120 minutes',
    'at most 5 minutes',
    'Ada (on call): +41 00',
    '1. After 30 minutes',
    '## The cellar is wet',
    '1. Carry it up',
    id,
  ]) {
    assert.ok(text.includes(part), `${part} is missing in ${text}`);
  }
  assert.ok(
    text.includes(`lifeboat.js --config ${join(bench.folder, 'lifeboat.config.json')} emergency-restore restore`),
    text,
  );
  assert.ok(!text.includes(String(bench.env['BACKUP_ENCRYPTION_KEY'])));
  const offline = await bench.json<{ text: string }>('runbook --offline', {
    env: { BACKUP_REPOSITORY: 'file:///nowhere/at-all' },
  });
  assert.ok(offline.text.includes('file:///nowhere/at-all'));
  assert.equal((await bench.run('runbook', { env: { BACKUP_REPOSITORY: 'file:///nowhere/at-all' } })).exitCode, 3);
});
