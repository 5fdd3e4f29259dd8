/**
 * Cleanup of a bucket that keeps versions and locks objects, on a real S3 server: what is gone is gone, what is
 * retained is told.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DeleteObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { loadConfig } from '../../src/config/load.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import { cleanRepository } from '../../src/operations/cleanup/cleanup.ts';
import { status } from '../../src/operations/status/status.ts';
import { createRepository } from '../../src/repository/create.ts';
import { findHiddenManifests, unhideContents } from '../../src/repository/deletion/hidden-manifests.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { takeFromTrash } from '../../src/repository/deletion/trash.ts';
import { openStorage } from '../../src/storage/open.ts';
import { streamArtifact } from '../helpers/repository/chunk-repository.ts';
import { keepLast, quiet, readEveryBackup } from '../helpers/repository/cleanup-home.ts';
import { backUp, encryption } from '../helpers/repository/repository.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import { recordDeleted } from '../../src/operations/audit/audited.ts';

let server: TestS3Server;
const folder = mkdtempSync(join(tmpdir(), 'versions-'));
before(async () => {
  mkdirSync(join(folder, 'state'));
  server = await startS3Server();
});
after(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const atOnce = { policies: keepLast(1), leastGraceMs: 0 };
const request = { dryRun: false, acknowledge: [], adoptTrash: [], maxDelete: 100, graceMs: 1 };

async function open(bucket: string): Promise<Repository> {
  const storage = await openStorage(await server.location({ bucket }));
  return (await createRepository(storage, encryption({ key: '0f'.repeat(32) }), join(folder, 'state'))).repository;
}

/** Every version and marker of every object but leases: "key" or "key (marker)". */
async function allVersions(bucket: string): Promise<string[]> {
  const { Versions = [], DeleteMarkers = [] } = await server.client.send(
    new ListObjectVersionsCommand({ Bucket: bucket }),
  );
  return [...Versions.map(({ Key }) => `${Key}`), ...DeleteMarkers.map(({ Key }) => `${Key} (marker)`)]
    .filter((key) => !key.includes('locks/'))
    .toSorted();
}

test('a bucket with versions: what has passed its grace time is gone with all of them', async () => {
  const bucket = await server.makeBucket({ versions: true });
  const repository = await open(bucket);
  const first = await backUp(repository, [streamArtifact('one', [Buffer.alloc(5000, 'one')])]);
  const second = await backUp(repository, [streamArtifact('two', [Buffer.alloc(5000, 'two')])]);
  await cleanRepository(repository, request, quiet(), atOnce);
  assert.ok(
    (await allVersions(bucket)).some((key) => key.includes(`manifests/${first.id}.json (marker)`)),
    'moved: hidden, not gone',
  );
  // The server's stamps are whole seconds.
  let deleted: readonly { id: string }[] = [];
  for (let tries = 0; deleted.length === 0 && tries < 100; tries++) {
    ({ deleted } = await cleanRepository(repository, request, quiet(), atOnce));
  }
  assert.deepEqual(
    deleted.map(({ id }) => id),
    [first.id],
  );
  await cleanRepository(repository, request, quiet(), atOnce);
  const left = await allVersions(bucket);
  assert.deepEqual(
    left.filter((key) => key.includes(first.id) || key.includes('(marker)')),
    [],
  );
  assert.equal(left.filter((key) => key.includes('packs/')).length, 1);
  assert.ok(left.some((key) => key.endsWith(`manifests/${second.id}.json`)));
  assert.equal(await readEveryBackup(repository), 1);
  await repository.storage.close();
});

