/**
 * Cleanup of a real cluster's write-ahead log: what goes is what no base backup can use, and what the shown window
 * promises can be recovered.
 */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { Chalk } from 'chalk';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import { cleanRepository, cleanup, type CleanupInternals } from '../../src/operations/cleanup/cleanup.ts';
import { init } from '../../src/operations/setup/init.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { pitr } from '../../src/operations/pitr/pitr.ts';
import type { PitrRequest, PitrResult } from '../../src/operations/pitr/request.ts';
import type { CleanupRequest, CleanupResult, CleanupWal } from '../../src/operations/cleanup/request.ts';
import { undelete } from '../../src/operations/cleanup/undelete.ts';
import { acquireLease } from '../../src/repository/leases/acquire.ts';
import { cleanupView } from '../../src/ui/cleanup-view.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { keepLast } from '../helpers/repository/cleanup-home.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';

const folder = mkdtempSync(join(tmpdir(), 'cleanup-wal-'));
const shipper = walShipper();
const context = { signal: new AbortController().signal, emit: () => {} };
let server: TestPostgres;
let loaded: LoadedConfig;
let systemId = '';
/** Ids of base backups, oldest first. */
const bases: string[] = [];
/** A committed moment after each. */
const moments: string[] = [];

before(async () => {
  chmodSync(folder, 0o755);
  server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1'],
    settings: { archive_mode: 'on', archive_command: shipper.command, autovacuum: 'off', track_commit_timestamp: 'on' },
  });
  systemId = await value('SELECT system_identifier AS v FROM pg_control_system()');
  const document = {
    repository: `file://${folder}/repository`,
    targets: { main: { postgres: { url: server.url(), databases: ['postgres'], base: {} } } },
  };
  loaded = await loadConfig({
    cwd: folder,
    env: { BACKUP_STATE_DIR: join(folder, 'state'), BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32) },
    document,
    need: { repository: true, encryption: true, targets: 'all' },
  });
  await init(loaded, { configPath: undefined }, context);
  shipper.begin(loaded, systemId);
  await server.query('postgres', 'CREATE TABLE w (n int)');
  await write(0);
  for (let n = 1; n <= 3; n++) {
    await takeBase();
    await write(n);
  }
});

