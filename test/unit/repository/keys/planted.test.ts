/** Key files that somebody else put into the repository, who may write there and knows what is public. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { newIdentity, recipientOf } from '../../../../src/repository/keys/age.ts';
import { encodeKeyFile, newDataKey, wrapDataKey } from '../../../../src/repository/keys/file.ts';
import { Keyring } from '../../../../src/repository/keys/keyring.ts';
import { parseKeyMaterial } from '../../../../src/repository/keys/material.ts';
import { rewrapKeys, rotateKey } from '../../../../src/repository/rekey.ts';
import { sealDocument } from '../../../../src/repository/box/seal.ts';
import type { DataKey } from '../../../../src/repository/box/crypto.ts';
import { signerFromSeed, type Signer } from '../../../../src/repository/box/signing.ts';
import { RepositoryState } from '../../../../src/repository/host-state.ts';
import type { Repository } from '../../../../src/repository/repository.ts';
import { openLocalStorage } from '../../../../src/storage/local/local.ts';
import type { Storage } from '../../../../src/storage/storage.ts';
import { streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository, type TestRepository } from '../../../helpers/repository/repository.ts';

const rawA = encryption({ key: 'a1'.repeat(32) });
const rawB = encryption({ key: 'b2'.repeat(32) });
const addRawB = { rawKey: Buffer.from('b2'.repeat(32), 'hex'), passphrases: [], recipients: [] };
const identity = await newIdentity();
const recipient = await recipientOf(identity);
const artifact = [streamArtifact('x.bin', [Buffer.from('content')])];

/** What an intruder can do who knows the recipient: a data key of his own, wrapped for it. */
async function plantKey(home: TestRepository, createdAt: string, signer?: Signer): Promise<DataKey> {
  const dataKey = newDataKey();
  const id = dataKey.id.toString('hex');
  const recipients = await wrapDataKey(dataKey, { rawKey: undefined, passphrases: [], recipients: [recipient] });
  const file = join(home.root, `keys/${id}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, encodeKeyFile({ id, createdAt, recipients }, dataKey, signer));
  return dataKey;
}

async function trusts(repository: Repository): Promise<string[]> {
  const all: string[] = [];
  for await (const { trust } of repository.listManifests()) all.push(trust);
  return all;
}

const lastInstant = '9999-12-31T23:59:59.999Z';

test('a planted key file of the end of time does not push the next data key out of what readers take', async () => {
  using home = testRepository();
  const both = encryption({ key: 'a1'.repeat(32), recipients: [recipient] });
  await home.create(both);
  await plantKey(home, lastInstant);
  await rotateKey(await home.open(both));
  const manifest = await backUp(await home.open(both), artifact);
  const other = await home.open(rawA, 'b');
  assert.deepEqual(await trusts(other), ['sealed']);
  assert.equal((await other.dataKeyOf(manifest))?.openedBy, 'raw');
});

test('nor that of a host which holds only recipients', async () => {
  using home = testRepository();
  const writeOnly = encryption({ recipients: [recipient] });
  await home.create(writeOnly, 'first');
  await plantKey(home, lastInstant);
  const writer = await home.open(writeOnly, 'second');
  const manifest = await backUp(writer, artifact);
  const signingKey = (await writer.writeKey()).signer?.publicKey.toString('base64') ?? '';
  const reader = await home.open(encryption({ identity, trustedKeys: [signingKey] }), 'reader');
  assert.equal((await reader.dataKeyOf(manifest))?.openedBy, 'age');
  assert.deepEqual(await trusts(reader), ['sealed']);
});

test('a host that remembers a key from beyond the end of time gets out of it by a rotation', async () => {
  using home = testRepository();
  const repository = await home.create(rawA);
  const folder = join(home.stateDir('a'), 'repositories', repository.repositoryId);
  const seen = { id: 'f'.repeat(32), createdAt: '+010000-01-01T00:00:00.000Z' };
  writeFileSync(join(folder, 'newest-data-key.json'), JSON.stringify(seen));
  await assert.rejects((await home.open(rawA)).writeKey(), { code: 'key', message: /has seen a newer one/ });
  const rotated = await rotateKey(await home.open(rawA));
  assert.deepEqual((await (await home.open(rawA)).writeKey()).dataKey?.id, rotated.id);
});

test('after a true key that is dated ahead of all clocks none is started, and it is named', async () => {
  using home = testRepository();
  const repository = await home.create(rawA);
  const dataKey = newDataKey();
  const id = dataKey.id.toString('hex');
  const material = parseKeyMaterial(rawA);
  assert.ok(material !== undefined);
  const file = { id, createdAt: lastInstant, recipients: await wrapDataKey(dataKey, material) };
  writeFileSync(join(home.root, `keys/${id}.json`), encodeKeyFile(file, dataKey, await repository.keyring?.signer()));
  await assert.rejects(rotateKey(await home.open(rawA)), { code: 'key', message: new RegExp(`newer than ${id}`) });
  assert.equal(readdirSync(join(home.root, 'keys')).length, 2);
});

test('a new key file that does not come back from the storage as it was ends the run, and does not stay', async () => {
  using home = testRepository();
  const repository = await home.create(rawA);
  const before = readdirSync(join(home.root, 'keys'));
  const whole = openLocalStorage(home.root);
  const lying: Storage = Object.assign(Object.create(whole) as Storage, {
    put: async (...[key, parts, options]: Parameters<Storage['put']>) =>
      whole.put(
        key,
        [
          Buffer.from(
            Buffer.concat([...parts])
              .toString()
              .replace('"raw"', '"rax"'),
          ),
        ],
        options,
      ),
    get: async (key: string) => whole.get(key),
    list: (prefix: string) => whole.list(prefix),
    remove: async (keys: readonly string[]) => whole.remove(keys),
  });
  const material = parseKeyMaterial(rawA);
  assert.ok(material !== undefined);
  const state = new RepositoryState(home.stateDir('a'), repository.repositoryId);
  const keyring = new Keyring(lying, repository.repositoryId, material, state);
  await assert.rejects(keyring.startDataKey(), { code: 'integrity', message: /cannot be opened from there/ });
  assert.deepEqual(readdirSync(join(home.root, 'keys')), before);
  assert.ok(await (await home.open(rawA)).writeKey(), 'nor is it remembered');
});

test('a raw key is not added to a data key for which nobody vouches, and that is told', async () => {
  using home = testRepository();
  const writeOnly = encryption({ recipients: [recipient] });
  const writer = await home.create(writeOnly);
  const manifest = await backUp(writer, artifact);
  const signingKey = (await writer.writeKey()).signer?.publicKey.toString('base64') ?? '';
  const later = new Date(Date.now() + 60_000).toISOString();
  const stranger = signerFromSeed(Buffer.alloc(32, 7));
  const [unsigned, foreign] = [await plantKey(home, later), await plantKey(home, later, stranger)];
  const operator = await home.open(encryption({ identity, trustedKeys: [signingKey] }), 'operator');
  const report = await rewrapKeys(operator, { add: addRawB });
  assert.deepEqual(report.changed, [manifest.dataKey]);
  const reasons = new Map(report.unchanged.map(({ id, reason }) => [id, reason]));
  assert.match(reasons.get(unsigned.id.toString('hex')) ?? '', /nobody signed it/);
  assert.match(
    reasons.get(foreign.id.toString('hex')) ?? '',
    new RegExp(stranger.publicKey.toString('base64').replaceAll(/[+/]/g, '.')),
  );
  const holder = await home.open(rawB, 'holder');
  assert.equal((await holder.writeKey()).dataKey?.id.toString('hex'), manifest.dataKey);
  const components = [{ ...manifest.components[0], artifacts: [] }];
  const dataKey = unsigned.id.toString('hex');
  const forged = { ...manifest, id: '20990101T000000Z-main-files-00000000', dataKey, components };
  writeFileSync(join(home.root, `manifests/${forged.id}.json`), sealDocument(forged, unsigned, undefined));
  assert.deepEqual(await trusts(holder), ['unchecked', 'sealed']);
});

test('adding an age recipient to such a key vouches for nothing', async () => {
  using home = testRepository();
  await home.create(encryption({ recipients: [recipient] }));
  const planted = await plantKey(home, new Date().toISOString());
  const operator = await home.open(encryption({ identity }), 'operator');
  const second = await recipientOf(await newIdentity());
  const add = { rawKey: undefined, passphrases: [], recipients: [second] };
  assert.ok((await rewrapKeys(operator, { add })).changed.includes(planted.id.toString('hex')));
  assert.deepEqual((await rewrapKeys(operator, { add: addRawB })).changed, []);
});

test('copies beside backups are not overwritten by a key file that is not what was sealed', async () => {
  using home = testRepository();
  const manifest = await backUp(await home.create(rawA), artifact);
  const file = join(home.root, `keys/${manifest.dataKey}.json`);
  const copy = join(home.root, `backups/${manifest.id}/keys.json`);
  const original = readFileSync(copy);
  const foreign = { id: Buffer.from(manifest.dataKey ?? '', 'hex'), key: Buffer.alloc(32, 1) };
  const recipients = await wrapDataKey(foreign, { rawKey: undefined, passphrases: [], recipients: [recipient] });
  const createdAt = new Date().toISOString();
  writeFileSync(file, encodeKeyFile({ id: manifest.dataKey ?? '', createdAt, recipients }, foreign, undefined));
  const report = await rewrapKeys(await home.open(rawA), { add: addRawB });
  assert.deepEqual([report.changed, report.unchanged.length, report.copies], [[], 1, 0]);
  assert.deepEqual(readFileSync(copy), original);
  assert.deepEqual(await trusts(await home.open(rawA, 'b')), ['sealed']);
});

/** As versions before signed key files wrote it, for the raw key a1…: data key ab… is cd…. */
const unsignedKeyFile = `{
  "format": 1,
  "id": "abababababababababababababababab",
  "createdAt": "2026-11-30T12:00:00.000Z",
  "recipients": [
    {
      "type": "raw",
      "salt": "/e13XrdSbqwtIUgP1RYX2lcvU72qxFbw78nE0cbr6sw=",
      "wrapped": "91C2tQVPXjbydbxaRpWR+IKSjpZUK0C4pIU6dKG2uH8h1yq5Ghqp92PEW914zVyT"
    }
  ],
  "seal": "ac966f438393e2e937ecb739cd09a12d857d5db55974bb0fa3157910183b9255"
}
`;

test('a key file without a signature, as older versions wrote them, is read and added to as before', async () => {
  using home = testRepository();
  await home.create(rawA);
  const id = 'ab'.repeat(16);
  writeFileSync(join(home.root, `keys/${id}.json`), unsignedKeyFile);
  const opened = await (await home.open(rawA, 'b')).keyring?.open(id);
  assert.deepEqual([opened?.openedBy, opened?.key], ['raw', Buffer.alloc(32, 0xcd)]);
  assert.ok((await rewrapKeys(await home.open(rawA), { add: addRawB })).changed.includes(id));
  assert.deepEqual((await (await home.open(rawB, 'c')).keyring?.open(id))?.key, Buffer.alloc(32, 0xcd));
  assert.ok(existsSync(join(home.root, `keys/${id}.json`)));
});

test('a junk key file that says it is the newest stops writing, and the way out is told', async () => {
  using home = testRepository();
  await home.create(rawA);
  const junk = newDataKey();
  const id = junk.id.toString('hex');
  const recipients = await wrapDataKey(junk, addRawB);
  const file = join(home.root, `keys/${id}.json`);
  writeFileSync(file, encodeKeyFile({ id, createdAt: lastInstant, recipients }, junk, undefined));
  await assert.rejects((await home.open(rawA)).writeKey(), {
    code: 'key',
    message: /the newest data key, of 9999/,
    hint: new RegExp(`somebody else put keys/${id}.json there: move it out`),
  });
  rmSync(file);
  assert.ok(await (await home.open(rawA)).writeKey());
});
