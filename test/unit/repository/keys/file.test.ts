import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newIdentity, recipientOf } from '../../../../src/repository/keys/age.ts';
import {
  encodeKeyFile,
  newDataKey,
  openKeyFile,
  parseKeyFile,
  wrapDataKey,
  type KeyEntry,
} from '../../../../src/repository/keys/file.ts';
import { openStretched } from '../../../../src/repository/keys/stretch.ts';
import type { KeyMaterial } from '../../../../src/repository/keys/material.ts';
import { sealDocument } from '../../../../src/repository/box/seal.ts';

const none: KeyMaterial = { rawKey: undefined, passphrases: [], identities: [], recipients: [], trustedKeys: [] };
const raw: KeyMaterial = { ...none, rawKey: Buffer.alloc(32, 5) };
const phrase: KeyMaterial = { ...none, passphrases: ['f\u00fcnf B\u00e4lle'] };
const identity = await newIdentity();
const age: KeyMaterial = { ...none, identities: [identity], recipients: [await recipientOf(identity)] };
const dataKey = newDataKey();
const id = dataKey.id.toString('hex');
const createdAt = '2026-01-02T03:04:05.000Z';
const object = `keys/${id}.json`;

async function fileFor(...materials: KeyMaterial[]): Promise<Buffer> {
  const recipients: KeyEntry[] = [];
  for (const material of materials) recipients.push(...(await wrapDataKey(dataKey, material)));
  return encodeKeyFile({ id, createdAt, recipients }, dataKey, undefined);
}

const open = async (bytes: Buffer, material: KeyMaterial): ReturnType<typeof openKeyFile> =>
  openKeyFile(parseKeyFile(bytes, object, id), material);

test('each kind of recipient opens it, and it is known by which', async () => {
  const bytes = await fileFor(raw, phrase, age);
  for (const [material, openedBy] of [
    [raw, 'raw'],
    [phrase, 'passphrase'],
    [age, 'age'],
  ] as const) {
    assert.deepEqual(await open(bytes, material), { dataKey, openedBy });
  }
  assert.equal(
    (await open(bytes, { ...raw, ...age, rawKey: raw.rawKey }))?.openedBy,
    'raw',
    'the kind that needs no signature comes first',
  );
});

test('other keys do not', async () => {
  const bytes = await fileFor(raw, phrase, age);
  for (const material of [
    none,
    { ...none, rawKey: Buffer.alloc(32, 6) },
    { ...none, passphrases: ['f\u00fcnf'] },
    { ...none, identities: [await newIdentity()] },
  ]) {
    assert.equal(await open(bytes, material), undefined);
  }
});

test('a recipient of which only the public part is known cannot open it', async () => {
  assert.equal(await open(await fileFor(age), { ...age, identities: [] }), undefined);
});

test('a flipped bit anywhere yields no key', async () => {
  const bytes = await fileFor(raw);
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] as number) ^ 1;
    let opened: Awaited<ReturnType<typeof openKeyFile>>;
    try {
      opened = await open(flipped, raw);
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'integrity', `byte ${at}: ${String(error)}`);
      continue;
    }
    assert.equal(opened, undefined, `byte ${at} of ${bytes.length} was changed without being noticed`);
  }
});

test('every truncation is refused', async () => {
  const bytes = await fileFor(raw);
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => parseKeyFile(bytes.subarray(0, length), object, id), { code: 'integrity' });
  }
});

test('unknown members, formats, names and other scrypt parameters are refused even under a right seal', async () => {
  const recipients = await wrapDataKey(dataKey, raw);
  const [stretched] = await wrapDataKey(dataKey, phrase);
  const members = { format: 1, id, createdAt, recipients };
  const faults: [object, RegExp][] = [
    [{ ...members, format: 2 }, /format 2 is unknown/],
    [{ ...members, more: 1 }, /not a key file/],
    [{ ...members, recipients: [{ ...recipients[0], N: 2 }] }, /not a key file/],
    [{ ...members, recipients: [{ ...stretched, N: 1024 }] }, /not a key file/],
    [{ ...members, recipients: [{ type: 'rot13', wrapped: '' }] }, /not a key file/],
    [{ ...members, recipients: [] }, /not a key file/],
    [{ ...members, id: '0'.repeat(32) }, /it is the key file of 0000/],
  ];
  for (const [document, message] of faults) {
    assert.throws(() => parseKeyFile(sealDocument(document, dataKey, undefined, 'key-file'), object, id), {
      code: 'integrity',
      message,
    });
  }
});

test('an entry moved under another data key does not open', async () => {
  const other = newDataKey();
  const moved = encodeKeyFile(
    { id: other.id.toString('hex'), createdAt, recipients: await wrapDataKey(dataKey, raw) },
    other,
    undefined,
  );
  assert.equal(await openKeyFile(parseKeyFile(moved, object, undefined), raw), undefined);
});

test('who knows a public recipient cannot pass a key of his own off as this one', async () => {
  const forged = { id: dataKey.id, key: Buffer.alloc(32, 1) };
  const file = parseKeyFile(
    encodeKeyFile({ id, createdAt, recipients: await wrapDataKey(forged, age) }, dataKey, undefined),
    object,
    id,
  );
  await assert.rejects(openKeyFile(file, age), { code: 'integrity', message: /seal does not match/ });
});

test('more entries for passphrases than a person would make are refused before any is tried', async () => {
  const [entry] = await wrapDataKey(dataKey, phrase);
  assert.ok(entry !== undefined);
  const recipients = Array.from({ length: 1000 }, (_, n) => ({ ...entry, scryptSalt: saltOf(n) }));
  const bytes = encodeKeyFile({ id, createdAt, recipients }, dataKey, undefined);
  await assert.rejects(open(bytes, phrase), {
    code: 'integrity',
    message: /it has 1000 entries for passphrases, over the limit of 16/,
  });
});

test('a process that has stretched its passphrase for nothing too often says so, and opens what it knows', async () => {
  const budget = { left: 2 };
  const attempt = async (n: number): Promise<unknown> =>
    openStretched('in vain', Buffer.from(saltOf(n), 'base64'), id, () => undefined, budget);
  for (const n of [1, 2, 1]) assert.equal(await attempt(n), undefined);
  await assert.rejects(attempt(3), { code: 'key', message: /is not tried/, hint: /move key files/ });
  assert.equal(await attempt(2), undefined, 'this costs nothing more');
});

function saltOf(n: number): string {
  return Buffer.alloc(16, String(n)).toString('base64');
}
