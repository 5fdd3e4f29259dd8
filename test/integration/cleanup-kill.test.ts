/** Cleanups that are killed, that meet each other, and that pass over a run which then comes back. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { BackupWriter } from '../../src/repository/packs/backup-writer.ts';
import { newBackupId } from '../../src/repository/manifests/ids.ts';
import { acquireLease } from '../../src/repository/leases/acquire.ts';
import { writeNote } from '../../src/repository/backups/notes.ts';
import { findInTrash } from '../../src/repository/deletion/trash.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { streamArtifact } from '../helpers/repository/chunk-repository.ts';
import { copyHome, dayMs, newHome, quiet, type CleanupHome } from '../helpers/repository/cleanup-home.ts';
import { startWorker } from '../helpers/repository/cleanup-processes.ts';

/** Five backups that share packs; of these one in trash for long, one held; and packs of a run that died. */
let full: CleanupHome;
let whole: readonly string[];

before(async () => {
  full = await newHome();
  for (let n = 0; n < 5; n++) {
    full.change(n);
    await full.backup(n === 1 ? ['keep'] : []);
    // The first in trash, and old there.
    if (n === 2) await full.cleanup({ maxDelete: 1 });
  }
  const gone = await findInTrash(await full.open(), '2', undefined);
  await writeNote(await full.open(), gone.manifest ?? assert.fail(), { acknowledged: true });
  await orphan(full);
  await full.age(2 * dayMs);
  using undisturbed = copyHome(full);
  await undisturbed.cleanup();
  whole = settledKeys(undisturbed);
  assert.equal(await undisturbed.readAll(), 2);
  const ofGone = `notes/${gone.id}/`;
  assert.ok(full.keys().some((key) => key.startsWith(ofGone)));
  assert.ok(!whole.some((key) => key.startsWith(ofGone)));
});
after(() => full[Symbol.dispose]());

/** Keys, but of each backup once that it was moved: a run that was killed may have recorded that before. */
function settledKeys(home: CleanupHome): string[] {
  const keys = home.keys().map((key) => key.replace(/[^/]{16}-[0-9a-f]{4}-moved\.json$/, 'moved'));
  return [...new Set(keys)].toSorted();
}

/** What a backup stores that is killed before its manifest. */
async function orphan(home: CleanupHome): Promise<void> {
  const repository = await home.open();
  const writer = await writerOf(home, newBackupId('main', 'files'));
  await writer.store('files', streamArtifact('dead', [Buffer.alloc(50_000, 'dead')]));
  await writer.finish({ of: 'dead' });
  await writer.close();
  await repository.storage.close();
}

async function writerOf(home: CleanupHome, backupId: string): Promise<BackupWriter> {
  const { storage, repositoryId, ...repository } = await home.open();
  const { dataKey } = await (repository.keyring ?? assert.fail()).writeKey();
  return new BackupWriter({
    storage,
    repositoryId,
    backupId,
    dataKey,
    compression: { method: 'none', level: 0 },
    hangTimeoutMs: 60_000,
    maxStoredBytes: undefined,
    parent: undefined,
    compressors: 2,
    context: quiet(),
  });
}

test(
  'killed at each call that changes something: what is listed can be ' +
    'read, and the next cleanup ends as if nothing had been',
  async () => {
    let call = 0;
    for (let ended = false; !ended;) {
      call++;
      using home = copyHome(full);
      await using worker = startWorker(home);
      ended = await worker.ask(`clean ${call}`).then(
        (answer) => answer === 'done' || assert.fail(answer),
        () => false,
      );
      if (!ended) assert.equal(worker.child.signalCode, 'SIGKILL');
      const listed = await home.readAll();
      assert.ok(listed >= 2 && listed <= 4, `${listed} backups after call ${call}`);
      await home.cleanup();
      // What moved to trash in the killed run stays there no longer than in one that was not killed.
      assert.deepEqual(settledKeys(home), whole, `killed at call ${call}`);
      assert.equal(await home.readAll(), 2);
      assert.deepEqual(leases(home), []);
    }
    assert.ok(call > 15, `only ${call - 1} calls changed something`);
  },
);

test('two cleanups at once: each ends well or finds the other, and the end is the same', async () => {
  using home = copyHome(full);
  await using one = startWorker(home);
  await using other = startWorker(home);
  const answers = await Promise.all([one.ask('clean 0'), other.ask('clean 0')]);
  for (const answer of answers) assert.match(answer, /^done$|^failed cleanup is locked by "cleanup"/);
  assert.ok(answers.includes('done'));
  assert.deepEqual(settledKeys(home), whole);
});

