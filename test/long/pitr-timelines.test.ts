/** Restore, promote, write, base backup, restore again: four timelines deep; and back to moments of the older ones. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LifeboatError, type ErrorCode } from '../../src/lib/errors.ts';
import { pitrOf, startPitrCluster, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';
import { startRecovered, type RecoveredServer } from '../helpers/cluster/recovered-server.ts';
import { runCli } from '../helpers/cli/run-cli.ts';

interface Row {
  readonly n: number;
  readonly at: string;
  readonly segment: string;
}

type Queried = Pick<RecoveredServer, 'query'>;

/** Commits them one by one, a few to a segment. */
async function write(server: Queried, from: number, to: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (let n = from; n <= to; n++) {
    await server.query('postgres', `INSERT INTO public.w VALUES (${n})`);
    const [row] = await server.query(
      'postgres',
      `SELECT to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, ` +
        `pg_walfile_name(pg_current_wal_insert_lsn()) AS segment FROM public.w WHERE n = ${n}`,
    );
    rows.push({ n, at: row?.['at'] ?? '', segment: row?.['segment'] ?? '' });
    if (n % 4 === 0) await server.query('postgres', 'SELECT pg_switch_wal()');
  }
  return rows;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function numbers(cluster: PitrCluster, to: string, timeline?: number): Promise<number[]> {
  return cluster.recovered(
    to,
    async (connection) => (await connection.query('SELECT n FROM public.w ORDER BY n')).map(({ n }) => Number(n)),
    { timeline },
  );
}

async function refused(promise: Promise<unknown>, code: ErrorCode, message: string): Promise<void> {
  await assert.rejects(promise, (error) =>
    error instanceof LifeboatError && error.code === code && error.message.includes(message)
      ? true
      : assert.fail(String(error)),
  );
}

for (const segmentMegabytes of [1, 16]) {
  test(`segments of ${segmentMegabytes} MB: four timelines, each from a restore of the one before`, async () => {
    await using original = await startPitrCluster({ segmentMegabytes });
    await original.server.query('postgres', 'CREATE TABLE w (n int PRIMARY KEY)');
    await original.base();
    // The second timeline leaves the first at row 10; the first goes on, to the end of that segment and beyond.
    const first = await write(original.server, 1, 20);
    await original.archived();
    const at = (rows: readonly Row[], n: number): string =>
      rows.find((row) => row.n === n)?.at ?? assert.fail(`no row ${n}`);
    const written = new Map([[1, first]]);
    const servers: RecoveredServer[] = [];
    try {
      let cluster: PitrCluster = original;
      for (let timeline = 2; timeline <= 5; timeline++) {
        const dataDir = original.folder(`timeline-${timeline}`);
        const to = timeline === 2 ? at(first, 10) : 'latest';
        const result = await cluster.run(to, { dataDir, action: 'shutdown' });
        assert.equal(result.outcome, 'done');
        const history = `${timeline.toString(16).padStart(8, '0')}.history`;
        assert.ok(
          existsSync(join(dataDir, 'pg_wal', history)),
          `${history} in ${readdirSync(join(dataDir, 'pg_wal')).join(' ')}`,
        );
        // As the next steps say.
        const pushed = await runCli(['wal', 'push', `pg_wal/${history}`, '--config', original.config], {
          cwd: dataDir,
        });
        assert.equal(pushed.exitCode, 0, pushed.stderr);
        await servers.at(-1)?.stop();
        const server = await startRecovered(original, dataDir);
        servers.push(server);
        const expected =
          timeline === 2
            ? range(1, 10)
            : [
                ...range(1, 10),
                ...[...written.entries()].filter(([of]) => of > 1).flatMap(([, rows]) => rows.map(({ n }) => n)),
              ];
        assert.deepEqual(
          (await server.query('postgres', 'SELECT n FROM public.w ORDER BY n')).map(({ n }) => Number(n)),
          expected,
        );
        assert.equal(
          (await server.query('postgres', 'SELECT timeline_id AS t FROM pg_control_checkpoint()'))[0]?.['t'],
          String(timeline),
        );
        cluster = await pitrOf(original, server.url);
        await cluster.base();
        written.set(timeline, await write(server, timeline * 100 + 1, timeline * 100 + 10));
        await server.archived();
      }
      const before = (timeline: number): number[] => [
        ...range(1, 10),
        ...range(2, timeline - 1).flatMap((each) => range(each * 100 + 1, each * 100 + 10)),
      ];
      // A moment of each timeline, although newer ones are there: along it, and by default too where they have it in
      // common.
      for (const [timeline, rows] of written) {
        if (timeline > 1) {
          assert.deepEqual(await numbers(cluster, at(rows, timeline * 100 + 6)), [
            ...before(timeline),
            ...range(timeline * 100 + 1, timeline * 100 + 6),
          ]);
        }
        if (timeline > 1) {
          assert.deepEqual(await numbers(cluster, at(rows, timeline * 100 + 3), timeline), [
            ...before(timeline),
            ...range(timeline * 100 + 1, timeline * 100 + 3),
          ]);
        }
      }
      assert.deepEqual(await numbers(cluster, at(first, 7)), range(1, 7));
      // What the first did after the second had left it is only there.
      assert.deepEqual(await numbers(cluster, at(first, 15), 1), range(1, 15));
      assert.deepEqual(await numbers(cluster, at(first, 18), 1), range(1, 18));
      // Its newest base backup is not of that timeline.
      assert.deepEqual(
        await cluster
          .run('latest', { check: true, timeline: 3 })
          .then((result) => [result.outcome, 'timeline' in result && result.timeline]),
        ['planned', 3],
      );
      await missing(cluster, written, at);
    } finally {
      for (const server of servers) await server.stop();
    }
  });
}

/** Files around the switches that are missing. */
async function missing(
  cluster: PitrCluster,
  written: ReadonlyMap<number, readonly Row[]>,
  at: (rows: readonly Row[], n: number) => string,
): Promise<void> {
  const wal = join(cluster.home, 'repository/wal', cluster.systemId);
  const without = async (path: string, action: () => Promise<void>): Promise<void> => {
    renameSync(path, `${path}.away`);
    try {
      await action();
    } finally {
      renameSync(`${path}.away`, path);
    }
  };
  // The newest timeline of all that come from the base backup is the way, and cannot be told without its history.
  for (const [history, to] of [
    ['00000005.history', at(written.get(4) ?? [], 406)],
    ['00000003.history', at(written.get(2) ?? [], 206)],
  ] as const) {
    await without(join(wal, 'history', `${history}.wal`), async () => {
      await refused(cluster.run(to, { dryRun: true }), 'integrity', history);
    });
  }
  // The segment in which the second timeline begins: the first one's of the same number has another history.
  const begins = (written.get(1) ?? []).find(({ n }) => n === 10)?.segment ?? '';
  const of2 = `00000002${begins.slice(8)}`;
  assert.ok(existsSync(join(wal, '00000001', begins.slice(8, 16), `${begins}.wal`)));
  await without(join(wal, '00000002', of2.slice(8, 16), `${of2}.wal`), async () => {
    await refused(cluster.run(at(written.get(1) ?? [], 10), { dryRun: true, timeline: 2 }), 'window', of2);
  });
}
