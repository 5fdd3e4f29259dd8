/**
 * A cluster with one page overwritten on disk: what is whole is still backed up, what is not is marked, named, and
 * stands in for nothing.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LifeboatEvent, RunContext } from '../../src/lib/events.ts';
import { backupOperation } from '../../src/operations/backup/backup.ts';
import { chooseForEmergency } from '../../src/operations/emergency/newest-whole.ts';
import { list } from '../../src/operations/list/list.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
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