after(async () => {
  await server.stop();
  await shipper[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function value(sql: string): Promise<string> {
  return (await server.query('postgres', sql))[0]?.['v'] ?? '';
}

/** A row, its moment, another commit after it, and three segments of log. */
async function write(n: number): Promise<void> {
  for (let segment = 0; segment < 3; segment++) {
    await server.query('postgres', `INSERT INTO w VALUES (${n})`);
    moments[n] ??= await value(
      "SELECT to_char(max(pg_xact_commit_timestamp(xmin)) AT TIME ZONE 'UTC', " +
        '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') AS v FROM w',
    );
    await shipper.shipped(await value('SELECT pg_walfile_name(pg_switch_wal()) AS v'));
  }
}

async function takeBase(): Promise<void> {
  const result = await backup(
    loaded,
    { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
    context,
  );
  assert.ok(result.outcome === 'done');
  bases.push(result.id);
}

/** Segments in the repository, in order. */
function segments(timeline = 1): string[] {
  const root = join(folder, 'repository', 'wal', systemId, `0000000${timeline}`);
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replace(/^.*\//, ''))
    .filter((name) => /^[0-9A-F]{24}\.wal$/.test(name))
    .map((name) => name.slice(0, 24))
    .toSorted();
}

/** The segment in which each base backup begins, by the label that the server archives beside it. */
function firstSegments(): string[] {
  const names = readdirSync(join(folder, 'repository', 'wal', systemId, 'history'));
  return names
    .filter((name) => name.endsWith('.backup.wal'))
    .map((name) => name.slice(0, 24))
    .toSorted();
}

async function clean(request: Partial<CleanupRequest>, internals: CleanupInternals): Promise<CleanupResult> {
  return withRepository(loaded, context, async (repository) =>
    cleanRepository(
      repository,
      { dryRun: false, acknowledge: [], adoptTrash: [], maxDelete: 100, graceMs: 1, ...request },
      context,
      { policies: keepLast(1), leastGraceMs: 0, ...internals },
    ),
  );
}

function walOf({ wal }: CleanupResult): CleanupWal {
  const [only, ...others] = wal;
  assert.ok(only !== undefined && others.length === 0);
  assert.equal(only.systemId, systemId);
  return only;
}

async function run(to: string, more: Partial<PitrRequest> = {}): Promise<PitrResult> {
  return pitr(
    loaded,
    { to, inclusive: true, action: 'shutdown', check: true, dryRun: false, dataDir: undefined, ...more },
    context,
  );
}

function momentOf(n: number): string {
  return moments[n] ?? '';
}

test('a dry run tells what the window becomes and what goes, and changes nothing', async () => {
  const all = segments();
  const [first = '', second = ''] = firstSegments();
  const result = await clean({ dryRun: true }, { policies: keepLast(2) });
  const { from, becomes, segments: now, bytes, laterSegments, laterBytes, targets, stays } = walOf(result);
  assert.deepEqual(
    { targets, stays, now, laterSegments },
    {
      targets: ['main'],
      stays: undefined,
      now: all.filter((name) => name < first).length,
      laterSegments: all.filter((name) => name >= first && name < second).length,
    },
  );
  assert.ok(now >= 3 && laterSegments >= 3 && bytes > 0 && laterBytes > 0);
  assert.ok(
    from !== undefined && becomes !== undefined && from < momentOf(1) && momentOf(1) < becomes && becomes < momentOf(2),
    `${from} ${moments.join(' ')} ${becomes}`,
  );
  assert.match(
    await text(result),
    new RegExp(
      `^window of cluster ${systemId} \\(main\\): from .*Z would become from .*Z; ${now} segments, .* would go ` +
        `now, ${laterSegments} segments, .* with the base backups in trash$`,
      'm',
    ),
  );
  assert.deepEqual(segments(), all);
});

async function text(result: CleanupResult): Promise<string> {
  documents.cleanup.parse({ schema: 'lifeboat.cleanup/v1', ...JSON.parse(JSON.stringify(result)) });
  return cleanupView.text(result, new Chalk({ level: 0 }));
}

test('log stays for the configured days, beside work that runs, and where nobody can tell what is needed', async () => {
  const all = segments();
  const keepAll = keepLast(9);
  const days = new Map([...keepAll].map(([name, policy]) => [name, { ...policy, walDays: 1 }] as const));
  assert.equal(walOf(await clean({}, { policies: days })).segments, 0);
  assert.match(walOf(await clean({}, { policies: new Map() })).stays ?? '', /target main is not configured here/);
  await withRepository(loaded, context, async ({ storage }) => {
    await using _ = await acquireLease(storage, {
      scope: 'backup-other',
      command: 'backup',
      parents: ['20200101T000000Z-main-base-00000000'],
    });
    const { stopped } = await clean({}, { policies: keepAll });
    assert.match(stopped ?? '', /needs backup 20200101T000000Z-main-base-00000000/);
  });
  const facts = join(folder, 'repository', 'backups', bases[0] ?? '', 'facts');
  renameSync(facts, `${facts}.away`);
  const blind = await clean({}, { policies: keepAll });
  renameSync(`${facts}.away`, facts);
  assert.match(walOf(blind).stays ?? '', new RegExp(`cannot be told what base backup ${bases[0]} needs`));
  assert.match(await text(blind), /^log of cluster \d+ \(main\) stays: it cannot be told/m);
  assert.deepEqual(segments(), all);
});

test('the oldest base backup goes: its log stays while it can be taken back', async () => {
  const all = segments();
  const [first = ''] = firstSegments();
  const result = await clean({ graceMs: 3_600_000 }, { policies: keepLast(2), leastGraceMs: 3_600_000 });
  assert.equal(walOf(result).segments, 0, 'all log is younger than the grace time');
  await undelete(loaded, { id: bases[0] ?? '', hold: false }, context);
  const moved = walOf(await clean({}, { policies: keepLast(2) }));
  assert.equal(moved.segments, all.filter((name) => name < first).length);
  assert.deepEqual(
    segments(),
    all.filter((name) => name >= first),
  );
  await undelete(loaded, { id: bases[0] ?? '', hold: false }, context);
  assert.equal((await run(momentOf(1))).outcome, 'planned');
});

test('what is unfinished goes beside the whole segment or a longer piece; no base backup counts it', async () => {
  const all = segments();
  const [first = '', inside = ''] = firstSegments();
  const last = all.at(-1) ?? '';
  const next = Number.parseInt(last.slice(16), 16) + 1;
  const beyond = `${last.slice(0, 16)}${next.toString(16).toUpperCase().padStart(8, '0')}`;
  const place = (name: string): string =>
    join(folder, 'repository', 'wal', systemId, '00000001', name.slice(8, 16), `${name}.wal`);
  const begun = [
    `${first}.0000000000000100.partial`,
    `${inside}.partial`,
    `${inside}.0000000000000100.partial`,
    `${inside}.0000000000000200.partial`,
    `${beyond}.0000000000000300.partial`,
    `${beyond}.0000000000000400.partial`,
  ];
  const { from } = walOf(await clean({ dryRun: true }, { policies: keepLast(9) }));
  for (const name of begun) {
    copyFileSync(place(inside), place(name));
    // The file system's clock is coarse, and what is as young as the cleanup stays.
    utimesSync(place(name), new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));
  }
  const result = walOf(await clean({}, { policies: keepLast(9) }));
  assert.deepEqual(
    begun.filter((name) => existsSync(place(name))),
    [`${beyond}.0000000000000400.partial`],
  );
  assert.deepEqual([result.from, result.becomes, result.segments, result.bytes > 0], [from, from, 0, true]);
  assert.deepEqual(segments(), all);
  // Of a segment of the oldest base backup only the beginning is left: it opens no window.
  renameSync(place(first), `${place(first)}.away`);
  copyFileSync(place(inside), place(`${first}.0000000000000100.partial`));
  assert.notEqual(walOf(await clean({ dryRun: true }, { policies: keepLast(9) })).from, from);
  renameSync(`${place(first)}.away`, place(first));
  for (const name of [`${first}.0000000000000100.partial`, `${beyond}.0000000000000400.partial`]) rmSync(place(name));
});

test('once it is gone for good, so is its log; only moments in the window can be recovered', async () => {
  const [, second = '', third = ''] = firstSegments();
  const { becomes } = walOf(await clean({}, { policies: keepLast(2) }));
  const result = await clean({}, { policies: keepLast(2) });
  const { from, becomes: stillFrom } = walOf(result);
  assert.deepEqual([from, stillFrom], [becomes, becomes]);
  assert.deepEqual(
    result.deleted.map(({ id }) => id),
    [bases[0]],
  );
  const left = segments();
  assert.equal(left[0], second, 'the segment in which the oldest base backup begins is the first');
  assert.ok(left.includes(third));
  assert.deepEqual(firstSegments(), [second, third], 'labels go with their segment');
  await assert.rejects(run(momentOf(1)), { code: 'window', exitCode: 17 });
  for (const n of [2, 3]) assert.equal((await run(momentOf(n), { inclusive: false })).outcome, 'planned');
  const dataDir = join(folder, 'data');
  const done = await run(becomes ?? '', { check: false, dataDir });
  assert.equal(done.outcome, 'done');
  assert.ok(existsSync(join(dataDir, 'PG_VERSION')));
  rmSync(dataDir, { recursive: true, force: true });
});

test('cleanups beside archiving and a base backup: it can be recovered from, to the end', async () => {
  let running = true;
  const cleaning = (async () => {
    let runs = 0;
    while (running) {
      await clean({}, { policies: keepLast(1) });
      runs++;
    }
    return runs;
  })();
  await Promise.all([takeBase(), write(4)]).finally(() => (running = false));
  assert.ok((await cleaning) > 1);
  await write(5);
  await clean({}, { policies: keepLast(1) });
  const last = await clean({}, { policies: keepLast(1) });
  assert.deepEqual(
    last.backups.map(({ id }) => id),
    [bases.at(-1)],
  );
  const planned = await run('latest');
  assert.ok(planned.outcome === 'planned' && planned.id === bases.at(-1) && (planned.checked ?? 0) >= 3);
  assert.equal(segments()[0], firstSegments()[0]);
});

test('a receiver of the log holds nothing back', async () => {
  await takeBase();
  await withRepository(loaded, context, async ({ storage }) => {
    const receiver = await acquireLease(storage, { scope: `wal-${systemId}`, command: 'wal stream' });
    await using _ = receiver;
    await write(6);
    await clean({}, {});
    await clean({}, {});
    assert.equal(segments()[0], firstSegments().at(-1));
  });
});

/** The server goes on on a new timeline, as after a recovery. */
async function promote(): Promise<void> {
  await server.kill();
  appendFileSync(join(server.dataDir, 'postgresql.auto.conf'), "restore_command = 'false'\n");
  writeFileSync(join(server.dataDir, 'recovery.signal'), '');
  const { uid, gid } = statSync(server.dataDir);
  chownSync(join(server.dataDir, 'recovery.signal'), uid, gid);
  await server.start();
  // It may answer while it still recovers.
  while ((await value('SELECT pg_is_in_recovery() AS v')) !== 'f') await sleep(50);
  assert.equal(await value('SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS v'), '00000002');
}

test('over a promotion: the old timeline stays as long as a base backup of it; the history stays', async () => {
  const history = join(folder, 'repository', 'wal', systemId, 'history', '00000002.history.wal');
  await promote();
  await write(7);
  for (let n = 0; n < 2; n++) await clean({}, {});
  assert.ok(existsSync(history) && segments(1).length > 0 && segments(2).length > 0);
  const over = await run(momentOf(7), { inclusive: false });
  assert.deepEqual(
    [over.outcome === 'planned' && over.timeline, over.outcome === 'planned' && over.id],
    [2, bases.at(-1)],
  );
  await takeBase();
  await write(8);
  for (let n = 0; n < 2; n++) await clean({}, {});
  assert.deepEqual([segments(1), segments(2)[0], existsSync(history)], [[], firstSegments().at(-1), true]);
  assert.equal((await run(momentOf(8), { inclusive: false })).outcome, 'planned');
  await assert.rejects(run(momentOf(7)), { code: 'window' });
});

test('the program itself: the grace time and the days come from the configuration', async () => {
  const path = join(folder, 'lifeboat.config.json');
  writeFileSync(path, JSON.stringify({ trashHours: 2, retention: { walDays: 5 } }));
  const document = {
    ...(JSON.parse(readFileSync(path, 'utf8')) as object),
    repository: `file://${folder}/repository`,
    targets: { main: { postgres: { url: server.url(), base: {} } } },
  };
  const configured = await loadConfig({
    cwd: folder,
    env: { BACKUP_STATE_DIR: join(folder, 'state'), BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32) },
    document,
    need: { repository: true, encryption: true, targets: 'all' },
  });
  assert.deepEqual(
    [
      configured.config.trashMs,
      configured.config.retention.walDays,
      configured.config.targets.get('main')?.retention?.walDays,
    ],
    [7_200_000, 5, undefined],
  );
  const { graceMs } = await cleanup(configured, { dryRun: true, acknowledge: [], adoptTrash: [] }, context);
  assert.equal(graceMs, 7_200_000);
  const bad = loadConfig({ cwd: folder, env: {}, document: { ...document, trashHours: 0.5 }, need: {} });
  await assert.rejects(bad, { code: 'usage', message: /trashHours/ });
});
