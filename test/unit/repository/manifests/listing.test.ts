import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AbortedError, LifeboatError } from '../../../../src/lib/errors.ts';
import { findVanished } from '../../../../src/repository/deletion/vanished.ts';
import { readFacts } from '../../../../src/repository/backups/facts.ts';
import type { Manifest } from '../../../../src/repository/manifests/manifest.ts';
import { StorageError } from '../../../../src/storage/storage.ts';
import { openRecord, sealRecord } from '../../../../src/repository/keys/sealed-records.ts';
import { sealDocument } from '../../../../src/repository/box/seal.ts';
import { streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, collect, encryption, testRepository } from '../../../helpers/repository/repository.ts';
import type { ResolveOptions } from '../../../../src/repository/manifests/resolve.ts';
import { manifestKey } from '../../../../src/repository/object-keys.ts';

const config = encryption({ key: 'a1'.repeat(32) });
const home = testRepository();
after(() => home[Symbol.dispose]());
const repository = await home.create(config);
const key = await repository.writeKey();
const startMs = Date.parse('2026-03-01T00:00:00Z');
const main: Manifest[] = [];
for (let day = 0; day < 4; day++) {
  main.push(
    await backUp(repository, [streamArtifact('x.bin', [Buffer.from(`day ${day}`)])], {
      at: new Date(startMs + day * 86_400_000),
    }),
  );
}
const other = await backUp(repository, [streamArtifact('x.bin', [])], {
  target: 'other',
  at: new Date(startMs + 5 * 86_400_000),
});
const [, , second, newest] = main;
if (second === undefined || newest === undefined) throw new Error('unreachable');
const file = (id: string): string => join(home.root, manifestKey(id));

test('backups come newest first, or oldest first', async () => {
  const ids = async (order: 'newest-first' | 'oldest-first'): Promise<string[]> =>
    (await collect(repository.listManifests({ order }))).map(({ id }) => id);
  assert.deepEqual(
    await ids('newest-first'),
    [other, ...main.toReversed()].map(({ id }) => id),
  );
  assert.deepEqual(
    await ids('oldest-first'),
    [...main, other].map(({ id }) => id),
  );
});

test('latest, latest~n, full ids and unique prefixes, within the target', async () => {
  const found = async (text: string, target?: string): Promise<string> =>
    (await repository.resolve(text, { target })).backup.id;
  assert.equal(await found('latest', 'main'), newest.id);
  assert.equal(await found('latest~1', 'main'), second.id);
  assert.equal(await found('latest'), other.id);
  assert.equal(await found(newest.id.slice(0, 10), 'main'), newest.id);
  assert.equal(await found(newest.id, 'main'), newest.id);
  assert.equal((await repository.resolve(newest.id.slice(0, 10))).byFullId, false);
  await assert.rejects(found('latest~4', 'main'), { code: 'not_found', message: /it has 4 that count/ });
  await assert.rejects(found('2026', 'main'), { code: 'usage', message: /begins the ids of 4 backups/ });
  assert.equal(await found('2026', 'other'), other.id);
  await assert.rejects(found(other.id, 'main'), { code: 'not_found', message: /target other, not of main/ });
  await assert.rejects(found('latest:proven'), { code: 'usage' });
  assert.equal(
    (await repository.resolve('latest:proven', { target: 'main', isProven: async ({ id }) => id === second.id })).backup
      .id,
    second.id,
  );
  assert.equal(
    (await repository.resolve('latest', { target: 'main', kinds: newest.components.map(({ kind }) => kind) })).backup
      .id,
    newest.id,
  );
  await assert.rejects(repository.resolve('latest', { target: 'main', kinds: ['base'] }), {
    code: 'not_found',
    message: /hold base/,
  });
});

test('an unknown id names the nearest; hostile ones reach no object', async () => {
  const mistyped = `${newest.id.slice(0, -1)}${newest.id.endsWith('0') ? '1' : '0'}`;
  await assert.rejects(
    repository.resolve(mistyped),
    (error: { code: string; hint: string }) =>
      error.code === 'not_found' && error.hint.startsWith(`nearest: ${newest.id}`),
  );
  for (const text of ['../repository', '', 'late', 'latest~', 'latest~-1', 'x/../../etc']) {
    await assert.rejects(
      repository.resolve(text),
      (error: { code: string }) => error.code === 'not_found' || error.code === 'usage',
    );
  }
});

