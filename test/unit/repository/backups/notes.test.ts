/** Notes: the greatest name wins, each holds all that is said, and only authentic ones count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newIdentity, recipientOf } from '../../../../src/repository/keys/age.ts';
import { sealRecord } from '../../../../src/repository/keys/sealed-records.ts';
import { allNoteNames, readNotes, writeNote } from '../../../../src/repository/backups/notes.ts';
import { signerFromSeed } from '../../../../src/repository/box/signing.ts';
import { streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository } from '../../../helpers/repository/repository.ts';

const at = (second: number): Date => new Date(Date.UTC(2026, 0, 2, 3, 4, second));
const content = [streamArtifact('one', [Buffer.from('content')])];

test('what is left out of a change stays as it was; two in one second are in order', async () => {
  using home = testRepository();
  const repository = await home.create(encryption({ key: '0f'.repeat(32) }));
  const manifest = await backUp(repository, content);
  await writeNote(repository, manifest, { hold: { reason: 'court' }, addTags: ['a', 'b'] }, at(1));
  await writeNote(repository, manifest, { removeTags: ['a'], acknowledged: true }, at(1));
  await writeNote(repository, manifest, { hold: { reason: 'appeal' }, addTags: ['b'] }, at(1));
  const { note } = await readNotes(repository, manifest.id);
  assert.deepEqual(
    [note?.hold, note?.tags, note?.acknowledged],
    [{ since: at(1).toISOString(), reason: 'appeal' }, ['b'], true],
  );
  // By a clock that is behind.
  await writeNote(repository, manifest, { hold: null }, at(0));
  assert.equal((await readNotes(repository, manifest.id)).note?.hold, undefined);
  const names = (await allNoteNames(repository)).get(manifest.id) ?? [];
  assert.equal(names.length, 4);
  assert.match(names[0] ?? '', new RegExp(`^notes/${manifest.id}/20260102T030401Z-[0-9a-f]{4}\\.json$`));
});

test('without encryption they are sealed too; a changed one does not count, and that is told', async () => {
  using home = testRepository();
  const repository = await home.create(encryption({ enabled: false }));
  const manifest = await backUp(repository, content);
  const note = await writeNote(repository, manifest, { hold: { reason: '' } }, at(1));
  const later = `notes/${manifest.id}/20260102T030405Z-0000.json`;
  await repository.storage.put(later, [
    Buffer.from((await repository.storage.get(note.object)).toString().replace('"hold"', '"told"')),
  ]);
  const read = await readNotes(repository, manifest.id);
  assert.deepEqual(read.note?.hold, { since: at(1).toISOString(), reason: '' });
  assert.deepEqual(
    read.passedOver.map(({ object, damaged }) => [object, damaged]),
    [[later, true]],
  );
  assert.match(read.passedOver[0]?.reason ?? '', /seal does not match/);
});

test("where only a recipient opens the key, a stranger's note is passed over and asks for nothing", async () => {
  using home = testRepository();
  const identity = await newIdentity();
  const config = encryption({ identity, recipients: [await recipientOf(identity)] });
  const repository = await home.create(config);
  const manifest = await backUp(repository, content);
  await writeNote(repository, manifest, { hold: { reason: 'ours' } }, at(1));
  const { dataKey } = await repository.writeKey();
  const forged = `notes/${manifest.id}/20270101T000000Z-ffff.json`;
  const members = { at: at(2).toISOString(), host: 'x', user: 'x', tags: [], acknowledged: false };
  for (const [n, signer] of [signerFromSeed(Buffer.alloc(32, 9)), undefined].entries()) {
    const object = forged.replace('ffff', `fff${n}`);
    await repository.storage.put(object, [sealRecord(object, members, { dataKey, signer })]);
  }
  const { note, passedOver } = await readNotes(await home.open(config), manifest.id);
  assert.equal(note?.hold?.reason, 'ours');
  assert.deepEqual(
    passedOver.map(({ damaged }) => damaged),
    [false, false],
  );
});

const last = '99991231T235959Z-ffff';

test('a planted note of the last moment there is takes no later one its name', async () => {
  using home = testRepository();
  const repository = await home.create(encryption({ key: '0f'.repeat(32) }));
  const manifest = await backUp(repository, content);
  const planted = `notes/${manifest.id}/${last}.json`;
  const stranger = { dataKey: { id: Buffer.alloc(16, 7), key: Buffer.alloc(32) }, signer: undefined };
  const said = { at: at(0).toISOString(), host: 'x', user: 'x', tags: [], acknowledged: false };
  await repository.storage.put(planted, [sealRecord(planted, said, stranger)]);
  const hold = await writeNote(repository, manifest, { hold: { reason: 'court' } });
  assert.match(hold.object, new RegExp(`^notes/${manifest.id}/2\\d{7}T\\d{6}Z-[0-9a-f]{4}\\.json$`));
  assert.equal((await readNotes(repository, manifest.id)).note?.hold?.reason, 'court');
  await writeNote(repository, manifest, { addTags: ['kept'] });
  const { note, passedOver } = await readNotes(repository, manifest.id);
  assert.deepEqual([note?.hold?.reason, note?.tags], ['court', ['kept']]);
  assert.deepEqual(
    passedOver.map(({ object }) => object),
    [planted],
  );
});

test('without encryption one ahead of all clocks counts only if this host or a listed writer signed it', async () => {
  using home = testRepository();
  const repository = await home.create(encryption({ enabled: false }));
  const manifest = await backUp(repository, content);
  const release = `notes/${manifest.id}/${last}.json`;
  const said = { at: at(0).toISOString(), host: 'x', user: 'x', tags: [], acknowledged: false };
  const key = { dataKey: undefined, signer: signerFromSeed(Buffer.alloc(32, 9)) };
  await repository.storage.put(release, [sealRecord(release, said, key)]);
  await writeNote(repository, manifest, { hold: { reason: 'court' } });
  assert.equal((await readNotes(repository, manifest.id)).note?.hold?.reason, 'court');
  // By a clock of ours that was ahead: it goes on counting, and there is a later one.
  const ahead = await writeNote(repository, manifest, { hold: { reason: 'appeal' } }, new Date('2199-01-01'));
  assert.match(ahead.object, /\/21990101T000000Z-/);
  assert.equal((await readNotes(repository, manifest.id)).note?.hold?.reason, 'appeal');
  await writeNote(repository, manifest, { hold: null });
  assert.equal((await readNotes(repository, manifest.id)).note?.hold, undefined);
  await writeNote(repository, manifest, {}, new Date('9999-12-31T23:59:59Z'));
  await assert.rejects(writeNote(repository, manifest, {}), { code: 'usage', hint: /clock was wrong/ });
});
