/**
 * An intruder takes everything away just before the nightly run, or puts another repository in its place: the backup
 * that comes then must not make the host forget what it has seen.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { doctor } from '../../src/operations/doctor/doctor.ts';
import { init } from '../../src/operations/setup/init.ts';
import { acknowledge } from '../../src/operations/status/acknowledge.ts';
import { status } from '../../src/operations/status/status.ts';
import { configOf, dayMs, newHome, quiet, type CleanupHome } from '../helpers/repository/cleanup-home.ts';

function takeAway({ root }: CleanupHome, ...folders: readonly string[]): void {
  for (const each of folders) rmSync(join(root, each), { recursive: true, force: true });
}

/** Names of the reasons that say that something is gone. */
async function goneIn(home: CleanupHome): Promise<string[]> {
  const { reasons, verdict } = await status(await configOf(home.folder), { days: 30 }, quiet());
  const gone = reasons.filter(({ id, acknowledged }) => /^(chain|rollback):/.test(id) && acknowledged === undefined);
  assert.ok(gone.length === 0 || verdict === 'unhealthy');
  return gone.map(({ id }) => id).toSorted();
}

async function acknowledged(home: CleanupHome, warning: string): Promise<void> {
  await acknowledge(await configOf(home.folder), { warning, days: 30 }, quiet());
}

async function failure(work: Promise<unknown>): Promise<LifeboatError> {
  const error = await work.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof LifeboatError, String(error));
  return error;
}

test('all is gone before the nightly run: the new backup, status and doctor tell of it', async () => {
  using home = await newHome();
  const first = await home.backup();
  home.change(1);
  const second = await home.backup();
  takeAway(home, 'manifests', 'packs', 'backups');
  const third = await home.backup();
  assert.match(third.warnings.join('\n'), new RegExp(`backup ${second.id} of target main, .* is gone, and 1 more, `));
  const { manifest } = await (await home.open()).readManifest(third.id);
  assert.equal(manifest?.previous?.id, second.id, 'whoever reads it sees that this one is missing');
  const chain = `chain:manifests/${second.id}.json`;
  const rollback = `rollback:manifests/${first.id}.json`;
  assert.deepEqual(await goneIn(home), [chain, rollback]);
  const { checks } = await doctor(await configOf(home.folder), {}, quiet());
  assert.ok(checks.some(({ ok, message }) => ok === 'fail' && message.includes(`backup ${second.id} of`)));
  // What is left of them may be all there is: nothing is freed.
  await home.age(2 * dayMs);
  const { stopped, deleted } = await home.cleanup();
  assert.deepEqual(deleted, []);
  assert.match(stopped ?? '', new RegExp(`space is not freed: backup ${second.id} of target main`));
  // One more night does not end it, an operator does.
  const fourth = await home.backup();
  assert.match(fourth.warnings.join('\n'), /is gone/);
  assert.deepEqual(await goneIn(home), [chain, rollback]);
  await acknowledged(home, rollback);
  assert.deepEqual(await goneIn(home), [chain]);
  await acknowledged(home, chain);
  assert.deepEqual(await goneIn(home), []);
  assert.equal(await home.readAll(), 2);
});

test('the newest ones are gone: the one that is left does not make them forgotten', async () => {
  using home = await newHome();
  const [first, second, third] = [await home.backup(), await home.backup(), await home.backup()];
  for (const { id } of [second, third]) rmSync(join(home.root, 'manifests', `${id}.json`));
  const fourth = await home.backup();
  assert.equal((await (await home.open()).readManifest(fourth.id)).manifest?.previous?.id, third.id);
  assert.equal(fourth.previousId, first.id, 'its chunks are used all the same');
  assert.deepEqual(await goneIn(home), [`chain:manifests/${third.id}.json`, `rollback:manifests/${second.id}.json`]);
  await acknowledged(home, `rollback:manifests/${second.id}.json`);
  assert.doesNotMatch((await home.backup()).warnings.join('\n'), new RegExp(second.id));
});

test('what a cleanup deleted by its own record is no riddle', async () => {
  using home = await newHome();
  for (let n = 0; n < 3; n++) await home.backup();
  await home.cleanup();
  await home.age(2 * dayMs);
  const { recordDeleted } = await import('../../src/operations/audit/audited.ts');
  const repository = await home.open();
  const onDeleted = async (deleted: readonly { id: string; seal: string }[]): Promise<void> =>
    recordDeleted(repository, {}, deleted, quiet());
  assert.equal((await home.cleanup({}, { onDeleted })).deleted.length, 2);
  assert.deepEqual((await home.backup()).warnings, []);
  assert.deepEqual(await goneIn(home), []);
  assert.equal((await home.cleanup()).stopped, undefined);
});

test('another repository in its place is refused until an operator accepts it', async () => {
  using home = await newHome();
  const { id } = await home.backup();
  const object = join(home.root, 'repository.json');
  const before = JSON.parse(readFileSync(object, 'utf8')) as { id: string };
  const other = randomUUID();
  takeAway(home, 'manifests', 'packs', 'backups', 'audit');
  writeFileSync(object, JSON.stringify({ ...before, id: other }));
  const refused = await failure(home.backup());
  assert.deepEqual([refused.code, refused.state], ['integrity', 'nothing was changed']);
  assert.match(refused.message, new RegExp(`its id is ${other}, and this host remembers ${before.id}`));
  assert.match(refused.hint ?? '', new RegExp(`lifeboat acknowledge repository:${other}$`));
  assert.ok(!existsSync(join(home.root, 'manifests')));
  assert.equal((await failure(status(await configOf(home.folder), { days: 30 }, quiet()))).code, 'integrity');
  assert.equal((await failure(acknowledged(home, `repository:${randomUUID()}`))).code, 'not_found');
  await acknowledged(home, `repository:${other}`);
  await home.backup();
  // The true one again: that is another change, and what was seen in it is still known.
  writeFileSync(object, JSON.stringify(before));
  takeAway(home, 'manifests');
  assert.equal((await failure(home.backup())).code, 'integrity');
  await acknowledged(home, `repository:${before.id}`);
  const seen = (await goneIn(home)).filter((each) => each.startsWith('rollback:'));
  assert.deepEqual(seen, [`rollback:manifests/${id}.json`]);
});

test('init makes a new repository in an empty place, and that is accepted', async () => {
  using home = await newHome();
  await home.backup();
  rmSync(home.root, { recursive: true });
  await init(await configOf(home.folder), { configPath: undefined }, quiet());
  assert.deepEqual((await home.backup()).warnings, []);
});

test('memories that cannot be read or kept never make a backup fail', async () => {
  using home = await newHome();
  await home.backup();
  const states = join(home.folder, 'state', 'repositories');
  const [id = ''] = readdirSync(states);
  const file = join(states, id, 'newest-main.json');
  writeFileSync(file, '{"id": ');
  assert.match((await home.backup()).warnings.join('\n'), /newest-main\.json, .* is damaged: .*/);
  // Nothing can be put in its place, as where no room is left.
  rmSync(file);
  mkdirSync(file);
  chmodSync(file, 0o500);
  const { warnings } = await home.backup();
  assert.match(warnings.join('\n'), /this host does not remember it, nor would notice its loss/);
  assert.equal((await home.ids()).length, 3);
});
