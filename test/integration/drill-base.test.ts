/**
 * Drills of base backups: recovered in a scratch folder and looked at as a whole; and recoveries to random
 * moments, held against what the log says of them. Nothing stays on the machine, however a drill ends.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { PostgresUrl } from '../../src/config/postgres-url.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { openArtifacts } from '../../src/repository/packs/artifact-reader.ts';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import { withRecovered } from '../../src/operations/drill/recover.ts';
import { proveMoment } from '../../src/operations/drill/prove-moment.ts';
import { DrillRecord } from '../../src/operations/drill/subject.ts';
import { lookAround, type WalMoment } from '../../src/operations/drill/wal-transactions.ts';
import { init } from '../../src/operations/setup/init.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { planPitr } from '../../src/operations/pitr/plan.ts';
import { formatMicroseconds, parseTime } from '../../src/operations/pitr/moment.ts';
import type { ListResult, ShowResult } from '../../src/operations/list/request.ts';
import type { StatusResult } from '../../src/operations/status/request.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, testKey, toolsOf, type Bench } from '../helpers/cli/command-run.ts';
import { segmentAt } from '../../src/source/postgres/wal/file-name.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { collectingContext } from '../helpers/servers/redis.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';
import type { DrillResult } from '../../src/operations/drill/request.ts';

const shipper = walShipper();
const context = collectingContext();
let server: TestPostgres;
let bench: Bench;
let loaded: LoadedConfig;
let systemId = '';
let baseId = '';
/** Commit times of rows 1, 2, 3… */
const times: string[] = [];

before(async () => {
  server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1'],
    settings: { archive_mode: 'on', archive_command: shipper.command, autovacuum: 'off', track_commit_timestamp: 'on' },
  });
  systemId = (await server.query('postgres', 'SELECT system_identifier AS v FROM pg_control_system()'))[0]?.['v'] ?? '';
  bench = makeBench({ BACKUP_TARGET: 'main' });
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o1777);
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'something');
  const main = { postgres: { url: server.url(), databases: ['postgres'], base: {} }, files: { paths: [files] } };
  const document = { repository: `file://${bench.repository}`, targets: { main, spare: main } };
  loaded = await loadConfig({
    cwd: bench.folder,
    env: { BACKUP_STATE_DIR: bench.stateDir, BACKUP_ENCRYPTION_KEY: testKey },
    document,
    need: { repository: true, encryption: true, targets: 'all' },
  });
  await init(loaded, { configPath: undefined }, context);
  shipper.begin(loaded, systemId);
  await server.query('postgres', 'CREATE TABLE w (n int PRIMARY KEY, v text)');
  await server.psql('postgres', 'CREATE DATABASE other');
  await server.psql(
    'other',
    'CREATE TABLE big AS SELECT n, md5(n::text) AS v FROM generate_series(1, 20000) n; CREATE INDEX ON big (v)',
  );
  baseId = await takeBackup('main', ['base', 'files']);
  for (let n = 1; n <= 40; n++) {
    await server.query('postgres', `INSERT INTO w VALUES (${n}, 'x')`);
    const [row] = await server.query(
      'postgres',
      `SELECT to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at ` +
        `FROM w WHERE n = ${n}`,
    );
    times.push(row?.['at'] ?? '');
    if (n % 10 === 0) {
      await server.psql(
        'other',
        `BEGIN; UPDATE big SET v = v || '${n}' WHERE n % 3 = 0; SAVEPOINT a; DELETE FROM big WHERE n = ${n}; ` +
          'RELEASE a; COMMIT; BEGIN; DELETE FROM big; ROLLBACK',
      );
    }
  }
  await shipAll();
});

after(async () => {
  await server?.stop();
  await shipper[Symbol.asyncDispose]();
  await bench?.[Symbol.asyncDispose]();
});

