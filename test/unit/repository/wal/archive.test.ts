import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import type { EncryptionConfig } from '../../../../src/config/config.ts';
import { newIdentity, recipientOf } from '../../../../src/repository/keys/age.ts';
import { BoxCipher } from '../../../../src/repository/box/cipher.ts';
import {
  boxKind,
  encodeDirectory,
  encodeTrailer,
  headerBytes,
  newHeader,
  tagBytes,
  type BoxKind,
} from '../../../../src/repository/box/layout.ts';
import { noChunkId } from '../../../../src/repository/box/chunk-id.ts';
import { openBoxFrames, openWholeBox } from '../../../../src/repository/box/box.ts';
import { sha256 } from '../../../../src/repository/box/crypto.ts';
import type { Repository } from '../../../../src/repository/repository.ts';
import { listHistories, listWal, listWalSystems, putWal, readWal } from '../../../../src/repository/wal/archive.ts';
import { sealWalBox } from '../../../../src/repository/wal/box.ts';
import { parseWalKey, parseWalName, walKey } from '../../../../src/repository/wal/names.ts';
import { collect, encryption, testRepository, type TestRepository } from '../../../helpers/repository/repository.ts';
import { parseHistory } from '../../../../src/source/postgres/wal/history.ts';

const rawKey = 'b2'.repeat(32);
const mib = 1024 * 1024;
const one = '000000010000000000000001';

async function made(
  config: EncryptionConfig,
): Promise<{
  home: TestRepository;
  repository: Repository;
  put: (name: string, body: Buffer, systemId?: string) => Promise<string>;
}> {
  const home = testRepository();
  after(() => home[Symbol.dispose]());
  const repository = await home.create(config);
  const sealing = await repository.writeKey();
  return {
    home,
    repository,
    put: async (name, body, systemId = '7001') =>
      (await putWal(repository, systemId, name, body, { sealing, compression: { method: 'zstd', level: 3 } })).outcome,
  };
}

test('names and keys of what the archive holds', () => {
  const keys: Record<string, string> = {
    '0000000A0000001F000000FE': 'wal/7/0000000A/0000001F/0000000A0000001F000000FE.wal',
    '0000000A0000001F000000FE.partial': 'wal/7/0000000A/0000001F/0000000A0000001F000000FE.partial.wal',
    '0000000A0000001F000000FE.0000001FFE000A28.partial':
      'wal/7/0000000A/0000001F/0000000A0000001F000000FE.0000001FFE000A28.partial.wal',
    '0000000A0000001F000000FE.00000028.backup': 'wal/7/history/0000000A0000001F000000FE.00000028.backup.wal',
    '0000000B.history': 'wal/7/history/0000000B.history.wal',
  };
  for (const [name, key] of Object.entries(keys)) {
    const parsed = parseWalName(name);
    assert.ok(parsed !== undefined, name);
    assert.equal(walKey('7', parsed), key);
    assert.deepEqual(parseWalKey(key), { systemId: '7', file: parsed });
  }
  for (const name of [
    '',
    one.slice(1),
    `${one}0`,
    one.replace('1', 'g'),
    `${one}.ready`,
    '1.history',
    `../${one}`,
    `${one}\n`,
  ]) {
    assert.equal(parseWalName(name), undefined, name);
  }
  assert.equal(parseWalKey(`wal/7/00000002/00000000/${one}.wal`), undefined, 'in a folder of another timeline');
});

