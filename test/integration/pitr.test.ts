/**
 * Recovery of a real cluster to moments of every kind: exactly the rows committed up to there; and what cannot succeed
 * is refused before a byte is written.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { LifeboatError, type ErrorCode } from '../../src/lib/errors.ts';
import { runTool } from '../../src/lib/exec.ts';
import { processStart } from '../../src/lib/process-identity.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import { init } from '../../src/operations/setup/init.ts';
import { pitr } from '../../src/operations/pitr/pitr.ts';
import type { PitrRequest, PitrResult } from '../../src/operations/pitr/request.ts';
import { createRestorePoint } from '../../src/operations/pitr/restore-point.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, namesBelow } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';

const folder = mkdtempSync(join(tmpdir(), 'pitr-test-'));
const shipper = walShipper();
const context = { signal: new AbortController().signal, emit: () => {} };
let server: TestPostgres;
let loaded: LoadedConfig;
let systemId = '';
/** Committed one by one, with what identifies the moment of each. */
const rows: { readonly n: number; readonly at: string; readonly xid: string; readonly lsn: string }[] = [];

before(async () => {
  chmodSync(folder, 0o755);
  server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1', '--data-checksums'],
    settings: {
      archive_mode: 'on',
      archive_command: shipper.command,
      autovacuum: 'off',
      track_commit_timestamp: 'on',
      synchronous_commit: 'on',
      max_prepared_transactions: '7',
    },
  });
  systemId = (await one('SELECT system_identifier AS v FROM pg_control_system()')) ?? '';
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
  await server.query(
    'postgres',
    'CREATE TABLE w (n int PRIMARY KEY); CREATE TABLE bulk AS SELECT n, repeat(md5(n::text), 4) AS v FROM ' +
      'generate_series(1, 20000) n',
  );
  const base = await backup(
    loaded,
    { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
    context,
  );
  assert.equal(base.outcome, 'done');
  for (let n = 1; n <= 60; n++) {
    const [row] = await server.query(
      'postgres',
      `INSERT INTO w VALUES (${n}) RETURNING pg_current_xact_id()::text AS xid`,
    );
    const [more] = await server.query(
      'postgres',
      "SELECT pg_current_wal_insert_lsn() AS lsn, to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', " +
        `'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM w WHERE n = ${n}`,
    );
    rows.push({ n, at: more?.['at'] ?? '', xid: row?.['xid'] ?? '', lsn: more?.['lsn'] ?? '' });
    if (n === 30) await createRestorePoint(loaded, { name: 'before the change' }, context);
    // So that the log goes over several segments.
    if (n % 20 === 0) await server.query('postgres', `UPDATE bulk SET v = v || '${n}' WHERE n % 4 = 0`);
  }
  await shipAll();
});

