/** The library as a program sees it: against real servers, with partial requests, events, aborts and refusals. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
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
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { LifeboatError, openLifeboat, type Lifeboat, type LifeboatEvent } from '../../src/index.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { digestOf, fillMany, startRedis, type TestRedis } from '../helpers/servers/redis.ts';

const root = dirname(dirname(import.meta.dirname));
const work = mkdtempSync(join(tmpdir(), 'library-'));
const uploads = join(work, 'uploads');
const key = 'ab'.repeat(32);
/** Where the server's archiver puts its log. */
const copies = join(work, 'copies');
let postgres: TestPostgres;
let redis: TestRedis;

before(async () => {
  chmodSync(work, 0o755);
  mkdirSync(copies);
  chmodSync(copies, 0o777);
  [postgres, redis] = await Promise.all([
    startPostgres({
      initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1'],
      settings: { archive_mode: 'on', archive_command: `cp %p ${copies}/.%f && mv ${copies}/.%f ${copies}/%f` },
    }),
    startRedis(),
  ]);
  await postgres.psql('postgres', 'CREATE DATABASE shop');
  await postgres.psql(
    'shop',
    "CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, 'item ' || n FROM " +
      'generate_series(1, 20000) n',
  );
  fillMany(redis, 500);
  mkdirSync(uploads);
  writeFileSync(join(uploads, 'one.txt'), 'first\n');
});
after(async () => {
  await Promise.all([postgres?.stop(), redis?.stop()]);
  rmSync(work, { recursive: true, force: true });
});

/** A configuration without a file; the environment is kept out, so that a test sees only what it gives. */
function inline(name: string, more: object = {}): Parameters<typeof openLifeboat>[0] {
  return {
    config: {
      repository: `file://${work}/${name}`,
      encryption: { key },
      targets: {
        main: { postgres: { url: postgres.url('shop') }, redis: { url: redis.url() }, files: { paths: ['uploads'] } },
      },
      ...more,
    },
    env: {},
    cwd: work,
    stateDir: join(work, 'state'),
  };
}

/** Resolves to the error that `work` fails with. */
async function failure(running: Promise<unknown>): Promise<Error> {
  return running.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error as Error,
  );
}

async function rowsOf(database: string): Promise<string | null | undefined> {
  return (await postgres.query(database, `SELECT count(*) || ' ' || sum(hashtext(item::text)) AS sum FROM item`))[0]?.[
    'sum'
  ];
}

test('init, backup, list, show, restore and export with partial requests; what comes back is equal', async () => {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const;
  const listenersBefore = signals.map((signal) => process.listenerCount(signal));
  const events: LifeboatEvent[] = [];
  await using lifeboat = await openLifeboat({ ...inline('whole'), onEvent: (event) => void events.push(event) });
  const made = await lifeboat.init();
  assert.deepEqual(made.created, [`file://${work}/whole`]);
  assert.equal(existsSync(join(work, 'lifeboat.config.json')), false, 'an inline configuration needs no file');

  const taken = await lifeboat.backup({ label: 'by a program' });
  assert.ok(taken.outcome === 'done');
  assert.deepEqual(
    taken.components.map(({ name }) => name),
    ['database', 'redis', 'files'],
  );
  assert.equal(taken.encrypted, true);
  for (const type of ['step', 'progress', 'artifact', 'snapshot'] as const) {
    assert.ok(
      events.some((event) => event.type === type),
      `no event "${type}"`,
    );
  }
  assert.ok(!JSON.stringify(events).includes(key));

  const { backups } = await lifeboat.list();
  assert.deepEqual(
    backups.map(({ id, label, trust }) => ({ id, label, trust })),
    [{ id: taken.id, label: 'by a program', trust: 'authentic' }],
  );
  assert.equal((await lifeboat.show({ id: 'latest' })).backup.id, taken.id);
  assert.equal((await lifeboat.listKeys()).keys.length, 1);
  assert.deepEqual(
    (await lifeboat.validate()).backups.map(({ id, result }) => ({ id, result })),
    [{ id: taken.id, result: 'ok' }],
  );
  const { checks } = await lifeboat.doctor();
  assert.deepEqual(
    checks.filter(({ ok }) => ok === 'fail'),
    [],
  );

  const digest = digestOf(redis);
  redis.cli(['FLUSHALL']);
  const restored = await lifeboat.restore({ id: 'latest', postgres: { toDatabase: 'copy' }, files: { toDir: 'copy' } });
  assert.ok(restored.outcome === 'done');
  assert.deepEqual(
    restored.components.map(({ verified }) => verified),
    ['equal', 'equal', 'equal'],
  );
  assert.equal(await rowsOf('copy'), await rowsOf('shop'));
  assert.equal(digestOf(redis), digest);
  assert.equal(readFileSync(join(work, 'copy', uploads.slice(1), 'one.txt'), 'utf8'), 'first\n');

  const exported = await lifeboat.export({ id: taken.id, folder: 'plain', only: ['redis'] });
  assert.equal(exported.folder, join(work, 'plain'));
  assert.ok(readdirSync(exported.folder).includes('SHA256SUMS'));
  assert.deepEqual(await lifeboat.unlock(), { broken: [], alive: [] });
  assert.deepEqual(
    signals.map((signal) => process.listenerCount(signal)),
    listenersBefore,
    "signals are the program's",
  );
});