for (const [name, config] of [
  ['a raw key', encryption({ key: rawKey })],
  ['a passphrase', encryption({ passphrase: 'seven words' })],
  ['no encryption', encryption({ enabled: false })],
] as const) {
  test(`what was put comes back; the same again is no news, another content is refused (${name})`, async () => {
    const { home, repository, put } = await made(config);
    const body = Buffer.concat([randomBytes(3 * mib), Buffer.alloc(13 * mib)]);
    assert.equal(await put(one, body), 'stored');
    assert.equal(await put(one, body), 'present');
    const other = Buffer.from(body);
    other[16 * mib - 1] = 1;
    await assert.rejects(put(one, other), { code: 'integrity', message: /with another content/ });
    assert.ok((await readWal(await home.open(config, 'b'), '7001', one)).equals(body));
    await assert.rejects(readWal(repository, '7001', one.replace(/1$/, '2')), { name: 'NotFoundError' });
    const history = Buffer.from('1\t0/3000158\tno recovery target specified\n\n2\t16/B374D848\tbefore 2026\n');
    await put('00000003.history', history);
    assert.deepEqual(parseHistory((await readWal(repository, '7001', '00000003.history')).toString(), 'x'), [
      { timeline: 1, switchLsn: 0x3000158n },
      { timeline: 2, switchLsn: 0x16b374d848n },
    ]);
    await assert.rejects(async () => put('00000003.history.wal', history), { code: 'usage' });
  });
}

test('of writers of one name at once, all that bring the same content succeed, and one content wins', async () => {
  const { put } = await made(encryption({ key: rawKey }));
  const bodies = [randomBytes(mib), randomBytes(mib)];
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, async (_, n) => put(one, bodies[n % 2] as Buffer)),
  );
  const [even, odd] = [0, 1].map((rest) => outcomes.filter((_, n) => n % 2 === rest).map(({ status }) => status));
  const winners = even?.includes('fulfilled') === true ? even : odd;
  assert.deepEqual([...new Set(winners)], ['fulfilled']);
  assert.deepEqual([...new Set(winners === even ? odd : even)], ['rejected']);
});

test('flipped bytes, truncation, renaming, a swapped system: damage, never content', async () => {
  const { home, repository, put } = await made(encryption({ key: rawKey }));
  const two = one.replace(/1$/, '2');
  await put(one, randomBytes(2 * mib));
  await put(two, randomBytes(2 * mib));
  const path = join(home.root, `wal/7001/00000001/00000000/${one}.wal`);
  const bytes = readFileSync(path);
  for (const at of [
    0,
    5,
    6,
    9,
    30,
    60,
    64,
    mib,
    bytes.length - 300,
    bytes.length - 100,
    bytes.length - 24,
    bytes.length - 1,
  ]) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] as number) ^ 0x10;
    for (const harmed of [flipped, bytes.subarray(0, at)]) {
      writeFileSync(path, harmed);
      await assert.rejects(
        readWal(repository, '7001', one),
        (error: { code: string }) => error.code === 'integrity' || (error.code === 'key' && at >= 8 && at < 24),
        `at ${at}`,
      );
    }
  }
  renameSync(path.replace(one, two), path);
  await assert.rejects(readWal(repository, '7001', one), { code: 'integrity', message: /was written as/ });
  const elsewhere = join(home.root, `wal/7002/00000001/00000000/${one}.wal`);
  mkdirSync(dirname(elsewhere), { recursive: true });
  writeFileSync(elsewhere, bytes);
  await assert.rejects(readWal(repository, '7002', one), { code: 'integrity', message: /was written as/ });
  writeFileSync(path, bytes);
  await readWal(repository, '7001', one);
  await assert.rejects(
    home.open(encryption({ key: 'c3'.repeat(32) }), 'b').then(async (opened) => readWal(opened, '7001', one)),
    { code: 'key' },
  );
});