after(async () => {
  await server.stop();
  await shipper[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function one(sql: string): Promise<string | null> {
  return (await server.query('postgres', sql))[0]?.['v'] ?? null;
}

async function shipAll(): Promise<void> {
  const name = await one('SELECT pg_walfile_name(pg_current_wal_lsn()) AS v FROM pg_current_xact_id()');
  await server.query('postgres', 'SELECT pg_switch_wal()');
  await shipper.shipped(name ?? '');
}

function row(n: number): (typeof rows)[number] {
  const found = rows[n - 1];
  assert.ok(found);
  return found;
}

let places = 0;

async function run(to: string, more: Partial<PitrRequest> = {}): Promise<PitrResult> {
  return pitr(
    loaded,
    {
      to,
      inclusive: true,
      action: 'pause',
      check: false,
      dryRun: false,
      dataDir: join(folder, `data${++places}`),
      ...more,
    },
    context,
  );
}

/** Recovers, and gives the numbers in the table while the server is held at the target. */
async function recovered(to: string, more: Partial<PitrRequest> = {}): Promise<number[]> {
  const result = await run(to, more);
  assert.ok(result.outcome === 'done' && result.url !== undefined && result.pid !== undefined);
  assert.deepEqual(result.databases, ['postgres', 'template1']);
  try {
    return (
      await withConnection(parsePostgresUrl(result.url), {}, async (connection) =>
        connection.query('SELECT n FROM public.w ORDER BY n'),
      )
    ).map(({ n }) => Number(n));
  } finally {
    await end(result.pid);
    rmSync(parsePostgresUrl(result.url).host, { recursive: true, force: true });
    rmSync(join(folder, `data${places}`), { recursive: true, force: true });
  }
}

async function end(pid: number): Promise<void> {
  const start = processStart(pid);
  process.kill(pid, 'SIGINT');
  while (start !== undefined && processStart(pid) === start) await sleep(20);
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

async function refused(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<LifeboatError> {
  let failure: unknown;
  await assert.rejects(promise, (error) => {
    failure = error;
    return (
      error instanceof LifeboatError && error.code === code && message.test(`${error.message}; ${error.hint ?? ''}`)
    );
  });
  return failure as LifeboatError;
}

test('to a time: the rows committed up to it; exclusive: those before it', async () => {
  assert.deepEqual(await recovered(row(17).at), upTo(17));
  assert.deepEqual(await recovered(row(41).at.replace('Z', '+00:00'), { inclusive: false }), upTo(40));
});

test('to a transaction, with it and without it', async () => {
  assert.deepEqual(await recovered(`xid:${row(25).xid}`), upTo(25));
  assert.deepEqual(await recovered(`xid:${row(25).xid}`, { inclusive: false }), upTo(24));
});

test('to a position, to a name, to the first consistent moment', async () => {
  assert.deepEqual(await recovered(`lsn:${row(33).lsn}`, { inclusive: false }), upTo(33));
  assert.deepEqual(await recovered('name:before the change'), upTo(30));
  assert.deepEqual(await recovered('immediate'), []);
});

test(
  'to the end of the archive, promoted and shut down: the folder starts by itself, on a new timeline, with its own ' +
    'configuration, not archiving',
  async () => {
    const result = await run('latest', { action: 'shutdown' });
    assert.ok(result.outcome === 'done' && result.pid === undefined && result.dataDir !== undefined);
    const { uid, gid } = statSync(result.dataDir);
    const tool = { ...(process.getuid?.() === 0 ? { uid, gid } : {}), cwd: result.dataDir };
    const socket = mkdtempSync(join(tmpdir(), 'pitr-sock-'));
    chmodSync(socket, 0o777);
    await runTool({
      file: join(server.binDir, 'pg_ctl'),
      args: [
        '-D',
        result.dataDir,
        '-w',
        '-s',
        '-l',
        join(socket, 'log'),
        '-o',
        `-c unix_socket_directories=${socket}`,
        'start',
      ],
      ...tool,
      stdout: 'ignore',
    });
    try {
      const url = parsePostgresUrl(`postgres://postgres@${encodeURIComponent(socket)}:${server.port}/postgres`);
      const found = await withConnection(url, {}, async (connection) =>
        connection.query(
          "SELECT (SELECT count(*) FROM public.w) AS n, current_setting('archive_mode') AS archives, " +
            "current_setting('max_prepared_transactions') AS prepared, (SELECT timeline_id FROM " +
            'pg_control_checkpoint()) AS timeline, pg_is_in_recovery() AS recovering',
        ),
      );
      assert.deepEqual(found, [{ n: '60', archives: 'off', prepared: '7', timeline: '2', recovering: 'f' }]);
    } finally {
      await runTool({
        file: join(server.binDir, 'pg_ctl'),
        args: ['-D', result.dataDir, '-w', '-s', '-m', 'immediate', 'stop'],
        ...tool,
      });
      rmSync(socket, { recursive: true, force: true });
      rmSync(result.dataDir, { recursive: true, force: true });
    }
  },
);

test('moments out of the window are refused with the nearest possible ones, and a time without a zone', async () => {
  const early = await refused(run('2020-01-01T00:00:00Z'), 'window', /earliest possible moment is 20/);
  assert.match(String(early.facts?.['earliest']), /^20\d\d-/);
  const late = await refused(run('2099-01-01T00:00:00Z'), 'window', /latest possible moment is 20/);
  // What is named is possible.
  const planned = await run(String(late.facts?.['latest']), { dryRun: true });
  assert.equal(planned.outcome, 'planned');
  await refused(run('lsn:FF/0'), 'window', /latest possible moment is lsn:/);
  await refused(run('name:never'), 'window', /no restore point of that name/);
  await refused(run('2026-01-02T03:04:05'), 'usage', /no zone/);
  assert.equal(existsSync(join(folder, `data${places}`)), false);
});

test('a folder with something in it is refused, and so is one of a running server', async () => {
  const full = join(folder, 'full');
  mkdirSync(full);
  writeFileSync(join(full, 'x'), '');
  await refused(run('latest', { action: 'shutdown', dataDir: full }), 'usage', /not empty/);
  await refused(run('latest', { action: 'shutdown', dataDir: server.dataDir }), 'usage', /postmaster\.pid/);
  assert.deepEqual(readdirSync(full), ['x']);
});

test(
  'a missing segment is known beforehand, a damaged one is named by --check; a recovery stops there with an error ' +
    'and leaves nothing',
  async () => {
    const whole = await run('latest', { dryRun: true });
    assert.ok(whole.outcome === 'planned');
    const { last } = whole.segments;
    const at = join(folder, 'repository/wal', systemId, '00000001/00000000');
    const middle =
      readdirSync(at)
        .filter((name) => /^[0-9A-F]{24}\.wal$/.test(name))
        .sort()
        .at(-3) ?? '';
    assert.notEqual(middle, `${last}.wal`);
    renameSync(join(at, middle), join(folder, 'moved'));
    await refused(run(row(60).at, { dryRun: true }), 'window', new RegExp(middle.replace('.wal', '')));
    const content = readFileSync(join(folder, 'moved'));
    content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1;
    writeFileSync(join(at, middle), content);
    await refused(run('latest', { check: true }), 'integrity', new RegExp(middle.replace('.wal', '')));
    const dataDir = join(folder, 'stopped');
    const failure = await refused(
      run('latest', { action: 'shutdown', dataDir }),
      'integrity',
      new RegExp(middle.replace('.wal', '')),
    );
    assert.match(failure.state ?? '', /removed again/);
    assert.equal(existsSync(dataDir), false);
    renameSync(join(folder, 'moved'), join(at, middle));
    const checked = await run('latest', { check: true });
    assert.ok(checked.outcome === 'planned' && (checked.checked ?? 0) > 3);
  },
);

test('killed while it restores, it leaves no folder that starts, and the next run clears it away', async () => {
  const bench = makeBench({
    BACKUP_REPOSITORY: `file://${folder}/repository`,
    BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32),
    BACKUP_TARGET: 'main',
  });
  chmodSync(bench.folder, 0o755);
  try {
    const dataDir = join(bench.folder, 'data');
    const command = await bench.start(['pitr', '--to', row(50).at, '--data-dir', dataDir]);
    while (!existsSync(join(dataDir, 'global'))) await sleep(2);
    command.kill('SIGKILL');
    await command.result;
    assert.equal(existsSync(join(dataDir, 'postgresql.conf')), false, 'no configuration by which a server would start');
    assert.equal(existsSync(join(dataDir, 'global/pg_control')), false);
    const planned = await bench.json<PitrResult>(['pitr', '--to', row(50).at, '--check']);
    assert.ok(planned.outcome === 'planned' && planned.checked === planned.segments.count);
    assert.equal(existsSync(dataDir), false, 'removed by the next run');
    // The folder of the old server's socket is not the new one's to write to: told as a warning.
    const done = await bench.json<PitrResult>(['pitr', '--to', row(50).at, '--data-dir', dataDir], { exitCode: 3 });
    assert.ok(done.outcome === 'done' && done.pid === undefined);
    assert.match(done.warnings.join(), /postgresql\.auto\.conf has: unix_socket_directories = /);
    for (const document of [planned, done]) assert.deepEqual(documents.pitr.parse(document), document);
    assert.deepEqual(namesBelow(bench.tmp), []);
  } finally {
    await bench[Symbol.asyncDispose]();
  }
});

test(
  'after a promotion that was not archived the gap on the new timeline is named; along the old one all is there; a ' +
    'history file that is missing is named',
  async () => {
    const { outcome, dataDir = '' } = await run('latest', { action: 'shutdown' });
    assert.equal(outcome, 'done');
    const { uid, gid } = statSync(dataDir);
    const tool = { ...(process.getuid?.() === 0 ? { uid, gid } : {}), cwd: dataDir, stdout: 'ignore' as const };
    const socket = mkdtempSync(join(tmpdir(), 'pitr-sock-'));
    chmodSync(socket, 0o777);
    writeFileSync(
      join(dataDir, 'archive.sh'),
      `#!/bin/sh\n${shipper.command.replaceAll('%p', '"$1"').replaceAll('%f', '"$2"')}\n`,
      { mode: 0o755 },
    );
    // It was promoted without archiving; the operator is told to push this file.
    const ready = join(dataDir, 'pg_wal/archive_status/00000002.history.ready');
    writeFileSync(ready, '');
    chownSync(ready, uid, gid);
    const settings =
      `-c unix_socket_directories=${socket} -c archive_mode=on -c ` +
      `archive_command='${join(dataDir, 'archive.sh')} %p %f'`;
    await runTool({
      file: join(server.binDir, 'pg_ctl'),
      args: ['-D', dataDir, '-w', '-s', '-l', join(socket, 'log'), '-o', settings, 'start'],
      ...tool,
    });
    const url = parsePostgresUrl(`postgres://postgres@${encodeURIComponent(socket)}:${server.port}/postgres`);
    let moment = '';
    try {
      const name = await withConnection(url, {}, async (connection) => {
        await connection.query('INSERT INTO public.w VALUES (61)');
        const [found] = await connection.query(
          'SELECT to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') ' +
            'AS at FROM public.w WHERE n = 61',
        );
        moment = found?.['at'] ?? '';
        await connection.query('INSERT INTO public.w VALUES (62)');
        const [segment] = await connection.query('SELECT pg_walfile_name(pg_switch_wal()) AS name');
        return segment?.['name'] ?? '';
      });
      assert.match(name, /^00000002/);
      await shipper.shipped(name);
      await shipper.shipped('00000002.history');
    } finally {
      await runTool({
        file: join(server.binDir, 'pg_ctl'),
        args: ['-D', dataDir, '-w', '-s', '-m', 'fast', 'stop'],
        ...tool,
      });
      for (const path of [socket, dataDir]) rmSync(path, { recursive: true, force: true });
    }
    // What it wrote before it archived is in no archive: that needs a base backup of its own, and is known beforehand.
    await refused(run(moment, { dryRun: true }), 'window', /a gap before: 00000002[0-9A-F]{16} is missing/);
    assert.deepEqual(await recovered(row(59).at, { timeline: 1 }), upTo(59));
    await refused(run('latest', { dryRun: true, timeline: 3 }), 'window', /timeline 3/);
    const history = join(folder, 'repository/wal', systemId, 'history/00000002.history.wal');
    renameSync(history, join(folder, 'history'));
    await refused(run(moment, { dryRun: true }), 'integrity', /00000002\.history is missing/);
  },
);
