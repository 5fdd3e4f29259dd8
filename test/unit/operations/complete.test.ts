/** What requests become that leave something out; the same for the command line and for programs. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { Secret } from '../../../src/lib/secret.ts';
import { runbookOperation } from '../../../src/operations/emergency/runbook.ts';
import type { Surroundings } from '../../../src/operations/operation.ts';
import { pitrOperation } from '../../../src/operations/pitr/pitr.ts';
import { restoreOperation } from '../../../src/operations/restore/restore.ts';
import { initOperation } from '../../../src/operations/setup/init.ts';
import { walPushOperation } from '../../../src/operations/wal/push.ts';
import { declareAll } from '../../../src/program.ts';
import { backupDefaults } from '../../../src/operations/backup/request.ts';
import { statusDefaults } from '../../../src/operations/status/request.ts';
import { walStreamDefaults } from '../../../src/operations/wal/request.ts';

const surroundings: Surroundings = { cwd: '/work', confirm: async () => {} };

test('a member that is undefined hides no default; paths start at the working directory', () => {
  const request = restoreOperation.complete(
    { id: 'latest', force: undefined, postgres: { tables: undefined, toUrl: 'postgres://h/d' }, files: { toDir: 'x' } },
    surroundings,
  );
  assert.deepEqual(
    [request.force, request.safetyBackup, request.only, request.confirm],
    [false, true, [], surroundings.confirm],
  );
  assert.deepEqual(request.postgres.tables, []);
  assert.ok(request.postgres.toUrl instanceof Secret, 'a URL is a secret from here on');
  assert.deepEqual(request.files, { paths: [], intoLive: false, toDir: '/work/x' });
  assert.equal(request.redis.method, 'auto');

  const push = walPushOperation.complete({ path: 'pg_wal/1' }, surroundings);
  assert.deepEqual([push.path, push.cwd, push.shippedDir], ['/work/pg_wal/1', '/work', undefined]);
});

test('init writes its file only where nobody has said where the configuration is', () => {
  assert.equal(initOperation.complete({}, surroundings).configPath, '/work/lifeboat.config.json');
  assert.equal(initOperation.complete({}, { ...surroundings, isConfigGiven: true }).configPath, undefined);
  assert.equal(initOperation.complete({ configPath: 'a.json' }, surroundings).configPath, '/work/a.json');
});

test('a recovery needs the passwords of servers only for what it puts into them', () => {
  const needs = (more: object): unknown =>
    pitrOperation.need(pitrOperation.complete({ to: 'latest', target: 'main', ...more }, surroundings)).targets;
  assert.equal(needs({ dataDir: 'x' }), undefined);
  assert.deepEqual(needs({ intoDatabase: { databases: ['app'] } }), { name: 'main' });
  assert.deepEqual(needs({ with: ['redis'] }), { name: 'main' });
});

test('a runbook that is read from a backup needs the repository, offline or not', () => {
  const need = (options: object): boolean | undefined =>
    runbookOperation.need(runbookOperation.complete(options, surroundings)).repository;
  assert.deepEqual(
    [need({}), need({ offline: true }), need({ offline: true, from: 'latest' })],
    [true, undefined, true],
  );
});

test('what the help shows as a default is the default of the operation', async () => {
  const stream = new PassThrough();
  const program = await declareAll({ stdin: stream, stdout: stream, stderr: stream, env: {}, cwd: '/' });
  const shown = (line: string): unknown => {
    const words = line.split(' ');
    const command = words
      .slice(0, -1)
      .reduce((of, word) => of.commands.find((each) => each.name() === word) ?? of, program);
    return command.options.find(({ long }) => long === words.at(-1))?.defaultValue;
  };
  assert.deepEqual(
    ['backup --if-running', 'status --days', 'acknowledge --days', 'wal stream --slot', 'wal stream --interval'].map(
      shown,
    ),
    [
      backupDefaults.ifRunning,
      statusDefaults.days,
      statusDefaults.days,
      walStreamDefaults.slot,
      walStreamDefaults.intervalMs,
    ],
  );
});