test('a locked object that nobody needs stays, is told with its time, and is not counted as freed', async () => {
  const bucket = await server.makeBucket({ versions: true, objectLock: true });
  const repository = await open(bucket);
  await backUp(repository, [streamArtifact('one', [Buffer.alloc(5000, 'one')])]);
  const untilMs = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
  const locked = `packs/ab/${'ab'.repeat(16)}.pack`;
  const free = `packs/cd/${'cd'.repeat(16)}.pack`;
  await repository.storage.put(locked, [Buffer.alloc(300)], { retainUntilMs: untilMs });
  await repository.storage.put(free, [Buffer.alloc(200)]);
  let freed = { packs: 0, bytes: 0 };
  let retained: readonly { object: string; until?: string | undefined }[] = [];
  for (let tries = 0; freed.packs === 0 && tries < 100; tries++) {
    ({ freed, retained } = await cleanRepository(repository, request, quiet(), atOnce));
  }
  assert.deepEqual(freed, { packs: 1, bytes: 200 });
  assert.deepEqual(retained, [{ object: locked, until: new Date(untilMs).toISOString() }]);
  const left = await allVersions(bucket);
  assert.ok(left.some((key) => key.endsWith(locked)) && !left.some((key) => key.includes(free)));
  assert.equal((await repository.storage.stat(locked)).sizeBytes, 300, 'not hidden either');
  await repository.storage.close();
});

/** What somebody with the right to delete, and no key, can do. */
async function hide(bucket: string, match: string): Promise<string[]> {
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
  const keys = Versions.filter(({ Key, IsLatest }) => IsLatest === true && Key?.includes(match)).map(
    ({ Key = '' }) => Key,
  );
  for (const Key of keys) await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
  return keys;
}

/** What status says of backups that are hidden or gone. */
async function hiddenInStatus(bucket: string): Promise<string[]> {
  const { endpoint, accessKey, secretKey } = server;
  const document = {
    repository: { url: `s3://${bucket}`, endpoint, pathStyle: true, accessKey, secretKey },
    encryption: { key: '0f'.repeat(32) },
    stateDir: join(folder, 'state'),
    targets: { main: { files: { paths: [folder] } } },
  };
  const { reasons } = await status(await loadConfig({ cwd: folder, env: {}, document }), { days: 30 }, quiet());
  return reasons
    .filter(({ id }) => /^(hidden|chain|rollback):/.test(id))
    .map(({ id, weight, next }) => `${weight} ${id} -> ${next}`);
}

test(
  'backups that somebody hid: cleanups keep all that they need and say so; undelete shows them again, whatever of ' +
    'them was hidden',
  async () => {
    const bucket = await server.makeBucket({ versions: true });
    const repository = await open(bucket);
    const first = await backUp(repository, [streamArtifact('one', [Buffer.alloc(5000, 'one')])]);
    const second = await backUp(repository, [streamArtifact('two', [Buffer.alloc(5000, 'two')])]);
    const third = await backUp(repository, [streamArtifact('three', [Buffer.alloc(5000, 'three')])]);
    assert.deepEqual(await findHiddenManifests(repository), { unexplained: [], recorded: [] });
    assert.deepEqual(await hiddenInStatus(bucket), []);
    await hide(bucket, `manifests/${first.id}`);
    await hide(bucket, `manifests/${second.id}`);
    await hide(bucket, `backups/${second.id}/`);
    await hide(bucket, 'packs/');
    assert.deepEqual(
      await hiddenInStatus(bucket),
      [first.id, second.id].map((id) => `unhealthy hidden:${id} -> lifeboat undelete ${id}`),
    );
    const warnings: string[] = [];
    const context = {
      ...quiet(),
      emit: (event: { readonly type: string; readonly message?: string }) =>
        void (event.type === 'warning' ? warnings.push(event.message ?? '') : undefined),
    };
    const before = (await allVersions(bucket)).filter((key) => !key.includes('(marker)'));
    for (let round = 0; round < 2; round++) {
      await new Promise((resolve) => setTimeout(resolve, 1100));
      const { hidden, deleted, freed } = await cleanRepository(repository, request, context, atOnce);
      assert.deepEqual(
        hidden.map(({ id }) => id),
        [first.id, second.id],
      );
      assert.deepEqual([deleted, freed], [[], { packs: 0, bytes: 0 }]);
    }
    assert.match(
      warnings.join('\n'),
      new RegExp(
        `backup ${first.id} was hidden by a delete marker at .*: all that it needs stays; to get it back: lifeboat ` +
          `undelete ${first.id}; `,
      ),
    );
    assert.deepEqual(
      (await allVersions(bucket)).filter((key) => !key.includes('(marker)')),
      before,
      'not one version is gone',
    );
    const { unexplained } = await findHiddenManifests(repository);
    for (const { listed } of unexplained) {
      assert.ok(listed.manifest !== undefined && listed.trust === 'sealed');
      await unhideContents(repository.storage, listed.manifest);
      await takeFromTrash(repository, listed.manifest, listed.seal, async () => {}, true);
    }
    const { manifest } = await repository.readManifest(third.id);
    assert.ok(manifest !== undefined);
    await unhideContents(repository.storage, manifest);
    assert.equal(await readEveryBackup(repository), 3);
    assert.deepEqual(await findHiddenManifests(repository), { unexplained: [], recorded: [] });
    await repository.storage.close();
  },
);

