/** Who moved a backup to trash: which records count, in a repository with and without encryption. */
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { EncryptionConfig } from '../../../../src/config/config.ts';
import { signerFromSeed } from '../../../../src/repository/box/signing.ts';
import { findUnexplainedTrash } from '../../../../src/repository/deletion/hidden-manifests.ts';
import { moveToTrash, takeFromTrash } from '../../../../src/repository/deletion/trash.ts';
import { TrashRecords, writeTrashRecord } from '../../../../src/repository/deletion/trash-records.ts';
import { sealRecord } from '../../../../src/repository/keys/sealed-records.ts';
import type { ListedManifest } from '../../../../src/repository/manifests/listing.ts';
import { manifestKey, trashKey } from '../../../../src/repository/object-keys.ts';
import type { Repository } from '../../../../src/repository/repository.ts';
import { streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository, type TestRepository } from '../../../helpers/repository/repository.ts';

let home: TestRepository;
beforeEach(() => {
  home = testRepository();
});
afterEach(() => home[Symbol.dispose]());

async function made(config: EncryptionConfig): Promise<{ repository: Repository; listed: ListedManifest }> {
  const repository = await home.create(config);
  const { id } = await backUp(repository, [streamArtifact('x.bin', [Buffer.from('x')])]);
  return { repository, listed: await repository.readManifest(id) };
}

const stillHolds = async (): Promise<void> => {};
const unexplained = async (repository: Repository): Promise<string[]> =>
  (await findUnexplainedTrash(repository)).map(({ id }) => id);

/** What anybody can do who can write there. */
async function steal({ storage }: Repository, id: string): Promise<void> {
  await storage.put(trashKey(id), [await storage.get(manifestKey(id))], { replace: true });
  await storage.remove([manifestKey(id)]);
}

for (const [name, config] of [
  ['encrypted', encryption({ key: 'a1'.repeat(32) })],
  ['not encrypted', encryption({ enabled: false })],
] as const) {
  test(`${name}: moved, taken back, stolen, moved again`, async () => {
    const { repository, listed } = await made(config);
    const { id, seal, manifest = assert.fail() } = listed;
    await moveToTrash(repository, listed, stillHolds);
    assert.deepEqual(await unexplained(repository), []);
    await takeFromTrash(repository, manifest, seal, stillHolds);
    await steal(repository, id);
    assert.deepEqual(await unexplained(repository), [id]);
    await takeFromTrash(repository, manifest, seal, stillHolds);
    await moveToTrash(repository, listed, stillHolds);
    assert.deepEqual(await unexplained(repository), []);
    const names = readdirSync(join(home.root, 'notes', id));
    const states = names.map((each) => each.replace(/^.*-(moved|back)\.json$/, '$1'));
    assert.deepEqual(states.toSorted(), ['back', 'back', 'moved', 'moved']);
  });

  test(`${name}: a record of another, one that is changed and one that is planted do not count`, async () => {
    const { repository, listed } = await made(config);
    const { id, seal, manifest } = listed;
    const { storage } = repository;
    await steal(repository, id);
    await writeTrashRecord(repository, { id, seal: '0'.repeat(64), dataKey: manifest?.dataKey }, 'moved');
    assert.deepEqual(await unexplained(repository), [id], 'of another manifest');
    await writeTrashRecord(repository, { id, seal, dataKey: manifest?.dataKey }, 'moved');
    assert.deepEqual(await unexplained(repository), []);
    const planted = `notes/${id}/20200101T000000Z-0a0a-back.json`;
    const members = { at: '2020-01-01T00:00:00.000Z', host: '', user: '', manifestSeal: seal, state: 'moved' };
    const signer = signerFromSeed(Buffer.alloc(32, 1));
    await storage.put(planted, [sealRecord(planted, members, { dataKey: undefined, signer })]);
    assert.deepEqual(await unexplained(repository), [id], 'it may have said that it is back');
    assert.deepEqual(await (await TrashRecords.list(repository)).useless(id), [planted]);
    rmSync(join(home.root, planted));
    assert.deepEqual(await unexplained(repository), []);
  });
}

test('without encryption only what this host or a listed writer has signed counts', async () => {
  const config = encryption({ enabled: false });
  const { repository, listed } = await made(config);
  await moveToTrash(repository, listed, stillHolds);
  assert.deepEqual(await unexplained(await home.open(config, 'b')), [listed.id]);
  assert.deepEqual(await unexplained(await home.open(config, 'a')), []);
  const trustedKeys = [(await repository.signer()).publicKey.toString('base64')];
  assert.deepEqual(await unexplained(await home.open(encryption({ enabled: false, trustedKeys }), 'b')), []);
});

test('its time counts from the record, whatever stamp somebody gave the copy', async () => {
  const { repository, listed } = await made(encryption({ key: 'a1'.repeat(32) }));
  const atMs = Date.now() + 5000;
  await moveToTrash(repository, listed, stillHolds);
  await writeTrashRecord(repository, { ...listed, dataKey: listed.manifest?.dataKey }, 'moved', atMs);
  const records = await TrashRecords.list(repository);
  assert.equal(await records.movedMs({ ...listed, modifiedMs: 0 }), atMs);
  assert.equal(await records.movedMs({ ...listed, modifiedMs: atMs + 1 }), atMs + 1);
  assert.equal(await records.movedMs({ ...listed, seal: undefined }), undefined);
});
