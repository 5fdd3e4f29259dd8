import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { newIdentity, recipientOf } from '../../../../src/repository/keys/age.ts';
import { encodeKeyFile, newDataKey, wrapDataKey } from '../../../../src/repository/keys/file.ts';
import { describeKeys, rewrapKeys, rotateKey } from '../../../../src/repository/rekey.ts';
import type { Repository } from '../../../../src/repository/repository.ts';
import { sealDocument } from '../../../../src/repository/box/seal.ts';
import { signerFromSeed } from '../../../../src/repository/box/signing.ts';
import { ownDataKeyLifeMs, RepositoryState } from '../../../../src/repository/host-state.ts';
import { streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository } from '../../../helpers/repository/repository.ts';

const rawA = encryption({ key: 'a1'.repeat(32) });
const rawB = encryption({ key: 'b2'.repeat(32) });
const identity = await newIdentity();
const recipient = await recipientOf(identity);
const writeOnly = encryption({ recipients: [recipient] });
const artifact = [streamArtifact('x.bin', [Buffer.from('content')])];

async function trusts(repository: Repository): Promise<string[]> {
  const all: string[] = [];
  for await (const { trust } of repository.listManifests()) all.push(trust);
  return all;
}

test('what one host writes with a raw key another one with the same key reads', async () => {
  using home = testRepository();
  await backUp(await home.create(rawA), artifact);
  const other = await home.open(rawA, 'b');
  assert.deepEqual(await trusts(other), ['sealed']);
  const [a, b] = [await (await home.open(rawA)).writeKey(), await other.writeKey()];
  assert.deepEqual(a.dataKey?.key, b.dataKey?.key);
  assert.deepEqual(a.signer?.publicKey, b.signer?.publicKey, 'the signing key follows from the raw key');
});

test('a wrong key, no key and a key for what is not encrypted are refused; listing needs none', async () => {
  using home = testRepository();
  const manifest = await backUp(await home.create(rawA), artifact);
  const wrong = await home.open(rawB, 'b');
  await assert.rejects(wrong.writeKey(), { code: 'key' });
  await assert.rejects(wrong.dataKeyOf(manifest), { code: 'key', message: /configured key does not open/ });
  assert.deepEqual(await trusts(wrong), ['unchecked']);
  const without = await home.open(encryption({}), 'c');
  assert.equal(without.canRead, false);
  assert.deepEqual(await trusts(without), ['unchecked']);
  await assert.rejects(without.dataKeyOf(manifest), {
    code: 'key',
    message: /no key, passphrase or age identity is configured/,
  });
  await assert.rejects(without.writeKey(), { code: 'key' });
  await assert.rejects(without.resolve('latest'), { code: 'key' });
  await assert.rejects(home.open(encryption({ enabled: false })), { code: 'key' });
  using plain = testRepository();
  await backUp(await plain.create(encryption({ enabled: false })), artifact);
  assert.deepEqual(await trusts(await plain.open(encryption({ enabled: false }))), ['sealed']);
  await assert.rejects(plain.open(rawA), { code: 'key' });
});

test('a passphrase opens; what it opened is kept for a day, bound to the passphrase, in a private file', async () => {
  using home = testRepository();
  const phrase = encryption({ passphrase: 'vier Schl\u00f6sser' });
  const manifest = await backUp(await home.create(phrase), artifact);
  const again = await home.open(encryption({ passphrase: 'vier Schlo\u0308sser' }), 'b');
  assert.equal((await again.dataKeyOf(manifest))?.openedBy, 'passphrase', 'normal form C');
  assert.deepEqual(
    (await again.writeKey()).signer?.publicKey,
    (await (await home.open(phrase)).writeKey()).signer?.publicKey,
  );
  const cache = join(home.stateDir('b'), 'repositories', again.repositoryId, 'opened-keys.json');
  assert.equal(statSync(cache).mode & 0o777, 0o600);
  assert.equal(statSync(home.stateDir('b')).mode & 0o777, 0o700);
  assert.ok(!readFileSync(cache, 'utf8').includes('Schl'));
  // Once its file opens with another passphrase only, nothing but what was kept can open it with this one.
  const id = manifest.dataKey ?? '';
  const dataKey = { id: Buffer.from(id, 'hex'), key: (await again.writeKey()).dataKey?.key ?? Buffer.alloc(0) };
  const wrapped = await wrapDataKey(dataKey, { rawKey: undefined, passphrases: ['later'], recipients: [] });
  for (const name of [`keys/${id}.json`, `backups/${manifest.id}/keys.json`]) {
    writeFileSync(
      join(home.root, name),
      encodeKeyFile({ id, createdAt: new Date().toISOString(), recipients: wrapped }, dataKey, undefined),
    );
  }
  assert.equal((await (await home.open(phrase, 'b')).dataKeyOf(manifest))?.openedBy, 'passphrase');
  await assert.rejects((await home.open(phrase, 'c')).dataKeyOf(manifest), { code: 'key' });
  await assert.rejects((await home.open(encryption({ passphrase: 'another one' }), 'b')).dataKeyOf(manifest), {
    code: 'key',
  });
  const state = new RepositoryState(home.stateDir('b'), again.repositoryId);
  assert.ok(await state.cachedSecret(manifest.dataKey ?? '', 'vier Schl\u00f6sser'));
  assert.equal(
    await state.cachedSecret(manifest.dataKey ?? '', 'vier Schl\u00f6sser', Date.now() + 86_400_001),
    undefined,
  );
  assert.ok(!readFileSync(cache, 'utf8').includes('secret'), 'expired secrets are removed from the disk');
});

