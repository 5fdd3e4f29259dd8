/** What this host keeps for itself, when a file of it is torn: a full disk, or another hand. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ownPublicKey, ownSigner, RepositoryState } from '../../../src/repository/host-state.ts';
import { mostSeen, SeenBackups, type SeenBackup } from '../../../src/repository/seen-backups.ts';

let stateDir: string;
let folder: string;
let state: RepositoryState;
let seen: SeenBackups;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'host-state-'));
  folder = join(stateDir, 'repositories', 'r');
  mkdirSync(folder, { recursive: true });
  state = new RepositoryState(stateDir, 'r');
  seen = new SeenBackups(stateDir, 'r');
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const torn = ['', '{"seed": "abc', '{}', '[]', 'null', '{"seed": "AAAA"}', '{"id": 1}', '{"number": 9007199254740992}'];

test('a torn signing key ends the run with its name and the way out', { timeout: 10_000 }, async () => {
  const file = join(stateDir, 'signing-key.json');
  const told = { code: 'usage', message: /signing-key\.json, .* is damaged/, hint: /remove it: a new key is made/ };
  for (const text of torn) {
    writeFileSync(file, text);
    await assert.rejects(ownSigner(stateDir), told, text);
    await assert.rejects(ownPublicKey(stateDir), told, text);
  }
  rmSync(file);
  assert.deepEqual((await ownSigner(stateDir)).publicKey, await ownPublicKey(stateDir));
});

test('nor does a link that leads nowhere keep it going', { timeout: 10_000 }, async () => {
  symlinkSync('nowhere', join(stateDir, 'signing-key.json'));
  await assert.rejects(ownSigner(stateDir), { code: 'usage', message: /something is there that is not a file/ });
});

test('a torn memory is an error that names the file, never the same as none', async () => {
  const newest = { id: 'b', startedAt: '2026-01-01T00:00:00.000Z' };
  for (const text of torn) {
    for (const name of ['newest-main', 'audit-h', 'newest-data-key', 'own-data-key']) {
      writeFileSync(join(folder, `${name}.json`), text);
    }
    const told = (name: string): object => ({
      code: 'usage',
      message: new RegExp(`/${name}\\.json, .* is damaged`),
      hint: /remove that file/,
    });
    await assert.rejects(seen.all('main'), told('newest-main'), text);
    await assert.rejects(seen.remember('main', { ...newest, seal: '0'.repeat(64) }), told('newest-main'), text);
    await assert.rejects(state.newestAudit('h'), told('audit-h'), text);
    await assert.rejects(state.newestDataKey(), told('newest-data-key'), text);
    await assert.rejects(state.ownDataKey(), told('own-data-key'), text);
  }
});

test('what only spares time is made anew', async () => {
  writeFileSync(join(folder, 'opened-keys.json'), '[{"na');
  assert.equal(await state.cachedSecret('signing', 'phrase'), undefined);
  await state.cacheSecret('signing', 'phrase', Buffer.alloc(32, 1));
  assert.deepEqual(await state.cachedSecret('signing', 'phrase'), Buffer.alloc(32, 1));
});

test('state as older versions wrote it is read', async () => {
  const write = (name: string, value: object): void => writeFileSync(join(folder, name), JSON.stringify(value));
  const newest = { id: 'x', seal: 'a'.repeat(64), startedAt: '2026-01-01T00:00:00.000Z' };
  write('newest-main.json', newest);
  assert.deepEqual(await seen.all('main'), [newest]);
  const later = { ...newest, id: 'y', startedAt: '2026-01-02T00:00:00.000Z' };
  await seen.remember('main', later);
  await seen.remember('main', newest);
  assert.deepEqual(await seen.all('main'), [later, newest]);
  await seen.forget('main', new Set(['x', 'y']));
  assert.deepEqual(await seen.all('main'), []);
  write('audit-h.json', { host: 'h', number: 7, seal: 'a'.repeat(64) });
  assert.equal((await state.newestAudit('h'))?.number, 7);
  const createdAt = new Date().toISOString();
  write('newest-data-key.json', { id: 'b'.repeat(32), createdAt });
  assert.equal((await state.newestDataKey())?.createdAt, createdAt);
  write('own-data-key.json', { id: 'b'.repeat(32), key: Buffer.alloc(32, 5).toString('base64'), createdAt });
  assert.deepEqual((await state.ownDataKey())?.key, Buffer.alloc(32, 5));
});

test('so many backups are remembered, the newest ones', async () => {
  const of = (n: number): SeenBackup => ({
    id: `b${n}`,
    seal: 'a'.repeat(64),
    startedAt: new Date(n * 1000).toISOString(),
  });
  const all = Array.from({ length: mostSeen }, (_, n) => of(n)).toReversed();
  writeFileSync(join(folder, 'newest-full.json'), JSON.stringify({ ...all[0], before: all.slice(1) }));
  await seen.remember('full', of(mostSeen));
  const ids = (await seen.all('full')).map(({ id }) => id);
  assert.deepEqual([ids.length, ids[0], ids.at(-1)], [mostSeen, `b${mostSeen}`, 'b1']);
});