/** Hands over to `push` each file that the server archives, until disposed of. */
function archiving(push: (path: string) => Promise<unknown>): AsyncDisposable {
  const pushed = new Set<string>();
  let isOver = false;
  const loop = (async () => {
    while (!isOver) {
      for (const name of readdirSync(copies)
        .filter((each) => !each.startsWith('.') && !pushed.has(each))
        .toSorted()) {
        await push(join(copies, name));
        pushed.add(name);
      }
      await sleep(50);
    }
  })();
  // Told when it is disposed of.
  loop.catch(() => {});
  return {
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await loop;
    },
  };
}

test('log, a base backup, its recovery to a named moment, and what status and wal status say of it', async () => {
  const events: LifeboatEvent[] = [];
  const more = {
    targets: { main: { postgres: { url: postgres.url('shop'), base: {} } } },
    monitoring: { storagePercent: 100 },
  };
  await using lifeboat = await openLifeboat({ ...inline('log', more), onEvent: (event) => void events.push(event) });
  await lifeboat.init();
  await using _ = archiving((path) => lifeboat.walPush({ path, cwd: postgres.dataDir }));
  const base = await lifeboat.backup({ components: ['base'] });
  assert.ok(base.outcome === 'done' && base.type === 'base');
  await lifeboat.createRestorePoint({ name: 'before the mistake' });
  const before = await rowsOf('shop');
  await postgres.psql('shop', 'DELETE FROM item WHERE id > 50');
  const [row] = await postgres.query('postgres', 'SELECT pg_walfile_name(pg_switch_wal()) AS last');
  const last = row?.['last'] ?? '';
  const archived = async (): Promise<boolean> =>
    (await lifeboat.walStatus()).systems.some(({ timelines }) => timelines.some((each) => each.last >= last));
  while (!(await archived())) await sleep(100);

  const {
    systems: [system],
    lag,
  } = await lifeboat.walStatus();
  assert.deepEqual([system?.gaps, system?.missingHistories, lag?.systemId], [[], [], system?.systemId]);
  const fetched = await lifeboat.walFetch({ name: last, path: 'fetched', cwd: postgres.dataDir });
  assert.deepEqual([fetched.outcome, fetched.systemId], ['delivered', system?.systemId]);
  assert.ok(readFileSync(join(work, 'fetched')).equals(readFileSync(join(postgres.dataDir, 'pg_wal', last))));

  const {
    wal: [log],
    reasons,
    targets: [target],
  } = await lifeboat.status();
  assert.deepEqual(
    [log?.systemId, log?.targets, log?.bases, log?.windows.length, log?.isCurrent],
    [system?.systemId, ['main'], 1, 1, true],
  );
  const [window] = log?.windows ?? [];
  assert.ok(
    Date.parse(window?.from ?? '') < Date.parse(window?.to ?? '') && (log?.server?.behindSegments ?? 9) <= 1,
    JSON.stringify(log),
  );
  assert.ok(!reasons.some(({ id }) => id.startsWith('wal-')), JSON.stringify(reasons));
  assert.deepEqual(
    target?.components.map(({ name, newestId }) => [name, newestId]),
    [
      ['database', undefined],
      ['base', base.id],
    ],
  );

  const planned = await lifeboat.pitr({ to: 'name:before the mistake', dryRun: true });
  assert.ok(planned.outcome === 'planned' && planned.id === base.id);
  const recovered = await lifeboat.pitr({ to: 'name:before the mistake', dataDir: 'recovered', action: 'promote' });
  assert.ok(recovered.outcome === 'done' && recovered.pid !== undefined);
  try {
    const [found] = await withConnection(parsePostgresUrl(recovered.url ?? ''), { database: 'shop' }, (connection) =>
      connection.query(`SELECT count(*) || ' ' || sum(hashtext(item::text)) AS sum FROM public.item`),
    );
    assert.equal(found?.['sum'], before);
  } finally {
    process.kill(recovered.pid, 'SIGQUIT');
    while (existsSync(`/proc/${recovered.pid}`)) await sleep(50);
    rmSync(parsePostgresUrl(recovered.url ?? '').host, { recursive: true });
  }
  await postgres.psql('shop', `INSERT INTO item SELECT n, 'item ' || n FROM generate_series(51, 20000) n`);

  // The server goes on, one segment of its log is lost.
  rmSync(join(work, `log/wal/${system?.systemId}/${last.slice(0, 8)}/${last.slice(8, 16)}/${last}.wal`));
  await postgres.psql('shop', 'SELECT pg_switch_wal(); CREATE TABLE later (n int); SELECT pg_switch_wal()');
  while ((await lifeboat.walStatus()).systems[0]?.gaps.length === 0) await sleep(100);
  const broken = await lifeboat.status();
  assert.deepEqual(
    broken.wal[0]?.gaps.map(({ first }) => first),
    [last],
  );
  const cut = broken.reasons.find(({ id }) => id.startsWith('wal-cut:'));
  assert.deepEqual(
    [broken.verdict, cut?.id, cut?.next],
    ['unhealthy', `wal-cut:${system?.systemId}:${last}`, 'lifeboat backup base --target main'],
  );
  for (const type of ['step', 'artifact', 'progress'] as const) {
    assert.ok(
      events.some((event) => event.type === type),
      `no event "${type}"`,
    );
  }
});