test('a host with only recipients writes under a key of its own; the identity trusts listed writers', async () => {
  using home = testRepository();
  const writer = await home.create(writeOnly);
  const manifest = await backUp(writer, artifact);
  assert.equal(writer.canRead, false);
  assert.deepEqual(await trusts(await home.open(writeOnly)), ['sealed'], 'it knows what it signed itself');
  assert.equal(statSync(join(home.stateDir('a'), 'signing-key.json')).mode & 0o777, 0o600);
  assert.equal(
    statSync(join(home.stateDir('a'), 'repositories', writer.repositoryId, 'own-data-key.json')).mode & 0o777,
    0o600,
  );
  await backUp(await home.open(writeOnly), artifact);
  assert.equal(readdirSync(join(home.root, 'keys')).length, 1, 'the next run writes under the same key');
  const reader = await home.open(encryption({ identity }), 'reader');
  assert.deepEqual(await trusts(reader), ['untrusted', 'untrusted']);
  await assert.rejects(reader.resolve('latest'), { code: 'not_found', message: /2 that cannot be trusted/ });
  assert.equal((await reader.resolve(manifest.id)).byFullId, true);
  const signingKey = (await writer.writeKey()).signer?.publicKey.toString('base64') ?? '';
  const trusting = await home.open(encryption({ identity, trustedKeys: [signingKey] }), 'reader');
  assert.deepEqual(await trusts(trusting), ['sealed', 'sealed']);
  assert.equal((await trusting.dataKeyOf(manifest))?.openedBy, 'age');
});

test('a party that only knows the public recipient can forge a seal, but is never trusted', async () => {
  using home = testRepository();
  const manifest = await backUp(await home.create(writeOnly), artifact);
  const signingKey = (await (await home.open(writeOnly)).writeKey()).signer?.publicKey.toString('base64') ?? '';
  const forged = newDataKey();
  const id = forged.id.toString('hex');
  writeFileSync(
    join(home.root, `keys/${id}.json`),
    encodeKeyFile(
      {
        id,
        createdAt: new Date().toISOString(),
        recipients: await wrapDataKey(forged, { rawKey: undefined, passphrases: [], recipients: [recipient] }),
      },
      forged,
      undefined,
    ),
  );
  const signers = { unsigned: undefined, foreign: signerFromSeed(Buffer.alloc(32, 7)) };
  let second = 0;
  for (const signer of Object.values(signers)) {
    const name = `20990101T00000${second++}Z-main-files-00000000`;
    const members = { ...manifest, id: name, dataKey: id, components: [{ ...manifest.components[0], artifacts: [] }] };
    writeFileSync(join(home.root, `manifests/${name}.json`), sealDocument(members, forged, signer));
  }
  const reader = await home.open(encryption({ identity, trustedKeys: [signingKey] }), 'reader');
  assert.deepEqual(await trusts(reader), ['untrusted', 'untrusted', 'sealed']);
  const latest = await reader.resolve('latest', { target: 'main' });
  assert.equal(latest.backup.id, manifest.id);
  assert.deepEqual(
    latest.passedOver.map(({ reason }) => reason?.slice(0, 16)),
    ['it is signed by ', 'nobody signed it'],
  );
  // Nor does anybody who can read with more than an identity write under it.
  const both = await home.open(encryption({ key: 'a1'.repeat(32), identity }), 'both');
  await assert.rejects(both.writeKey(), { code: 'key', message: /no data key .* is wrapped for a raw key/ });
});

test('an own data key lives 30 days, and only while it is in place and wrapped for who is configured', async () => {
  using home = testRepository();
  const writer = await home.create(writeOnly);
  const first = (await writer.writeKey()).dataKey?.id.toString('hex') ?? '';
  const state = new RepositoryState(home.stateDir('a'), writer.repositoryId);
  assert.ok(await state.ownDataKey(Date.now() + ownDataKeyLifeMs - 60_000));
  const second = await recipientOf(await newIdentity());
  const more = await home.open(encryption({ recipients: [recipient, second] }));
  const next = (await more.writeKey()).dataKey?.id.toString('hex') ?? '';
  assert.notEqual(next, first);
  assert.equal((await more.writeKey()).dataKey?.id.toString('hex'), next);
  rmSync(join(home.root, `keys/${next}.json`));
  assert.notEqual(
    (await more.writeKey()).dataKey?.id.toString('hex'),
    next,
    'its key file is gone: nobody could ever read',
  );
  assert.equal(await state.ownDataKey(Date.now() + ownDataKeyLifeMs + 60_000), undefined);
  assert.equal(await state.ownDataKey(), undefined, 'and it is gone from the disk');
});