test('facts open only as what the manifest says', async () => {
  assert.deepEqual(await readFacts(repository, newest), { of: newest.id });
  await assert.rejects(readFacts(repository, { ...newest, factsSha256: '0'.repeat(64) }), { code: 'integrity' });
});

test('every flipped bit of a manifest makes it damaged; the others are listed, and it stays the latest', async () => {
  const bytes = readFileSync(file(newest.id));
  try {
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      writeFileSync(file(newest.id), flipped);
      const listed = await repository.readManifest(newest.id);
      // A change in the data key's id names a key that does not exist: not damaged by its look, but not trusted either.
      assert.ok(
        listed.trust === 'damaged' || (listed.trust === 'unchecked' && listed.manifest?.dataKey !== newest.dataKey),
        `byte ${at} of ${bytes.length}: ${listed.trust}`,
      );
    }
    const trust = Object.fromEntries((await collect(repository.listManifests())).map((each) => [each.id, each.trust]));
    assert.deepEqual(trust, {
      ...Object.fromEntries([other, ...main].map(({ id }) => [id, 'sealed'])),
      [newest.id]: 'damaged',
    });
    const idOf = async (text: string, options: ResolveOptions): Promise<string> =>
      (await repository.resolve(text, options)).backup.id;
    assert.equal(await idOf('latest', { target: 'main' }), newest.id);
    assert.equal(await idOf('latest~1', { target: 'main' }), second.id);
    // Only its name is left to say that it is none of these.
    assert.equal(await idOf('latest', { target: 'other' }), other.id);
    await assert.rejects(repository.resolve('latest', { kinds: ['redis'] }), { code: 'not_found' });
    const proven = await repository.resolve('latest:proven', { target: 'main', isProven: async () => true });
    assert.equal(proven.backup.id, second.id);
    assert.deepEqual(
      proven.passedOver.map(({ id }) => id),
      [newest.id],
    );
  } finally {
    writeFileSync(file(newest.id), bytes);
  }
});

test('a manifest under another name, of elsewhere or with contradictions is refused although sealed', async () => {
  const id = '20260401T000000Z-main-files-00000000';
  const { components, ...head } = { ...newest, id };
  const [component] = components;
  const [artifact] = component?.artifacts ?? [];
  if (component === undefined || artifact === undefined) throw new Error('unreachable');
  const withArtifacts = (artifacts: object[]): object => ({ ...head, components: [{ ...component, artifacts }] });
  const renamed = {
    ...artifact,
    index: artifact.index.map((part, k) => ({ ...part, object: `backups/${id}/${artifact.name}.${k}.index` })),
  };
  const faults: [object, RegExp][] = [
    [{ ...newest }, /it is the manifest of/],
    [{ ...withArtifacts([renamed]), repository: '00000000-0000-4000-8000-000000000000' }, /belongs to repository/],
    [{ ...withArtifacts([renamed]), format: 2 }, /format 2 is newer/],
    [{ ...withArtifacts([renamed]), extra: true }, /it is not a manifest/],
    [{ ...withArtifacts([renamed]), dataKey: undefined }, /names no data key/],
    [withArtifacts([artifact]), /index part 0 of x.bin is named/],
    [withArtifacts([renamed, renamed]), /two artifacts named/],
    [withArtifacts([{ ...renamed, chunks: 9 }]), /do not add up/],
    [withArtifacts([{ ...renamed, name: '../x' }]), /it is not a manifest/],
  ];
  try {
    for (const [members, reason] of [...faults, [withArtifacts([renamed]), /^undefined$/] as const]) {
      writeFileSync(file(id), sealDocument(members, key.dataKey, key.signer));
      const listed = await repository.readManifest(id);
      assert.match(String(listed.reason), reason);
      assert.equal(listed.trust, String(listed.reason) === 'undefined' ? 'sealed' : 'damaged');
    }
  } finally {
    rmSync(file(id));
  }
});

test('what is no manifest in manifests/ is shown, not passed over', async () => {
  writeFileSync(join(home.root, 'manifests/README.json'), '{}');
  writeFileSync(join(home.root, 'manifests/.hidden'), '');
  const odd = (await collect(repository.listManifests())).filter(({ trust }) => trust !== 'sealed');
  assert.deepEqual(
    odd.map(({ id, trust }) => [id, trust]),
    [['README', 'damaged']],
  );
  rmSync(join(home.root, 'manifests/README.json'));
});

