/** Another cluster under a target that was backed up before: asked for once, whichever way it came there. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

let first: TestPostgres;
let second: TestPostgres;
let bench: Bench;

before(async () => {
  [first, second] = await Promise.all([startPostgres(), startPostgres()]);
  for (const server of [first, second]) {
    await server.query('postgres', 'CREATE DATABASE app');
    await server.query('app', 'CREATE TABLE t AS SELECT 1 AS i');
  }
  bench = makeBench({ DATABASE_URL: first.url('app') });
  await bench.json('init');
  await bench.backup();
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([first?.stop(), second?.stop()]);
});

test('a URL that leads to another cluster is refused, and nothing is recorded', async () => {
  const before = bench.recorded();
  const env = { DATABASE_URL: second.url('app') };
  for (const line of ['backup', 'backup --if-running skip']) {
    assertFailed(
      await bench.run(line, { env }),
      2,
      /is another cluster \(system identifier \d+\)/,
      /--accept-new-system/,
    );
  }
  assert.deepEqual(bench.recorded(), before);
  await bench.backup();
});

test('accepted once it is the one, and the old one is asked for', async () => {
  const env = { DATABASE_URL: second.url('app') };
  await bench.backup('backup --accept-new-system', { env });
  await bench.backup('backup', { env });
  assertFailed(await bench.run('backup'), 2, /is another cluster/, /--accept-new-system/);
});

test('a failed backup accepts nothing; other targets are of their own', async () => {
  const env = { DATABASE_URL: first.url('app') };
  const failing = await bench.run('backup --accept-new-system --max-size 1KB', { env });
  assert.notEqual(failing.exitCode, 0);
  assertFailed(await bench.run('backup', { env }), 2, /is another cluster/, /--accept-new-system/);
  await bench.backup('backup', { env: { ...env, BACKUP_TARGET: 'other' } });
});

test('a restore into what is live saves that first, whosever it is', async () => {
  const env = { DATABASE_URL: first.url('app') };
  await bench.restore('restore latest --target main --only database --into-live --confirm=app', { env });
  await bench.backup('backup', { env });
});