test('rotating starts a newer key; a repository put back to the older one is noticed', async () => {
  using home = testRepository();
  const repository = await home.create(rawA);
  const old = await backUp(repository, artifact);
  const before = join(home.folder, 'aside');
  const rotated = await rotateKey(await home.open(rawA));
  const fresh = await home.open(rawA);
  assert.deepEqual((await fresh.writeKey()).dataKey?.id, rotated.id);
  const recent = await backUp(fresh, artifact, { at: new Date(Date.now() + 1000) });
  assert.notEqual(recent.dataKey, old.dataKey);
  assert.deepEqual(await trusts(await home.open(rawA)), ['sealed', 'sealed']);
  renameSync(join(home.root, `keys/${recent.dataKey}.json`), before);
  await assert.rejects((await home.open(rawA)).writeKey(), { code: 'key', message: /this host has seen a newer one/ });
  assert.deepEqual((await (await home.open(rawA, 'new host')).writeKey()).dataKey?.id.toString('hex'), old.dataKey);
  assert.deepEqual(
    await trusts(await home.open(rawA)),
    ['sealed', 'sealed'],
    'the copy beside the backup still opens it',
  );
});

test('a newer data key wrapped for another raw key is not passed over in silence', async () => {
  using home = testRepository();
  await home.create(rawA);
  await assert.rejects(
    rotateKey(await home.open(rawB, 'b')),
    { code: 'key' },
    'a mistyped key must not become the key',
  );
  await (await home.open(rawB, 'b')).keyring?.startDataKey();
  await assert.rejects((await home.open(rawA)).writeKey(), { code: 'key' });
});

test('a damaged or lost key file falls back to the copies beside the backups', async () => {
  using home = testRepository();
  const manifest = await backUp(await home.create(rawA), artifact);
  const file = join(home.root, `keys/${manifest.dataKey}.json`);
  writeFileSync(file, readFileSync(file, 'utf8').replace('"raw"', '"rax"'));
  assert.deepEqual(await trusts(await home.open(rawA)), ['sealed']);
  await assert.rejects((await home.open(rawA)).writeKey(), { code: 'integrity' });
  rmSync(file);
  assert.deepEqual(await trusts(await home.open(rawA)), ['sealed']);
});

test('recipients are added and removed everywhere, copies included, and it can be repeated', async () => {
  using home = testRepository();
  const manifest = await backUp(await home.create(rawA), artifact);
  const add = { rawKey: Buffer.from('b2'.repeat(32), 'hex'), passphrases: [], recipients: [recipient] };
  const repository = await home.open(rawA);
  assert.deepEqual(await rewrapKeys(repository, { add }), { changed: [manifest.dataKey], unchanged: [], copies: 1 });
  assert.deepEqual(await rewrapKeys(repository, { add }), { changed: [], unchanged: [], copies: 0 });
  const [described] = await describeKeys(repository);
  assert.deepEqual(
    described?.recipients.map(({ type }) => type),
    ['raw', 'raw', 'age'],
  );
  assert.equal(described?.differsFromConfiguration, true);
  assert.deepEqual(await trusts(await home.open(rawB, 'b')), ['sealed']);
  const remove = { rawKey: Buffer.from('a1'.repeat(32), 'hex'), passphrases: [], recipients: [recipient] };
  // Killed between keys/ and the copies: the old copy lies there still.
  const copy = join(home.root, `backups/${manifest.id}/keys.json`);
  const oldCopy = readFileSync(copy);
  assert.equal((await rewrapKeys(await home.open(rawB, 'b'), { remove })).copies, 1);
  writeFileSync(copy, oldCopy);
  assert.deepEqual(await rewrapKeys(await home.open(rawB, 'b'), { remove }), { changed: [], unchanged: [], copies: 1 });
  assert.deepEqual(readFileSync(copy), readFileSync(join(home.root, `keys/${manifest.dataKey}.json`)));
  assert.deepEqual(await trusts(await home.open(rawA, 'c')), ['unchecked']);
  await assert.rejects(rewrapKeys(await home.open(rawB, 'b'), { remove: add }), {
    code: 'usage',
    message: /nobody|without anybody/,
  });
  assert.deepEqual(await trusts(await home.open(rawB, 'b')), ['sealed']);
});

test('creating refuses what is there, needs a key, and commits with repository.json', async () => {
  using home = testRepository();
  await assert.rejects(home.create(encryption({})), { code: 'key' });
  assert.equal(existsSync(join(home.root, 'repository.json')), false);
  await home.create(rawA);
  await assert.rejects(home.create(rawA), { code: 'usage', message: /already/ });
  assert.deepEqual(readdirSync(home.root).toSorted(), ['keys', 'repository.json', 'rescue'], 'the lease is gone');
  await backUp(await home.open(rawA), artifact);
  rmSync(join(home.root, 'repository.json'));
  await assert.rejects(home.open(rawA), { code: 'not_found' });
  await assert.rejects(home.create(rawA), { code: 'usage', message: /holds backups/ });
});
