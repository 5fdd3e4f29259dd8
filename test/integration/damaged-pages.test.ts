/**
 * A cluster with one page overwritten on disk: what is whole is still backed up, what is not is marked, named, and
 * stands in for nothing.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import type { LifeboatEvent, RunContext } from '../../src/lib/events.ts';
import { backupOperation } from '../../src/operations/backup/backup.ts';
import { chooseForEmergency } from '../../src/operations/emergency/newest-whole.ts';
import { list } from '../../src/operations/list/list.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { restoreOperation } from '../../src/operations/restore/restore.ts';
import { exitCodeOfResult, perform } from '../../src/operations/perform.ts';
import type { PitrResult } from '../../src/operations/pitr/request.ts';
import { status } from '../../src/operations/status/status.ts';
import { validateOperation } from '../../src/operations/validate/validate.ts';
import { backupDefaults, type BackupRequest, type BackupResult } from '../../src/operations/backup/request.ts';
import { listView } from '../../src/ui/list-view.ts';
import { type PitrCluster, quiet, startPitrCluster } from '../helpers/cluster/pitr-cluster.ts';

let cluster: PitrCluster;
/** Ids of base backups: before the page was overwritten, and after. */
let [whole, flawed] = ['', ''];
/** A dump from before. */
let wholeDump = '';
let path = '';

before(async () => {
  cluster = await startPitrCluster();
  const { server } = cluster;
  await server.psql(
    'postgres',
    `CREATE TABLE good AS SELECT 1 AS n;
    CREATE TABLE bad (n int PRIMARY KEY, v text DEFAULT 'text');
    INSERT INTO bad SELECT generate_series(1, 5000);
    CREATE TABLE child AS SELECT n AS id, n AS bad_n FROM generate_series(1, 9) n;
    ALTER TABLE child ADD FOREIGN KEY (bad_n) REFERENCES bad`,
  );
  whole = await cluster.base();
  wholeDump = (await take({ components: ['database'] })).id;
  path = await overwrite('bad', 2);
});

