/** Cleanup of a bucket that keeps versions and locks objects, on a real S3 server: what is gone is gone, what is retained is told. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { cleanRepository } from '../../src/operations/cleanup.ts';
import { createRepository } from '../../src/repository/create.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { openStorage } from '../../src/storage/open.ts';
import { streamArtifact } from '../helpers/chunk-repository.ts';
import { keepLast, quiet, readEveryBackup } from '../helpers/cleanup-home.ts';
import { backUp, encryption } from '../helpers/repository.ts';
import { startS3Server, type TestS3Server } from '../helpers/rgw.ts';

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
const request = { dryRun: false, acknowledge: [], maxDelete: 100, graceMs: 1 };

async function open(bucket: string): Promise<Repository> {
  const storage = await openStorage(await server.location({ bucket }));
  return (await createRepository(storage, encryption({ key: '0f'.repeat(32) }), join(folder, 'state'))).repository;
}

/** Every version and marker of every object but leases: "key" or "key (marker)". */
async function allVersions(bucket: string): Promise<string[]> {
  const { Versions = [], DeleteMarkers = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
  return [...Versions.map(({ Key }) => `${Key}`), ...DeleteMarkers.map(({ Key }) => `${Key} (marker)`)].filter((key) => !key.includes('locks/')).toSorted();
}

test('a bucket with versions: what has passed its grace time is gone with all its versions; what stays has one', async () => {
  const bucket = await server.makeBucket({ versions: true });
  const repository = await open(bucket);
  const first = await backUp(repository, [streamArtifact('one', [Buffer.alloc(5000, 'one')])]);
  const second = await backUp(repository, [streamArtifact('two', [Buffer.alloc(5000, 'two')])]);
  await cleanRepository(repository, request, quiet(), atOnce);
  assert.ok((await allVersions(bucket)).some((key) => key.includes(`manifests/${first.id}.json (marker)`)), 'moved: hidden, not gone');
  // The server's stamps are whole seconds.
  let deleted: readonly { id: string }[] = [];
  for (let tries = 0; deleted.length === 0 && tries < 100; tries++) ({ deleted } = await cleanRepository(repository, request, quiet(), atOnce));
  assert.deepEqual(deleted.map(({ id }) => id), [first.id]);
  await cleanRepository(repository, request, quiet(), atOnce);
  const left = await allVersions(bucket);
  assert.deepEqual(left.filter((key) => key.includes(first.id) || key.includes('(marker)')), []);
  assert.equal(left.filter((key) => key.includes('packs/')).length, 1);
  assert.ok(left.some((key) => key.endsWith(`manifests/${second.id}.json`)));
  assert.equal(await readEveryBackup(repository), 1);
  await repository.storage.close();
});

test('a locked object that nobody needs stays as it is, is told with its time, and does not count as freed', async () => {
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
  for (let tries = 0; freed.packs === 0 && tries < 100; tries++) ({ freed, retained } = await cleanRepository(repository, request, quiet(), atOnce));
  assert.deepEqual(freed, { packs: 1, bytes: 200 });
  assert.deepEqual(retained, [{ object: locked, until: new Date(untilMs).toISOString() }]);
  const left = await allVersions(bucket);
  assert.ok(left.some((key) => key.endsWith(locked)) && !left.some((key) => key.includes(free)));
  assert.equal((await repository.storage.stat(locked)).sizeBytes, 300, 'not hidden either');
  await repository.storage.close();
});