/** Of `main` there is the one of the beginning only, whichever tests have run; what a test takes is of `spare`. */
async function takeBackup(target: 'main' | 'spare', components: readonly ('base' | 'files')[]): Promise<string> {
  const done = await backup(
    loaded,
    { target, components: [...components], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
    context,
  );
  assert.equal(done.outcome, 'done');
  return done.id;
}

async function shipAll(): Promise<void> {
  const [row] = await server.query(
    'postgres',
    'SELECT pg_walfile_name(pg_current_wal_lsn()) AS name FROM pg_current_xact_id()',
  );
  await server.query('postgres', 'SELECT pg_switch_wal()');
  await shipper.shipped(row?.['name'] ?? '');
}

const spare = { env: { BACKUP_TARGET: 'spare' } };

function time(n: number): string {
  return times[n - 1] ?? '';
}

test('a base backup is recovered, read as a whole and proven, with the rest; nothing is left', async () => {
  const { backups, warnings } = documents.drill.parse(await bench.json('integrity --drill latest'));
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    backups.map(({ id, result }) => ({ id, result })),
    [{ id: baseId, result: 'proven' }],
  );
  const parts = (backups[0]?.components ?? []).toSorted((a, b) => (a.kind < b.kind ? -1 : 1));
  assert.deepEqual(
    parts.map(({ kind, result, problems, notes }) => ({ kind, result, problems, notes })),
    ['base', 'files'].map((kind) => ({ kind, result: 'equal', problems: [], notes: [] })),
  );
  const base = parts.find(({ kind }) => kind === 'base');
  assert.deepEqual([base?.counts['databases'], base?.counts['tables']], [3, 2]);
  for (const step of ['restore base backup', 'restore recovery', 'compare', 'read', 'amcheck']) {
    assert.ok(
      base?.steps.some(({ name }) => name === step),
      step,
    );
  }
  await bench.nothingLeft();
  const { evidence, backup: shown } = await bench.json<ShowResult>(`show ${baseId}`);
  assert.equal(shown.standing?.state, 'proven');
  const kept = evidence.findLast(({ level }) => level === 'drill');
  assert.ok(
    kept?.result === 'ok' &&
      kept.compared?.some((each) => /pg_amcheck/.test(each)) === true &&
      kept.compared.some((each) => /system identifier/.test(each)),
  );
});