after(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** Some bytes in a block of a relation that the server has not in memory; where it lies in the data directory. */
async function overwrite(relation: string, block: number): Promise<string> {
  const { server } = cluster;
  const [row] = await server.query('postgres', `CHECKPOINT; SELECT pg_relation_filepath('${relation}') AS file`);
  const found = row?.['file'] ?? '';
  await server.kill();
  const file = openSync(join(server.dataDir, found), 'r+');
  writeSync(file, Buffer.from('damage'), 0, 6, 8192 * block + 5000);
  closeSync(file);
  await server.start();
  return found;
}

type Taken = Extract<BackupResult, { outcome: 'done' }>;

async function take(asked: Partial<BackupRequest>, context = quiet): Promise<Taken> {
  const result = await perform(backupOperation, cluster.loaded, { ...backupDefaults, ...asked }, context);
  assert.ok(result.outcome === 'done');
  return result;
}

/** What is warned of goes into `said`. */
function listening(said: string[]): RunContext {
  return { ...quiet, emit: (event: LifeboatEvent) => void (event.type === 'warning' && said.push(event.message)) };
}

test('a base backup holds it as it is, says file and block, and ends with 3', async () => {
  const said: string[] = [];
  const result = await take({ components: ['base'] }, listening(said));
  flawed = result.id;
  assert.equal(exitCodeOfResult(result), 3);
  assert.equal(result.components[0]?.flaws, 1);
  assert.match(said.join(), new RegExp(`^1 page of the cluster is damaged: ${path} block 2; the backup holds`));
});

test('list marks it, validate says it, and status is not well', async () => {
  const flaw = '1 damaged page of its cluster is in it';
  const listed = await list(cluster.loaded, {}, quiet);
  assert.deepEqual(
    listed.backups.map(({ id, flaw: found }) => [id, found]),
    [
      [whole, undefined],
      [wholeDump, undefined],
      [flawed, flaw],
    ],
  );
  assert.match(
    await listView.text(listed, { green: String, yellow: String, red: String }),
    new RegExp(`${flawed} .* OF A DAMAGED SOURCE: ${flaw}`),
  );
  const request = { ids: [flawed], all: false, level: 'stored' } as const;
  const validated = await perform(validateOperation, cluster.loaded, request, quiet);
  assert.equal(exitCodeOfResult(validated), 3);
  const { reasons, verdict } = await status(cluster.loaded, { days: 30 }, quiet);
  assert.equal(verdict, 'unhealthy');
  assert.ok(reasons.some(({ id, message }) => id === `damaged-source:${flawed}:base` && message.endsWith(flaw)));
});

test('recoveries start from one that is whole, even to a moment behind the damage', async () => {
  const { server, loaded } = cluster;
  await server.query('postgres', 'INSERT INTO good VALUES (2)');
  await server.query('postgres', 'SELECT pg_switch_wal()');
  const planned = await cluster.run('latest', { dryRun: true });
  assert.equal(idOf(planned), whole);
  await withRepository(loaded, quiet, async (repository) => {
    const choice = { target: 'main', only: ['base'] as const, force: false };
    const { manifest, passedOver } = await chooseForEmergency(repository, loaded.config, choice, quiet);
    assert.equal(manifest.id, whole);
    assert.deepEqual(passedOver, [{ id: flawed, reason: '1 damaged page of its cluster is in it' }]);
  });
});

/** Of the base backup that a plan begins with. */
function idOf(planned: PitrResult): string {
  assert.ok(planned.outcome === 'planned');
  return planned.id;
}

test('where there is no other it is taken, but never without a word', async () => {
  const { loaded } = cluster;
  const manifest = join(cluster.home, 'repository/manifests', `${whole}.json`);
  renameSync(manifest, `${cluster.home}/aside`);
  try {
    const planned = await cluster.run('latest', { dryRun: true });
    assert.equal(idOf(planned), flawed);
    await withRepository(loaded, quiet, async (repository) => {
      const said: string[] = [];
      const choice = { target: 'main', only: ['base'] as const, force: false };
      const chosen = await chooseForEmergency(repository, loaded.config, choice, listening(said));
      assert.equal(chosen.manifest.id, flawed);
      assert.match(said.join(), /^only of a damaged source is there a backup/);
    });
  } finally {
    renameSync(`${cluster.home}/aside`, manifest);
  }
});

test('a dump that comes upon it names the table, and how the others are had', async () => {
  await assert.rejects(take({ components: ['database'] }), (error) => {
    assert.ok(error instanceof LifeboatError);
    assert.equal(error.exitCode, 14);
    assert.match(error.message, /^cannot read table \S*bad\S* of database postgres: .*block 2/);
    assert.match(error.hint ?? '', /lifeboat backup database --without-rows 'postgres\.public\.bad'/);
    return true;
  });
});

test('without the rows of that table it is backed up, marked, and restored but for what needs them', async () => {
  const said: string[] = [];
  const result = await take({ components: ['database'], withoutRows: ['public.bad'] }, listening(said));
  assert.equal(exitCodeOfResult(result), 3);
  assert.equal(result.components[0]?.flaws, 1);
  assert.match(said.join(), /^database postgres: the rows of \S*bad\S* are left out; the backup is marked$/);
  const { server, loaded } = cluster;
  const confirm = async (): Promise<void> => {};
  const restore = async (id: string, toDatabase: string): Promise<{ readonly code: number; readonly id: string }> => {
    const options = { id, only: ['database'] as const, postgres: { toDatabase }, safetyBackup: false };
    const request = restoreOperation.complete(options, { cwd: cluster.home, confirm });
    const restored = await perform(restoreOperation, loaded, request, listening(said));
    assert.ok(restored.outcome === 'done');
    return { code: exitCodeOfResult(restored), id: restored.id };
  };
  assert.deepEqual(await restore(result.id, 'back'), { code: 3, id: result.id });
  assert.deepEqual(
    await server.query('back', 'SELECT (SELECT count(*) FROM bad) AS bad, (SELECT sum(bad_n) FROM child) AS child'),
    [{ bad: '0', child: '45' }],
  );
  assert.match(said.join('\n'), /table \S*bad\S* comes back empty/);
  assert.match(said.join('\n'), /foreign key child child_bad_n_fkey is not restored/);
  // The one from before is whole, and the latest.
  assert.deepEqual(await restore('latest', 'before'), { code: 3, id: wholeDump });
  assert.deepEqual(await server.query('before', 'SELECT count(*) FROM bad'), [{ count: '5000' }]);
  for (const name of ['back', 'before']) await server.query('postgres', `DROP DATABASE ${name}`);
});

test('a table that is not there is not left out in silence', async () => {
  await assert.rejects(
    take({ components: ['database'], withoutRows: ['public.bad', 'public.other'] }),
    (error) => error instanceof LifeboatError && error.exitCode === 2 && /public\.other/.test(error.message),
  );
});

test('where an index is damaged it is named, and the rows are not given up', async () => {
  await cluster.server.query('postgres', 'CREATE TABLE found (n int PRIMARY KEY); INSERT INTO found VALUES (1)');
  await overwrite('found_pkey', 0);
  await assert.rejects(take({ components: ['database'], withoutRows: ['public.bad'] }), (error) => {
    assert.ok(error instanceof LifeboatError);
    assert.match(error.message, /^cannot read index \S*found_pkey\S* of table \S*found\S* of database postgres/);
    assert.match(error.hint ?? '', /REINDEX INDEX \S*found_pkey/);
    return true;
  });
});
