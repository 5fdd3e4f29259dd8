/**
 * A recovery whose log is not whole: it stops with an error and leaves nothing, never "succeeds" early; a check has
 * named it before; and what does not need the damaged part still works. Then: servers that archive into an archive not
 * theirs.
 */
import assert from 'node:assert/strict';
import {
  createReadStream,
  appendFileSync,
  chownSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { LifeboatError, type ErrorCode } from '../../src/lib/errors.ts';
import { runTool, startTool } from '../../src/lib/exec.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { type DumpedWal, WalDump } from '../../src/source/postgres/wal/waldump-batches.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { putWal, readWal } from '../../src/repository/wal/archive.ts';
import { startPitrCluster, quiet, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';
import { startPostgres } from '../helpers/servers/postgres.ts';
import { runCli } from '../helpers/cli/run-cli.ts';
import { keptSegments, mib, walCli } from '../helpers/cluster/wal-server.ts';

interface Row {
  readonly n: number;
  readonly at: string;
  readonly xid: string;
  /** Directly behind its commit. */
  readonly lsn: string;
  readonly segment: string;
}

let cluster: PitrCluster;
const rows: Row[] = [];

before(async () => {
  cluster = await startPitrCluster();
  const { server } = cluster;
  await server.query('postgres', 'CREATE TABLE w (n int PRIMARY KEY)');
  await cluster.base();
  // Records that go on in the next segment.
  await server.query('postgres', 'SELECT pg_switch_wal()');
  await server.query(
    'postgres',
    'CREATE TABLE bulk AS SELECT n, repeat(md5(n::text), 50) AS v FROM generate_series(1, 2500) n',
  );
  for (let n = 1; n <= 24; n++) {
    const [row] = await server.query(
      'postgres',
      `INSERT INTO w VALUES (${n}) RETURNING pg_current_xact_id()::text AS xid`,
    );
    const [more] = await server.query(
      'postgres',
      'SELECT pg_current_wal_insert_lsn() AS lsn, pg_walfile_name(pg_current_wal_insert_lsn()) AS segment, ' +
        `to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM w ` +
        `WHERE n = ${n}`,
    );
    rows.push({
      n,
      at: more?.['at'] ?? '',
      xid: row?.['xid'] ?? '',
      lsn: more?.['lsn'] ?? '',
      segment: more?.['segment'] ?? '',
    });
    if (n % 3 === 0) await server.query('postgres', 'SELECT pg_switch_wal()');
  }
  await cluster.archived();
});
after(async () => cluster?.[Symbol.asyncDispose]());

function row(n: number): Row {
  const found = rows[n - 1];
  assert.ok(found);
  return found;
}

const objectPath = (name: string): string =>
  join(
    cluster.home,
    `repository/wal/${cluster.systemId}`,
    name.endsWith('.history') ? 'history' : `${name.slice(0, 8)}/${name.slice(8, 16)}`,
    `${name}.wal`,
  );

/** While `action` runs, these objects are as `change` leaves them. */
async function harmed(names: readonly string[], change: () => unknown, action: () => Promise<void>): Promise<void> {
  for (const name of names) copyFileSync(objectPath(name), `${cluster.home}/${name}.kept`);
  try {
    await change();
    await action();
  } finally {
    for (const name of names) renameSync(`${cluster.home}/${name}.kept`, objectPath(name));
  }
}

async function refused(promise: Promise<unknown>, code: ErrorCode, message: RegExp | string): Promise<LifeboatError> {
  let failure: unknown;
  await assert.rejects(promise, (error) => {
    failure = error;
    return true;
  });
  assert.ok(failure instanceof LifeboatError, String(failure));
  const said = `${failure.message}; ${failure.hint ?? ''}`;
  assert.equal(failure.code, code, said);
  assert.match(said, new RegExp(message));
  return failure;
}

/** Refused for real too: nothing is left. */
async function stops(to: string, code: ErrorCode, message: RegExp | string): Promise<void> {
  const dataDir = cluster.folder('stopped');
  await refused(cluster.run(to, { dataDir, action: to === 'latest' ? 'shutdown' : 'pause' }), code, message);
  assert.deepEqual(readdirSync(dataDir), []);
}

const numbers = async (to: string): Promise<number[]> =>
  cluster.recovered(to, async (connection) =>
    (await connection.query('SELECT n FROM public.w ORDER BY n')).map(({ n }) => Number(n)),
  );
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

function flip(path: string, at: (length: number) => number): void {
  const bytes = readFileSync(path);
  const place = at(bytes.length);
  bytes[place] = (bytes[place] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
}

test(
  'a missing segment is named for whatever lies behind it, the ' +
    'end of the archive included; what lies before is there',
  async () => {
    const { segment } = row(14);
    await harmed(
      [segment],
      () => rmSync(objectPath(segment)),
      async () => {
        for (const to of ['latest', row(20).at, `lsn:${row(20).lsn}`, `xid:${row(20).xid}`]) {
          await refused(cluster.run(to, { dryRun: true }), 'window', segment);
        }
        await refused(cluster.run('latest', { check: true }), 'window', segment);
        await stops('latest', 'window', segment);
        // Named as the latest possible moment, it is possible.
        const { facts } = await refused(cluster.run('latest', { dryRun: true }), 'window', segment);
        assert.ok(parseLsn(String(facts?.['latestLsn'])) >= parseLsn(row(12).lsn) - 200n);
        assert.deepEqual(await numbers(`lsn:${String(facts?.['latestLsn'])}`), upTo(12));
        assert.equal((await cluster.run(`xid:${row(5).xid}`, { dryRun: true })).outcome, 'planned');
      },
    );
  },
);

test(
  'the last segment is damaged: moments before it are there, those in it and the end of the archive are refused ' +
    'with its name',
  async () => {
    const { segment } = row(24);
    await harmed(
      [segment],
      () => flip(objectPath(segment), (length) => length >> 1),
      async () => {
        assert.deepEqual(await numbers(row(17).at), upTo(17));
        for (const to of ['latest', row(23).at, `lsn:${row(23).lsn}`]) {
          await refused(cluster.run(to, { dryRun: true }), 'integrity', segment);
        }
        await stops('latest', 'integrity', segment);
      },
    );
  },
);

test('truncated, swapped and flipped segments: named by a check, fatal to a recovery behind them', async () => {
  const { segment } = row(11);
  const other = row(15).segment;
  const swap = (): void => {
    const bytes = readFileSync(objectPath(segment));
    copyFileSync(objectPath(other), objectPath(segment));
    writeFileSync(objectPath(other), bytes);
  };
  for (const change of [
    () => writeFileSync(objectPath(segment), readFileSync(objectPath(segment)).subarray(0, -100)),
    swap,
    () => flip(objectPath(segment), (length) => length >> 1),
    () => writeFileSync(objectPath(segment), ''),
  ]) {
    await harmed([segment, other], change, async () => {
      await refused(cluster.run('latest', { check: true }), 'integrity', segment);
      await refused(cluster.run(row(20).at, { check: true }), 'integrity', segment);
      assert.equal((await cluster.run(`lsn:${row(7).lsn}`, { check: true })).outcome, 'planned');
    });
  }
  await harmed([segment, other], swap, async () => {
    await stops('latest', 'integrity', segment);
    assert.deepEqual(await numbers(row(7).at), upTo(7));
  });
});

test('a record damaged on the server before it was archived: no recovery ends there as at the end', async () => {
  const { segment, lsn } = row(11);
  await harmed(
    [segment],
    async () => {
      await withRepository(cluster.loaded, quiet, async (repository) => {
        const body = await readWal(repository, cluster.systemId, segment);
        const place = Number((parseLsn(lsn) - 20n) % BigInt(mib));
        body[place] = (body[place] ?? 0) ^ 1;
        rmSync(objectPath(segment));
        await putWal(repository, cluster.systemId, segment, body, {
          sealing: await repository.writeKey(),
          compression: { method: 'zstd', level: 1 },
        });
      });
    },
    async () => {
      for (const to of ['latest', row(20).at]) await refused(cluster.run(to, { check: true }), 'integrity', segment);
      for (const to of ['latest', row(20).at]) await stops(to, 'integrity', segment);
    },
  );
});

test('a damaged history file is named; along the timeline before it all is there', async () => {
  const history = '00000002.history';
  await withRepository(cluster.loaded, quiet, async (repository) => {
    await putWal(repository, cluster.systemId, history, Buffer.from(`1\t${row(23).lsn}\tno reason\n`), {
      sealing: await repository.writeKey(),
      compression: { method: 'none', level: 0 },
    });
  });
  try {
    flip(objectPath(history), (length) => length >> 1);
    await refused(cluster.run('latest', { dryRun: true }), 'integrity', history);
    await refused(cluster.run('latest', { dryRun: true, timeline: 2 }), 'integrity', history);
    assert.equal((await cluster.run('latest', { check: true, timeline: 1 })).outcome, 'planned');
  } finally {
    rmSync(objectPath(history));
  }
});

test('where a timeline begins, wal fetch does not let a server go on along the older one', async () => {
  const { server } = cluster;
  const fetch = async (name: string): Promise<number> =>
    (
      await walCli(cluster, ['fetch', name, 'pg_wal/RECOVERYXLOG'], {
        BACKUP_STATE_DIR: join(cluster.home, 'fetch-state'),
      })
    ).exitCode;
  const begins = row(11).segment.replace('00000001', '00000002');
  assert.equal(await fetch(begins), 1);
  await withRepository(cluster.loaded, quiet, async (repository) => {
    await putWal(repository, cluster.systemId, '00000002.history', Buffer.from(`1\t${row(11).lsn}\tno reason\n`), {
      sealing: await repository.writeKey(),
      compression: { method: 'none', level: 0 },
    });
  });
  try {
    assert.equal(await fetch(begins), 200);
    assert.equal(await fetch(row(14).segment.replace('00000001', '00000002')), 1);
  } finally {
    rmSync(objectPath('00000002.history'));
    rmSync(join(server.dataDir, 'pg_wal/RECOVERYXLOG'), { force: true });
  }
});

test('records are read whole although a few segments are read at once', async () => {
  const { server } = cluster;
  const names = keptSegments(server).slice(3);
  const [programs, lsns] = [
    server.binDir,
    (text: string): string[] => [...text.matchAll(/ lsn: ([0-9A-F]+\/[0-9A-F]+),/g)].map(([, lsn]) => lsn ?? ''),
  ];
  const whole = await runTool({
    file: join(programs, 'pg_waldump'),
    args: ['--path', join(server.dataDir, 'pg_wal'), names[0] ?? '', names.at(-1) ?? ''],
  });
  const found = new Set<string>();
  const onText = (text: string): void => lsns(text).forEach((lsn) => found.add(lsn));
  const dump = new WalDump({ programs, segmentBytes: mib, batchBytes: 3 * mib, onText, signal: quiet.signal });
  const note = (dumped: DumpedWal | undefined): void => assert.equal(dumped?.fault, undefined);
  for (const name of names) {
    const pieces = (): Readable => createReadStream(join(server.dataDir, 'pg_wal', name));
    note(await dump.add(name, { bytes: mib, pieces }));
  }
  note(await dump.end());
  assert.ok(found.size > 1000, `${found.size} records`);
  assert.deepEqual([...found], lsns(whole.stdout));
});

test('a wrong key: 12, and nothing is written', async () => {
  const dataDir = join(cluster.folder('key'), 'data');
  for (const flags of [['--check'], ['--data-dir', dataDir]]) {
    const { exitCode, stdout, stderr } = await runCli(['pitr', '--to', row(5).at, ...flags], {
      env: {
        BACKUP_REPOSITORY: `file://${cluster.home}/repository`,
        BACKUP_ENCRYPTION_KEY: 'e5'.repeat(32),
        BACKUP_STATE_DIR: cluster.folder('key-state'),
      },
    });
    assert.equal(exitCode, 12, stderr);
    assert.equal(stdout, '');
    assert.equal(existsSync(dataDir), false);
  }
});

interface Archiver {
  query(database: string, sql: string): Promise<Readonly<Record<string, string | null>>[]>;
}

/** Makes the server archive until its archiver has failed. */
async function failsToArchive(server: Archiver): Promise<void> {
  for (;;) {
    const [stat] = await server.query(
      'postgres',
      'SELECT failed_count AS failed, archived_count AS archived FROM pg_stat_archiver',
    );
    assert.equal(stat?.['archived'], '0');
    if (Number(stat?.['failed']) > 0) return;
    await sleep(50);
  }
}

const inArchive = (): string[] =>
  readdirSync(join(cluster.home, 'repository/wal'), { recursive: true }).map(String).toSorted();

test('another cluster on this archive by mistake: refused, keeps its log, and this one goes on', async () => {
  const before = inArchive();
  const other = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1'],
    settings: {
      archive_mode: 'on',
      archive_command: cluster.recipe.archiveCommand
        .replace(/^archive_command = '/, '')
        .replace(/'$/, '')
        .replaceAll("''", "'"),
    },
  });
  try {
    const [id] = await other.query(
      'postgres',
      'SELECT system_identifier AS id, pg_walfile_name(pg_switch_wal()) AS name FROM pg_control_system(), ' +
        'pg_current_xact_id()',
    );
    await failsToArchive(other);
    const said = await runCli(['wal', 'push', `pg_wal/${id?.['name'] ?? ''}`, '--config', cluster.config], {
      cwd: other.dataDir,
    });
    assert.equal(said.exitCode, 2);
    assert.match(said.stderr, new RegExp(`system identifier ${id?.['id']}.*that of ${cluster.systemId}`));
    // Also on a host that knows nothing of this archive yet.
    const elsewhere = await runCli(['wal', 'push', `pg_wal/${id?.['name'] ?? ''}`, '--config', cluster.config], {
      cwd: other.dataDir,
      env: { BACKUP_STATE_DIR: cluster.folder('elsewhere') },
    });
    assert.equal(elsewhere.exitCode, 2, elsewhere.stderr);
    assert.deepEqual(inArchive(), before);
    assert.ok(readdirSync(join(other.dataDir, 'pg_wal/archive_status')).includes(`${id?.['name']}.ready`));
  } finally {
    await other.stop();
  }
  await cluster.server.query('postgres', 'INSERT INTO w VALUES (100)');
  await cluster.archived();
  assert.ok(inArchive().length > before.length);
});

test('a clone with the same archive_command is refused once its log differs; the original stays', async () => {
  const { server, owner } = cluster;
  const place = cluster.folder('clone');
  const dataDir = join(place, 'data');
  await runTool({
    file: join(server.binDir, 'pg_basebackup'),
    args: ['-D', dataDir, '-X', 'stream', '-c', 'fast', '--no-sync'],
    env: server.env,
    ...owner,
    cwd: place,
  });
  await server.query('postgres', 'INSERT INTO w VALUES (101)');
  const [segment] = await server.query('postgres', 'SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name');
  const name = segment?.['name'] ?? '';
  await cluster.archived();
  const stored = readFileSync(objectPath(name));
  appendFileSync(join(dataDir, 'postgresql.auto.conf'), `unix_socket_directories = '${place}'\n`);
  chownSync(join(dataDir, 'postgresql.auto.conf'), owner.uid, owner.gid);
  const running = await startTool({
    file: join(server.binDir, 'postgres'),
    args: ['-D', dataDir],
    ...owner,
    cwd: place,
    stdout: 'ignore',
  });
  running.result.catch(() => {});
  const query = async (_: string, sql: string): Promise<Record<string, string>[]> => {
    const { stdout } = await runTool({
      file: join(server.binDir, 'psql'),
      args: ['-X', '-A', '-t', '-d', 'postgres', '-c', `SELECT row_to_json(t) FROM (${sql}) t`],
      env: { PGHOST: place, PGUSER: 'postgres', PGPORT: '5432' },
    });
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) =>
        Object.fromEntries(
          Object.entries(JSON.parse(line) as Record<string, unknown>).map(([key, value]) => [key, String(value)]),
        ),
      );
  };
  try {
    while ((await query('', 'SELECT 1').catch(() => [])).length === 0) await sleep(50);
    await query('', 'SELECT pg_switch_wal() FROM pg_current_xact_id()');
    for (let failed = 0; failed === 0; await sleep(50)) {
      failed = Number((await query('', 'SELECT failed_count AS n FROM pg_stat_archiver'))[0]?.['n']);
    }
    const pushed = await runCli(['wal', 'push', `pg_wal/${name}`, '--config', cluster.config], { cwd: dataDir });
    assert.equal(pushed.exitCode, 14, pushed.stderr);
    assert.match(pushed.stderr, /another content.*\n.*\n.*clone/);
  } finally {
    running.kill('SIGQUIT');
    await running.result.catch(() => {});
  }
  assert.ok(readFileSync(objectPath(name)).equals(stored));
});