test('drill, status, acknowledge, hold, cleanup, undelete, release, runbook and audit', async () => {
  const more = {
    targets: { main: { files: { paths: ['uploads'] } } },
    retention: { files: { keepLast: 1, minBackups: 1 } },
    monitoring: { storagePercent: 100 },
  };
  await using lifeboat = await openLifeboat(inline('kept', more));
  await lifeboat.init();
  const take = async (): Promise<string> => {
    const taken = await lifeboat.backup();
    assert.ok(taken.outcome === 'done');
    return taken.id;
  };
  const [held, gone, third, newest] = [await take(), await take(), await take(), await take()];
  const {
    reasons: [unproven],
  } = await lifeboat.status();
  assert.equal(unproven?.id, 'unproven:main');
  assert.equal((await lifeboat.acknowledge({ warning: 'unproven:main', reason: 'tonight' })).reason, 'tonight');
  assert.equal((await lifeboat.status()).verdict, 'healthy');
  const steps: string[] = [];
  const drilled = await lifeboat.drill(
    {},
    { onEvent: (event) => void (event.type === 'step' && steps.push(event.message)) },
  );
  assert.deepEqual(
    [drilled.backups.map(({ id, result }) => [id, result]), steps.length > 0],
    [[[newest, 'proven']], true],
  );
  assert.equal((await lifeboat.status()).targets[0]?.newestProven?.id, newest);

  assert.deepEqual((await lifeboat.hold({ id: held, reason: 'the first', tags: ['first'] })).tags, ['first']);
  assert.deepEqual(
    (await lifeboat.list({ tag: 'first' })).backups.map(({ id, hold }) => [id, hold?.reason]),
    [[held, 'the first']],
  );
  const plan = await lifeboat.cleanup({ dryRun: true });
  assert.deepEqual(
    [plan.outcome, plan.backups.filter(({ keep }) => !keep).map(({ id }) => id)],
    ['planned', [gone, third]],
  );
  assert.equal((await lifeboat.cleanup()).outcome, 'done');
  assert.deepEqual(
    (await lifeboat.list()).backups.map(({ id }) => id),
    [held, newest],
  );
  assert.deepEqual(await lifeboat.undelete({ id: third }), { id: third, target: 'main', held: true, warnings: [] });
  assert.equal((await lifeboat.release({ id: third })).held, false);
  assert.deepEqual(
    (await lifeboat.list()).backups.map(({ id }) => id),
    [held, third, newest],
  );

  assert.match((await lifeboat.runbook({ offline: true })).text, /^# /);
  const commands = (await lifeboat.audit()).records.map(({ command }) => command);
  for (const command of ['acknowledge', 'hold', 'cleanup', 'undelete', 'release']) {
    assert.ok(commands.includes(command), `${command} is not in ${commands.join()}`);
  }
  // A folder keeps no versions: the past is refused, not passed over.
  const past = await failure(lifeboat.list({}, { asOf: new Date() }));
  assert.ok(past instanceof LifeboatError, String(past));
});

test('what would be replaced is asked for: refused by default, done and taken back when allowed', async () => {
  await using lifeboat = await openLifeboat(inline('whole'));
  const refused = await failure(lifeboat.restore({ id: 'latest', only: ['database'], postgres: { intoLive: true } }));
  assert.ok(refused instanceof LifeboatError);
  assert.deepEqual([refused.code, refused.state], ['confirmation', 'nothing was changed']);

  const questions: string[] = [];
  await using bold = await openLifeboat({ ...inline('whole'), confirm: async ({ name }) => void questions.push(name) });
  await postgres.psql('shop', 'DELETE FROM item WHERE id > 100');
  const swapped = await bold.restore({ id: 'latest', only: ['database'], postgres: { intoLive: true } });
  assert.ok(swapped.outcome === 'done');
  const { backups } = await bold.list();
  assert.deepEqual([backups.at(-1)?.id, backups.at(-1)?.tags], [swapped.safetyBackupId, ['safety']]);
  assert.equal(
    (await bold.show({ id: 'latest' })).backup.id,
    swapped.id,
    'the newest good state is not the copy of the bad one',
  );
  assert.equal(await rowsOf('shop'), await rowsOf('copy'));
  const kept = swapped.components[0]?.kept ?? '';
  const undone = await bold.undoRestore({ kept });
  assert.deepEqual([undone.outcome, undone.database], ['done', 'shop']);
  assert.match((await rowsOf('shop')) ?? '', /^100 /);
  assert.deepEqual(questions, ['shop', 'shop']);
});

test('keys: made, added, removed, rotated', async () => {
  await using lifeboat = await openLifeboat({ ...inline('whole'), confirm: async () => {} });
  const { key: identity, recipient = '' } = await lifeboat.generateKey({ kind: 'age' });
  assert.match(identity ?? '', /^AGE-SECRET-KEY-1/);
  const recipients = async (): Promise<readonly string[]> =>
    (await lifeboat.listKeys()).keys.flatMap((each) => each.recipients);
  await lifeboat.addKey({ add: { type: 'age', recipient } });
  assert.deepEqual(new Set(await recipients()), new Set(['raw', recipient]));
  await lifeboat.removeKey({ recipient });
  assert.deepEqual(await recipients(), ['raw']);
  const { current } = await lifeboat.rotateKey();
  assert.deepEqual(
    (await lifeboat.listKeys()).keys.map(({ id, current: is }) => is && id),
    [false, current],
  );
});

test('an abort ends one call with its reason, nothing is recorded, and the next call works', async () => {
  await using lifeboat = await openLifeboat(inline('whole'));
  const before = (await lifeboat.list()).backups.length;
  const stop = new AbortController();
  const why = new Error('changed my mind');
  const abortAtFirstStep = (event: LifeboatEvent): void => {
    if (event.type === 'snapshot') stop.abort(why);
  };
  assert.equal(await failure(lifeboat.backup({}, { signal: stop.signal, onEvent: abortAtFirstStep })), why);
  assert.equal((await lifeboat.list()).backups.length, before);
  assert.deepEqual(await lifeboat.unlock(), { broken: [], alive: [] });
  assert.equal((await lifeboat.backup({ components: ['files'] })).outcome, 'done');
});

test('close() ends what runs, waits for it, and refuses what comes later', async () => {
  const lifeboat = await openLifeboat(inline('whole'));
  const begun = new Promise<void>((resolve) => lifeboat.on('snapshot', () => resolve()));
  const running = failure(lifeboat.backup());
  await begun;
  await lifeboat.close();
  assert.match((await running).message, /was closed/);
  assert.match((await failure(lifeboat.list())).message, /was closed/);
});

test('a listener is heard until disposed of, by type; one that throws stops no backup', async () => {
  await using lifeboat = await openLifeboat(inline('whole'));
  const heard: string[] = [];
  {
    using _ = lifeboat.on('artifact', ({ component }) => heard.push(component));
    await lifeboat.backup({ components: ['files'] });
  }
  const count = heard.length;
  assert.ok(count > 0);
  // node:test listens to the event itself, and would fail this test.
  const thrown = new Promise<Error>((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
  let first = true;
  using _ = lifeboat.onEvent(() => {
    if (!first) return;
    first = false;
    throw new Error('a bug of the program');
  });
  assert.equal((await lifeboat.backup({ components: ['files'] })).outcome, 'done');
  assert.equal((await thrown).message, 'a bug of the program');
  process.setUncaughtExceptionCaptureCallback(null);
  assert.equal(heard.length, count);
});

test('a faulty configuration is refused at once, all faults together', async () => {
  const error = await failure(
    openLifeboat({ config: { repository: 'ftp://x', joobs: 2 }, env: { BACKUP_JOBS: 'many' } }),
  );
  assert.ok(error instanceof LifeboatError && error.code === 'usage');
  for (const part of [/joobs/, /jobs/, /BACKUP_JOBS/]) assert.match(error.message, part);
});

test('secrets are fetched when an operation needs them, not when opening', async () => {
  const lifeboat: Lifeboat = await openLifeboat({
    ...inline('whole'),
    config: { repository: `file://${work}/whole`, encryption: { key: { env: 'LATER' } } },
  });
  const error = await failure(lifeboat.list());
  assert.match(error.message, /LATER/);
});

test("the example program runs by the package's own name", () => {
  const env = {
    ...process.env,
    BACKUP_REPOSITORY: `file://${work}/whole`,
    BACKUP_ENCRYPTION_KEY: key,
    BACKUP_STATE_DIR: join(work, 'state'),
    DATABASE_URL: postgres.url('shop'),
    REDIS_URL: redis.url(),
    BACKUP_FILES: uploads,
  };
  const run = () =>
    spawnSync(
      process.execPath,
      [
        '--import',
        join(root, 'test/helpers/cli/lifeboat-from-source.mjs'),
        join(root, 'examples/library/backup-and-list.mjs'),
      ],
      { cwd: work, env, encoding: 'utf8' },
    );
  const { stdout, stderr, status } = run();
  assert.equal(status, 0, `${stdout}${stderr}`);
  const id = String.raw`\d{8}T\d{6}Z-main-full-[0-9a-f]{8}`;
  const made = String.raw`backup ${id} took \d+ ms\n`;
  const listed = String.raw`${id}: database, redis, files; read \d+ bytes, stored [\d.]+ % of them\n$`;
  assert.match(stdout, new RegExp(`${made}${listed}`));
  env.BACKUP_ENCRYPTION_KEY = 'cd'.repeat(32);
  assert.equal(run().status, 12);
});