describe('a recovery to a random moment', () => {
  test(
    'is proven by transactions and rows of the log; the same seed ' +
      'gives the same moment; evidence and state say so',
    async () => {
      const { backups } = documents.drill.parse(await bench.json('integrity --drill --pitr --seed one'));
      const [one] = backups;
      assert.ok(
        one?.result === 'proven' && one.moment !== undefined && one.id === baseId,
        JSON.stringify(one?.components[0]?.problems),
      );
      const counts = one.components[0]?.counts ?? {};
      assert.ok(
        (counts['transactionsThere'] ?? 0) > 0 &&
          (counts['transactionsAbsent'] ?? 0) > 0 &&
          (counts['rowsThere'] ?? 0) > 0 &&
          (counts['rowsAbsent'] ?? 0) > 0,
        JSON.stringify(counts),
      );
      assert.ok(one.moment >= time(1) && one.moment < time(40));
      const again = await bench.run('integrity --drill --pitr --seed one');
      assert.equal(again.exitCode, 0, again.stdout);
      assert.match(again.stdout, new RegExp(`recovery to ${one.moment} is proven`));
      await bench.nothingLeft();
      const { evidence, backup: shown } = await bench.json<ShowResult>(`show ${baseId}`);
      assert.equal(evidence.filter(({ level, result }) => level === 'pitr' && result === 'ok').length, 2);
      assert.equal(shown.standing?.recovered?.level, 'pitr');
      const { targets } = JSON.parse((await bench.run('status --json')).stdout) as StatusResult;
      const main = targets.find(({ name }) => name === 'main');
      assert.deepEqual([main?.provenMoment?.id, main?.provenMoment?.moment], [baseId, one.moment]);
      assert.ok(
        (main?.restoreTime?.steps ?? []).some(
          ({ name, durationMs }) => name === 'base restore base backup' && durationMs > 0,
        ),
      );
    },
  );

  /**
   * Code in the recovered server, and so any process of its uid, comes to its socket; no role of its takes it in.
   * The second program shows that the first one came as far as the server.
   */
  async function comeIn(url: PostgresUrl, isolation: 'auto' | 'none'): Promise<void> {
    await withConnection(url, {}, async (connection) => {
      const [row] = await connection.query('SHOW unix_socket_directories');
      const psql = `${server.binDir}/psql -X -w -h ${row?.['unix_socket_directories'] ?? ''} -U postgres postgres`;
      const copy = async (program: string): Promise<unknown> =>
        connection.query(`COPY (SELECT 1) TO PROGRAM '${program} >/dev/null 2>&1'`);
      await assert.rejects(copy(`${psql} -c "SELECT 1"`), /program .* failed/, isolation);
      await copy(`${psql} -c "SELECT 1" 2>&1 | grep -q "Peer authentication failed"`);
    });
  }

  /** The rows of w while a cluster is held at a moment, and what proofs for others say of it. */
  async function held(
    at: string,
    others: readonly WalMoment[],
    isolation: 'auto' | 'none' = 'auto',
  ): Promise<{ rows: number[]; proofs: string[] }> {
    return withRepository(loaded, context, async (repository) => {
      const { manifest, component, facts, inventory, run, place } = await planPitr(
        loaded,
        { target: 'main', to: at, inclusive: true, action: 'pause', check: false, dryRun: true },
        repository,
        context,
      );
      const reader = openArtifacts({
        storage: repository.storage,
        dataKey: await repository.dataKeyOf(manifest),
        artifacts: component.artifacts,
      });
      const target = {
        recovery_target_time: at.replace('T', ' ').replace('Z', '+00'),
        recovery_target_timeline: String(run.timeline),
      };
      return withRecovered(
        {
          config: { drill: { ...loaded.config.drill, isolation } },
          repository,
          reader,
          facts,
          inventory,
          run,
          place,
          target,
          walBytes: 0,
        },
        new DrillRecord(),
        context,
        async ({ url }) => {
          await comeIn(url, isolation);
          const found = await withConnection(url, {}, async (connection) =>
            connection.query('SELECT n FROM public.w ORDER BY n'),
          );
          const proofs: string[] = [];
          for (const other of others) {
            proofs.push(
              await proveMoment({ url }, other, new DrillRecord(), context).then(
                () => 'proven',
                (error: unknown) => String(error),
              ),
            );
          }
          return { rows: found.map(({ n }) => Number(n)), proofs };
        },
      );
    });
  }

  async function around(at: string): Promise<WalMoment> {
    const found = await withRepository(loaded, context, async (repository) => {
      const plan = await planPitr(
        loaded,
        { target: 'main', to: at, inclusive: true, action: 'pause', check: false, dryRun: true },
        repository,
        context,
      );
      return lookAround(
        { repository, facts: plan.facts, run: plan.run, programs: plan.place.programs, signal: context.signal },
        parseTime(at),
      );
    });
    assert.ok(found !== undefined && !('nextUs' in found));
    return found;
  }

  const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

  test('that stopped too early, too late, or lost a row is not taken for the right one', async () => {
    const moment = await around(time(17));
    assert.deepEqual(formatMicroseconds(moment.lastUs), time(17));
    assert.ok(moment.rowsBefore.length > 0 && moment.rowsAfter.length > 0);
    assert.deepEqual(await held(time(17), [moment]), { rows: upTo(17), proofs: ['proven'] });
    // Then without the time of the last transaction: each of the other questions finds it by itself.
    const early = await held(time(16), [
      moment,
      { ...moment, lastUs: parseTime(time(16)), rowsBefore: [], rowsAfter: [] },
    ]);
    assert.deepEqual(early.rows, upTo(16));
    assert.match(early.proofs[0] ?? '', /did not stop where it should: the last transaction that was replayed/);
    assert.match(early.proofs[1] ?? '', /transaction \d+, committed at .*, is not there/);
    const lastUs = parseTime(time(18));
    const others = [
      moment,
      { ...moment, lastUs, rowsBefore: [], rowsAfter: [] },
      { ...moment, lastUs, before: [], after: [] },
      {
        ...moment,
        lastUs,
        before: [],
        after: [],
        rowsBefore: moment.rowsAfter.map((row) => ({ ...row, offset: 9999 })),
        rowsAfter: [],
      },
    ];
    const late = await held(time(18), others, 'none');
    assert.deepEqual(late.rows, upTo(18));
    assert.match(late.proofs[0] ?? '', /did not stop where it should: the last transaction that was replayed/);
    assert.match(late.proofs[1] ?? '', /transaction \d+, committed only at .*, is there/);
    assert.match(late.proofs[2] ?? '', /a row of transaction \d+, which was committed after .*, is there/);
    assert.match(late.proofs[3] ?? '', /a row that transaction \d+ wrote before .* is not there/);
  });

  test('is impossible without log behind the base backup, and says so; no base backup is refused', async () => {
    const env = { BACKUP_TARGET: undefined };
    assert.match(
      (await bench.run('integrity --drill --pitr --target nobody', { env })).stderr,
      /there is no base backup of target nobody/,
    );
    assert.equal((await bench.run('integrity --pitr', { env })).exitCode, 2);
    const idle = await takeBackup('spare', ['base']);
    const { backups } = await bench.json<DrillResult>(`integrity --drill ${idle} --pitr`, { ...spare, exitCode: 17 });
    assert.deepEqual(
      backups.map(({ id, result, evidence }) => ({ id, result, evidence })),
      [{ id: idle, result: 'impossible', evidence: undefined }],
    );
    const files = await takeBackup('spare', ['files']);
    assert.equal((await bench.run(`integrity --drill ${files} --pitr`, spare)).exitCode, 2);
    await bench.nothingLeft();
  });
});

