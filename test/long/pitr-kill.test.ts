/**
 * kill -9 at ten moments each of a push, a base backup and a recovery: nothing acknowledged is lost, nothing half-done
 * counts or starts.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { runTool } from '../../src/lib/exec.ts';
import type { PitrResult } from '../../src/operations/pitr/request.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { readWal } from '../../src/repository/wal/archive.ts';
import { makeBench, namesBelow, toolsOf, type Bench } from '../helpers/cli/command-run.ts';
import { quiet, startPitrCluster, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';
import { startRecovered } from '../helpers/cluster/recovered-server.ts';
import { keptSegments, rawKey } from '../helpers/cluster/wal-server.ts';

const program = new URL('../../bin/lifeboat.js', import.meta.url).pathname;
const rounds = 10;
const rowCount = 60_000;
let cluster: PitrCluster;
let bench: Bench;

before(async () => {
  cluster = await startPitrCluster({ segmentMegabytes: 16 });
  await cluster.server.query(
    'postgres',
    `CREATE TABLE w AS SELECT n, repeat(md5(n::text), 20) AS v FROM generate_series(1, ${rowCount}) n`,
  );
  bench = makeBench({ BACKUP_REPOSITORY: `file://${cluster.home}/repository`, BACKUP_ENCRYPTION_KEY: rawKey });
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o755);
  writeFileSync(
    join(bench.folder, 'lifeboat.config.json'),
    JSON.stringify({
      targets: { main: { postgres: { url: cluster.server.url(), databases: ['postgres'], base: {} } } },
    }),
  );
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

/** Fails unless these are in the archive as the server still has them. */
async function assertStored(names: readonly string[]): Promise<void> {
  await withRepository(cluster.loaded, quiet, async (repository) => {
    for (const name of names) {
      assert.ok(
        (await readWal(repository, cluster.systemId, name)).equals(
          readFileSync(join(cluster.server.dataDir, 'pg_wal', name)),
        ),
        `${name} differs`,
      );
    }
  });
}

async function setArchiveCommand(line: string): Promise<void> {
  await cluster.server.query('postgres', `ALTER SYSTEM SET ${line}`);
  await cluster.server.query('postgres', 'SELECT pg_reload_conf()');
}

test('push: what it acknowledged or noted is in the archive, in order; the next calls complete it', async () => {
  const { server, owner, home, config } = cluster;
  await setArchiveCommand("archive_command = ''");
  for (let n = 0; n < 12; n++) {
    await server.query('postgres', `UPDATE w SET v = v || '${n}' WHERE n % 12 = ${n}; SELECT pg_switch_wal()`);
  }
  const status = join(server.dataDir, 'pg_wal/archive_status');
  const notes = join(home, 'notes');
  const push = (first: string): ReturnType<typeof spawn> =>
    spawn(program, ['wal', 'push', '--config', config, '--shipped', notes, `pg_wal/${first}`], {
      ...owner,
      cwd: server.dataDir,
      env: { PATH: '/usr/bin:/bin' },
      stdio: 'ignore',
    });
  const ready = readdirSync(status)
    .filter((name) => /^[0-9A-F]{24}\.ready$/.test(name))
    .map((name) => name.slice(0, 24))
    .toSorted();
  assert.ok(ready.length >= 12, `${ready.length} ready`);
  let killed = 0;
  for (let round = 0; round < rounds; round++) {
    const child = push(ready[0] ?? '');
    const ended = once(child, 'close') as Promise<[number | null]>;
    await sleep(100 + round * 150 + Math.random() * 150);
    child.kill('SIGKILL');
    const [code] = await ended;
    if (code === null) killed++;
    const noted = existsSync(notes) ? readdirSync(notes).toSorted() : [];
    assert.deepEqual(noted, ready.slice(1, 1 + noted.length), 'noted beyond a gap');
    await assertStored([...noted, ...(code === 0 ? ready.slice(0, 1) : [])]);
  }
  assert.ok(killed >= 5, `${killed} were killed at work`);
  await setArchiveCommand(cluster.recipe.archiveCommand);
  await cluster.archived();
  const kept = keptSegments(server);
  for (const name of ready) assert.ok(kept.includes(name));
  await assertStored(kept);
});