test('trash is listed the same way', async () => {
  mkdirSync(join(home.root, 'trash'));
  copyFileSync(file(second.id), join(home.root, `trash/${second.id}.json`));
  assert.deepEqual(
    (await collect(repository.listManifests({ folder: 'trash/' }))).map(({ id, trust }) => [id, trust]),
    [[second.id, 'sealed']],
  );
});

test('the state folder remembers what was seen, newest first, and notices what is gone', async () => {
  const gone = async (): Promise<string[]> => (await findVanished(repository, 'main')).map(({ id }) => id);
  assert.deepEqual(await gone(), []);
  assert.equal((await repository.seen.newest('main'))?.id, newest.id);
  for (const { id } of [newest, second]) renameSync(file(id), join(home.root, `${id}.kept`));
  // The second one's copy lies in trash.
  assert.deepEqual(await gone(), [newest.id]);
  rmSync(join(home.root, `trash/${second.id}.json`));
  assert.deepEqual(await gone(), [newest.id, second.id]);
  for (const { id } of [newest, second]) renameSync(join(home.root, `${id}.kept`), file(id));
  assert.deepEqual(await gone(), []);
  assert.deepEqual(await findVanished(repository, 'never backed up'), []);
});

test('a record opens under its own name only', async () => {
  const object = `notes/${newest.id}/20260401T000000Z-0a0a.json`;
  const bytes = sealRecord(object, { hold: true }, key);
  const opened = await openRecord(bytes, object, repository.keyring);
  assert.deepEqual([opened.members['hold'], opened.authenticity], [true, 'authentic']);
  await assert.rejects(openRecord(bytes, object.replace('0a0a', '0a0b'), repository.keyring), {
    code: 'integrity',
    message: /it was written as/,
  });
});

test('a draft that no reader would take is not published', async () => {
  const { format: _format, repository: _repository, dataKey: _dataKey, ...draft } = newest;
  await assert.rejects(repository.publishManifest({ ...draft, id: '20260401T000000Z-main-files-00000001' }, key), {
    code: 'integrity',
  });
  await assert.rejects(repository.readManifest('20260401T000000Z-main-files-00000001'), { code: 'not_found' });
  await assert.rejects(repository.publishManifest(draft, key), { name: 'AlreadyExistsError' });
});

test('a lease or pack lost while the manifest was put: it is taken back, and nothing remembers it', async () => {
  const { format: _format, repository: _repository, dataKey: _dataKey, ...rest } = newest;
  const id = '20260401T000000Z-main-files-00000002';
  const draft = {
    ...rest,
    id,
    startedAt: '2026-04-01T00:00:00.000Z',
    components: rest.components.map((component) => ({ ...component, artifacts: [] })),
  };
  for (const failAt of [1, 2]) {
    let calls = 0;
    const seen: boolean[] = [];
    const stillHolds = async (): Promise<void> => {
      seen.push(existsSync(file(id)));
      if (++calls === failAt) throw new LifeboatError('locked', 'lost');
    };
    await assert.rejects(repository.publishManifest(draft, key, stillHolds), /lost/);
    assert.deepEqual(seen, [false, true].slice(0, failAt));
    assert.equal(existsSync(file(id)), false);
  }
  assert.equal((await repository.seen.newest('main'))?.id, newest.id);
});

test('stopped, or without an answer, once the manifest is there: the backup stays, with a warning', async () => {
  const { format: _format, repository: _repository, dataKey: _dataKey, ...rest } = newest;
  for (const [n, error] of [new AbortedError('SIGTERM'), new StorageError('gone', { retryable: true })].entries()) {
    const id = `20260402T00000${n}Z-main-files-0000000${n}`;
    const components = rest.components.map((component) => ({ ...component, artifacts: [] }));
    const draft = { ...rest, id, startedAt: `2026-04-02T00:00:0${n}.000Z`, components };
    const warnings: string[] = [];
    const stillHolds = async (): Promise<void> => {
      if (existsSync(file(id))) throw error;
    };
    await repository.publishManifest(draft, key, stillHolds, (message) => warnings.push(message));
    assert.equal((await repository.readManifest(id)).manifest?.id, id);
    assert.equal((await repository.seen.newest('main'))?.id, id);
    assert.match(warnings.join(), new RegExp(`${id} is stored.*${error.message}`));
  }
});