test(
  'a base backup that lacks its own log fails; so does one with a ' +
    'page that cannot be read, although it was stored well',
  async () => {
    const [row] = await server.query(
      'postgres',
      'CREATE TABLE bad AS SELECT n FROM generate_series(1, 5000) n; ' +
        "CHECKPOINT; SELECT pg_relation_filepath('bad') AS path",
    );
    const file = openSync(join(server.dataDir, row?.['path'] ?? ''), 'r+');
    writeSync(file, Buffer.alloc(64, 0x5a), 0, 64, 8192 * 2);
    closeSync(file);
    const bad = await takeBackup('spare', ['base']);
    const { backups } = await bench.json<DrillResult>(`integrity --drill ${bad}`, { ...spare, exitCode: 14 });
    assert.equal(backups[0]?.result, 'failed');
    assert.match(
      backups[0]?.components[0]?.problems.join('\n') ?? '',
      /cannot be read: [\s\S]*invalid page in block 2/,
    );
    const { backups: listed } = await bench.json<ListResult>('list', spare);
    assert.equal(listed.find(({ id }) => id === bad)?.standing?.failing, true);
    await server.query('postgres', 'DROP TABLE bad');

    const { components } = await bench.json<ShowResult>(`show ${baseId}`);
    const facts = components.find(({ kind }) => kind === 'base')?.facts as { startLsn: string } | undefined;
    const name = segmentAt(1, parseLsn(facts?.startLsn ?? ''), 1024 * 1024);
    const path = join(bench.repository, 'wal', systemId, '00000001/00000000', `${name}.wal`);
    renameSync(path, `${path}.away`);
    const lacking = await bench.json<DrillResult>(`integrity --drill ${baseId}`, { exitCode: 14 });
    renameSync(`${path}.away`, path);
    assert.match(
      lacking.backups[0]?.components.find(({ kind }) => kind === 'base')?.problems.join() ?? '',
      new RegExp(`${name} is missing`),
    );
    assert.equal(lacking.backups[0]?.components.find(({ kind }) => kind === 'files')?.result, 'equal');
    const { evidence } = await bench.json<ShowResult>(`show ${baseId}`);
    const { records } = await bench.json<AuditResult>('audit --command integrity');
    assert.deepEqual(records.at(-1)?.ids, [baseId]);
    assert.deepEqual(
      [records.at(-1)?.command, records.at(-1)?.outcome, records.at(-1)?.exitCode],
      ['integrity --drill', 'failed', 14],
    );
    assert.doesNotMatch(
      readFileSync(
        join(bench.repository, evidence.findLast(({ result }) => result === 'failed')?.object ?? ''),
        'utf8',
      ),
      /other|public/,
    );
    await bench.nothingLeft();
  },
);

test('killed by SIGTERM it leaves nothing; by SIGKILL what the next run takes away', async () => {
  const drilling = async () => {
    const command = await bench.start(`integrity --drill ${baseId} --debug`);
    await command.said(/reading every table/);
    return command;
  };
  const stopped = await drilling();
  stopped.kill('SIGTERM');
  assert.equal((await stopped.result).exitCode, 143);
  await bench.nothingLeft();
  const killed = await drilling();
  killed.kill('SIGKILL');
  await killed.result;
  while (toolsOf(bench, 'postgres').length > 0) await sleep(5);
  const left = readdirSync(bench.tmp).filter((name) => name.startsWith('lifeboat-'));
  assert.ok(left.some((name) => existsSync(join(bench.tmp, name, 'data/global/pg_control'))));
  const next = await bench.run(`integrity --drill ${baseId} --debug`);
  assert.equal(next.exitCode, 0, next.stderr);
  assert.match(next.stderr, /removed what a killed run had left: [^:]*\/lifeboat-/);
  assert.deepEqual(readdirSync(bench.tmp), []);
  await bench.json('unlock');
  await bench.nothingLeft();
});

// Last: with a second target that has a base backup, drills of moments would want log behind that one, too.
test('what a transaction under way had locked when the backup ended is read as well', async () => {
  const holder = new Client({ connectionString: server.url() });
  await holder.connect();
  let id: string;
  try {
    await holder.query('BEGIN; LOCK TABLE w IN ACCESS EXCLUSIVE MODE; INSERT INTO w VALUES (100, $$not there$$)');
    id = await takeBackup('spare', ['base']);
  } finally {
    await holder.end();
  }
  await shipAll();
  const { backups } = documents.drill.parse(await bench.json(`integrity --drill ${id}`, spare));
  const [base] = backups[0]?.components ?? [];
  assert.deepEqual([backups[0]?.result, base?.problems, base?.notes], ['proven', [], []]);
  assert.deepEqual([base?.counts['databases'], base?.counts['tables']], [3, 2]);
});