test("frames of log bear zstd's checksum and no chunk id; one that is given counts", async () => {
  const parts = await sealWalBox(
    'wal/x',
    Buffer.concat([Buffer.alloc(mib, 'a'), randomBytes(mib)]),
    { dataKey: undefined, signer: undefined },
    { method: 'zstd', level: 3 },
  );
  const { frames } = openWholeBox(Buffer.concat(parts), boxKind.wal, 'wal/x', undefined);
  assert.deepEqual(
    frames.map(({ codec, chunkId }) => [codec, chunkId.equals(noChunkId)]),
    [
      [1, true],
      [0, true],
    ],
  );
  assert.equal((parts[1]?.[4] ?? 0) & 4, 4, 'the flag in the head of the frame, RFC 8878');
  const boxOf = (kind: BoxKind, chunkId: Buffer): Buffer => {
    const cipher = new BoxCipher(newHeader(kind, undefined, Buffer.alloc(0)), undefined);
    const frame = Buffer.alloc(1 + tagBytes);
    cipher.sealInto(frame, 0, 0, Buffer.from('x'));
    const directory = cipher.sealDirectory(
      1,
      encodeDirectory('wal/x', [
        { offset: headerBytes, storedLength: frame.length, plainLength: 1, codec: 0, chunkId },
      ]),
    );
    return Buffer.concat([
      cipher.header,
      frame,
      directory,
      encodeTrailer({ directoryOffset: headerBytes + frame.length, directoryLength: directory.length, frameCount: 1 }),
    ]);
  };
  const opens = async (kind: BoxKind, chunkId: Buffer): Promise<boolean> =>
    collect(openBoxFrames(boxOf(kind, chunkId), kind, 'wal/x', undefined)).then(
      () => true,
      () => false,
    );
  const right = sha256(Buffer.from('x'));
  assert.deepEqual(
    await Promise.all([
      opens(boxKind.wal, right),
      opens(boxKind.wal, noChunkId),
      opens(boxKind.wal, sha256()),
      opens(boxKind.document, right),
      opens(boxKind.document, noChunkId),
    ]),
    [true, true, false, true, false],
  );
});

test('under a public recipient only what a trusted writer signed is read, unless forced', async () => {
  const identity = await newIdentity();
  const recipients = [await recipientOf(identity)];
  const { home, repository, put } = await made(encryption({ recipients }));
  const body = randomBytes(mib);
  assert.deepEqual([await put(one, body), await put(one, body)], ['stored', 'present'], 'the writer knows its own');
  const stranger = await home.open(encryption({ identity }), 'b');
  await assert.rejects(readWal(stranger, '7001', one), { code: 'key', message: /is not trusted: it is signed by/ });
  assert.ok((await readWal(stranger, '7001', one, { force: true })).equals(body));
  const publicKey = (await repository.keyring?.signer())?.publicKey.toString('base64') ?? '';
  assert.ok(
    (await readWal(await home.open(encryption({ identity, trustedKeys: [publicKey] }), 'c'), '7001', one)).equals(body),
  );
});

test('listed by system and timeline, from any position on; foreign objects are passed over', async () => {
  const { home, repository, put } = await made(encryption({ enabled: false }));
  const names = [
    one,
    one.replace(/1$/, '2'),
    `${one.replace(/1$/, '3')}.0000000003000028.partial`,
    '000000010000000100000000',
    '000000020000000100000000',
    '00000002.history',
    `${one}.00000028.backup`,
  ];
  for (const name of names) await put(name, Buffer.from(name), '7001');
  await put(one, Buffer.from('x'), '70');
  await put(one, Buffer.from('x'), '70011');
  writeFileSync(join(home.root, `wal/7001/00000001/00000000/${one}.wal.bak`), '');
  const { storage } = repository;
  assert.deepEqual(await listWalSystems(storage), ['70', '7001', '70011']);
  const listed = async (options: object): Promise<string[]> =>
    (await collect(listWal(storage, '7001', options))).map(({ file }) => file.name);
  assert.deepEqual((await listed({})).toSorted(), names.toSorted());
  assert.deepEqual(await listed({ timeline: 1 }), names.slice(0, 4));
  assert.deepEqual(await listed({ timeline: 1, from: one.replace(/1$/, '2') }), names.slice(1, 4));
  assert.deepEqual(await listed({ timeline: 3 }), []);
  assert.deepEqual(
    (await listHistories(storage, '7001')).map(({ file }) => file.timeline),
    [2],
  );
});
