/** A standby refuses what a primary tells of its log: it is asked in its own words, and said to be one. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { switchWal } from '../../src/source/postgres/base/source.ts';
import { askArchiver } from '../../src/source/postgres/server/archiver.ts';
import { readServer } from '../../src/source/postgres/server/receiver.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { walDocuments } from '../../src/ui/json/wal-documents.ts';
import { runCli } from '../helpers/cli/run-cli.ts';
import { startStandby, type Standby } from '../helpers/cluster/standby.ts';
import { mib, startArchivingServer, walCli, type ArchivingServer } from '../helpers/cluster/wal-server.ts';

let archive: ArchivingServer;
let standby: Standby;
const { signal } = new AbortController();

before(async () => {
  archive = await startArchivingServer();
  await archive.archived();
  // It has what came with its base backup, and has received nothing.
  standby = await startStandby(archive.server, { primary_conninfo: '' });
});
after(async () => {
  await standby?.[Symbol.asyncDispose]();
  await archive?.server.stop();
});

test('wal status says how far a standby has the log, and that it is one', async () => {
  const replayed = await standby.ask('SELECT pg_last_wal_replay_lsn() AS v');
  const run = await walCli(archive, ['status', '--json'], { DATABASE_URL: standby.url });
  assert.equal(run.exitCode, 0, run.stderr);
  const { lag, warnings } = walDocuments['wal-status'].parse(JSON.parse(run.stdout));
  assert.deepEqual(warnings, []);
  assert.deepEqual([lag?.systemId, lag?.currentLsn, lag?.standby], [archive.systemId, replayed, true]);
  const holder = await archive.server.query('postgres', `SELECT pg_walfile_name('${replayed}') AS name`);
  assert.equal(lag?.currentSegment, holder[0]?.['name']);
  const { stdout } = await walCli(archive, ['status'], { DATABASE_URL: standby.url });
  assert.match(stdout, new RegExp(`the standby has the log up to ${replayed}`));
  const primary = await walCli(archive, ['status', '--json'], { DATABASE_URL: archive.server.url() });
  assert.equal(walDocuments['wal-status'].parse(JSON.parse(primary.stdout)).lag?.standby, undefined);
});

test('a receiver and the archiver know its position, too, although nothing was received', async () => {
  const replayed = parseLsn(await standby.ask('SELECT pg_last_wal_replay_lsn() AS v'));
  assert.ok(replayed > BigInt(mib));
  const url = parsePostgresUrl(standby.url);
  assert.equal(parseLsn((await readServer(url, 'lifeboat', signal)).currentLsn), replayed);
  const state = await askArchiver(url, { signal });
  assert.deepEqual([parseLsn(state.currentLsn), state.isStandby, state.segmentBytes], [replayed, true, mib]);
});

test('a moment is named on the primary: a standby is told apart, with what to do', async () => {
  const args = ['create-restore-point', 'here', '--config', archive.config];
  const run = await runCli(args, { env: { DATABASE_URL: standby.url } });
  assert.equal(run.exitCode, 13, run.stderr);
  assert.match(run.stderr, /cannot name a moment in the log of .*: it is a standby/);
  assert.match(run.stderr, /hint: name it on the primary/);
});

test('a base backup of it does not ask it to write log', async () => {
  await switchWal(parsePostgresUrl(standby.url), signal);
});