test('a suspended backup that was passed over fails when it comes back, and records nothing', async () => {
  using home = copyHome(full);
  home.change(0);
  await using worker = startWorker(home);
  const answer = worker.ask('stop');
  while (!isStopped(worker.child.pid)) await sleep(20);
  const packs = home.keys().filter((key) => key.startsWith('packs/')).length;
  await home.age(2 * dayMs);
  const { warnings, freed } = await home.cleanup();
  assert.deepEqual(warnings, []);
  assert.ok(freed.packs > 0);
  assert.ok(home.keys().filter((key) => key.startsWith('packs/')).length < packs);
  worker.child.kill('SIGCONT');
  assert.match(await answer, /^failed lost the lease \w+ of backup-main: somebody marked it as broken/);
  assert.equal(await home.readAll(), 2);
  // What it had stored after that cleanup rests for the grace time; then it goes, too.
  await home.age(2 * dayMs);
  await home.cleanup();
  const folders = home
    .keys()
    .filter((key) => key.startsWith('backups/'))
    .map((key) => key.split('/')[1]);
  assert.deepEqual([...new Set(folders)], await home.ids());
});

test('passed over between its last look and its manifest: the manifest is taken back', async () => {
  using home = copyHome(full);
  const storage = openLocalStorage(home.root);
  const repository = await home.open({
    ...storage,
    location: storage.location,
    capabilities: storage.capabilities,
    get: async (...call) => storage.get(...call),
    stat: async (...call) => storage.stat(...call),
    list: (...call) => storage.list(...call),
    remove: async (...call) => storage.remove(...call),
    put: async (key, ...rest) => {
      if (key.startsWith('manifests/')) {
        await home.age(2 * dayMs);
        await home.cleanup();
      }
      await storage.put(key, ...rest);
    },
  });
  await using lease = await acquireLease(repository.storage, { scope: 'backup-main', command: 'backup' });
  const id = newBackupId('main', 'files');
  const writer = await writerOf(home, id);
  const artifacts = [await writer.store('files', streamArtifact('late', [Buffer.alloc(50_000, 'late')]))];
  const sums = await writer.finish({ of: id });
  const key = await repository.writeKey();
  const time = new Date().toISOString();
  const component = {
    name: 'files',
    kind: 'files' as const,
    startedAt: time,
    finishedAt: time,
    ...writer.totals('files'),
    artifacts,
  };
  const draft = {
    id,
    target: 'main',
    type: 'files' as const,
    host: 'test',
    versions: {},
    startedAt: time,
    finishedAt: time,
    warnings: 0,
    ...sums,
    components: [component],
  };
  await assert.rejects(
    repository.publishManifest(draft, key, () => lease.check()),
    /lost the lease/,
  );
  // Without its lease: the packs are looked for as well.
  await assert.rejects(
    repository.publishManifest(draft, key, () => writer.checkPacks()),
    /is missing/,
  );
  await writer.close();
  assert.ok(!(await home.ids()).includes(id));
  assert.equal(await home.readAll(), 2);
});

test('a lease pins what is younger than it; one that nobody renews is passed over and marked', async () => {
  using home = copyHome(full);
  const atOnce = [{ graceMs: 1 }, { leastGraceMs: 0 }] as const;
  const strays = (): string[] => home.keys().filter((key) => key.startsWith('packs/') && !full.keys().includes(key));
  await using lease = await acquireLease(openLocalStorage(home.root), { scope: 'read', command: 'validate' });
  await orphan(home);
  await sleep(50);
  await home.cleanup(...atOnce);
  assert.equal(strays().length, 1);
  await lease.check();
  const before = new Date(Date.now() - 31 * 60_000);
  utimesSync(join(home.root, 'locks/read', `${lease.id}.json`), before, before);
  await home.cleanup(...atOnce);
  assert.deepEqual(strays(), []);
  await assert.rejects(lease.check(), /marked it as broken/);
});

function leases({ root }: CleanupHome): string[] {
  return existsSync(join(root, 'locks'))
    ? readdirSync(join(root, 'locks'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'))
    : [];
}

/** Stopped by a signal, as /proc tells. */
function isStopped(pid: number | undefined): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}