test('what cleanup recorded as deleted before it was cut short is no riddle: the next one finishes it', async () => {
  const bucket = await server.makeBucket({ versions: true });
  const repository = await open(bucket);
  const first = await backUp(repository, [streamArtifact('one', [Buffer.alloc(5000, 'one')])]);
  await backUp(repository, [streamArtifact('two', [Buffer.alloc(5000, 'two')])]);
  const { seal = '' } = await repository.readManifest(first.id);
  await recordDeleted(repository, {}, [{ id: first.id, seal }], { emit: () => {} });
  await hide(bucket, `manifests/${first.id}`);
  const { unexplained, recorded } = await findHiddenManifests(repository);
  assert.deepEqual([unexplained, recorded.map(({ id }) => id)], [[], [first.id]]);
  const { hidden } = await cleanRepository(repository, request, quiet(), atOnce);
  assert.deepEqual(hidden, []);
  assert.deepEqual(
    (await allVersions(bucket)).filter((key) => key.includes(`manifests/${first.id}`)),
    [],
  );
  await repository.storage.close();
});

test('a backup that was taken back at its last step is none that somebody hid', async () => {
  const bucket = await server.makeBucket({ versions: true });
  const repository = await open(bucket);
  const made = await backUp(repository, [streamArtifact('one', [Buffer.alloc(5000, 'one')])]);
  const {
    format: _,
    repository: __,
    dataKey: ___,
    ...draft
  } = JSON.parse(JSON.stringify(made).replaceAll(made.id, made.id.replace(/.{8}$/, 'ffffffff'))) as typeof made;
  let asked = 0;
  const publishing = repository.publishManifest(draft, await repository.writeKey(), async () => {
    if (++asked === 2) throw new LifeboatError('locked', 'the lease is lost');
  });
  await assert.rejects(publishing, /the lease is lost/);
  assert.deepEqual((await findHiddenManifests(repository)).unexplained, []);
  await repository.storage.close();
});

test(
  'log of a cluster without a base backup stays, unless days are configured; what object lock retains of it is told ' +
    'and does not count',
  async () => {
    const bucket = await server.makeBucket({ versions: true, objectLock: true });
    const repository = await open(bucket);
    await backUp(repository, [streamArtifact('one', [Buffer.alloc(5000, 'one')])]);
    const untilMs = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
    const [locked, free] = [1, 2].map((n) => `wal/77/00000001/00000000/00000001000000000000000${n}.wal`) as [
      string,
      string,
    ];
    await repository.storage.put(locked, [Buffer.alloc(300)], { retainUntilMs: untilMs });
    await repository.storage.put(free, [Buffer.alloc(200)]);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const [kept] = (await cleanRepository(repository, request, quiet(), atOnce)).wal;
    assert.deepEqual([kept?.segments, kept?.bytes], [0, 0]);
    assert.match(kept?.stays ?? '', /no base backup of it is in the repository; .*retention\.walDays/);
    const { wal, retained, freed } = await cleanRepository(repository, request, quiet(), {
      ...atOnce,
      orphanWalDays: 1 / 86_400_000,
    });
    assert.deepEqual(wal, [
      {
        systemId: '77',
        targets: [],
        from: undefined,
        becomes: undefined,
        segments: 1,
        bytes: 200,
        laterSegments: 0,
        laterBytes: 0,
        stays: undefined,
      },
    ]);
    assert.deepEqual([retained, freed.bytes], [[{ object: locked, until: new Date(untilMs).toISOString() }], 200]);
    assert.deepEqual(
      (await allVersions(bucket)).filter((key) => key.includes('wal/')),
      [(await allVersions(bucket)).find((key) => key.endsWith(locked))],
    );
    await repository.storage.close();
  },
);