test('base backup: a killed one is not listed, or recovers; nothing of it is left after the next run', async () => {
  const { server } = cluster;
  const ids = async (): Promise<string[]> => bench.ids();
  const first = await bench.run('backup base -q');
  assert.equal(first.exitCode, 0, first.stderr);
  for (let round = 0; round < rounds; round++) {
    const before = await ids();
    const command = await bench.start('backup base -q');
    await sleep(first.durationMs * ((round + Math.random()) / rounds));
    command.kill('SIGKILL');
    await command.result;
    const [added, ...more] = (await ids()).filter((id) => !before.includes(id));
    assert.deepEqual(more, []);
    if (added !== undefined) {
      assert.equal((await bench.json<PitrResult>('pitr --to immediate --check')).outcome, 'planned');
    }
    let sessions: unknown[] = [];
    for (let tries = 0; tries < 500; tries++, await sleep(20)) {
      if (
        (sessions = await server.query(
          'postgres',
          "SELECT application_name FROM pg_stat_activity WHERE backend_type IN ('walsender', 'client backend') " +
            'AND pid <> pg_backend_pid()',
        )).length === 0
      ) {
        break;
      }
    }
    assert.deepEqual(sessions, []);
    assert.deepEqual(toolsOf(bench, 'pg_basebackup'), []);
    assert.deepEqual(namesBelow(bench.tmp), []);
  }
  const last = await bench.run('backup base -q');
  assert.equal(last.exitCode, 0, last.stderr);
  const dataDir = join(bench.folder, 'whole');
  await bench.json<PitrResult>(['pitr', '--to', 'immediate', '--data-dir', dataDir]);
  await assertWhole(dataDir);
});

test('recovery: no folder of a killed one starts unless whole; the next run clears it away', async () => {
  const whole = join(bench.folder, 'first');
  const began = performance.now();
  await bench.json<PitrResult>(['pitr', '--to', 'latest', '--data-dir', whole]);
  const wholeMs = performance.now() - began;
  rmSync(whole, { recursive: true });
  let halves = 0;
  for (let round = 0; round < rounds; round++) {
    const dataDir = join(bench.folder, `round-${round}`);
    const command = await bench.start(['pitr', '--to', 'latest', '--data-dir', dataDir, '-q']);
    await sleep(wholeMs * ((round + 0.5 + Math.random() / 2) / rounds));
    command.kill('SIGKILL');
    await command.result;
    const isComplete = existsSync(join(dataDir, 'postgresql.conf'));
    if (existsSync(dataDir) && !isComplete) {
      halves++;
      await assertDoesNotStart(dataDir);
    }
    if (isComplete) {
      assert.ok(existsSync(join(dataDir, 'postgresql.auto.conf')));
      await assertWhole(dataDir);
    }
    const next = await bench.run('pitr --to latest --dry-run');
    assert.equal(next.exitCode, 0, next.stderr);
    if (!isComplete) assert.equal(existsSync(dataDir), false);
    for (let tries = 0; tries < 500 && toolsOf(bench, 'postgres').length > 0; tries++) await sleep(20);
    assert.deepEqual(toolsOf(bench, 'postgres'), []);
    assert.deepEqual(namesBelow(bench.tmp), []);
    rmSync(dataDir, { recursive: true, force: true });
  }
  assert.ok(halves >= 4, `${halves} were killed with a folder half-done`);
});

async function assertDoesNotStart(dataDir: string): Promise<void> {
  const { uid, gid } = statSync(dataDir);
  const { exitCode } = await runTool({
    file: join(cluster.server.binDir, 'pg_ctl'),
    args: ['-D', dataDir, '-w', '-s', '-t', '20', 'start'],
    uid,
    gid,
    cwd: '/',
    okExitCodes: [0, 1],
    stdout: 'ignore',
  });
  assert.equal(exitCode, 1, `${dataDir} starts`);
}

async function assertWhole(dataDir: string): Promise<void> {
  const { uid, gid } = statSync(dataDir);
  const place = cluster.folder('own');
  chmodSync(place, 0o777);
  const server = await startRecovered({ ...cluster, owner: { uid, gid }, folder: () => place }, dataDir);
  try {
    assert.equal((await server.query('postgres', 'SELECT count(*) AS n FROM public.w'))[0]?.['n'], String(rowCount));
  } finally {
    await server.stop();
  }
  rmSync(dataDir, { recursive: true });
}
