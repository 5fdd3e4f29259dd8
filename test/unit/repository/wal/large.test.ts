/** Files of log that are stored in parts: what comes back is what was given, and half of it is nothing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { EncryptionConfig } from '../../../../src/config/config.ts';
import type { Repository } from '../../../../src/repository/repository.ts';
import { listWal, openWal, putWal, readWal } from '../../../../src/repository/wal/archive.ts';
import type { PutWal } from '../../../../src/repository/wal/put-box.ts';
import { isZero } from '../../../../src/lib/zeros.ts';
import { openWalBox } from '../../../../src/repository/wal/box.ts';
import { encodeList, parseList, partBytes, type WalBody } from '../../../../src/repository/wal/large.ts';
import { unfinishedName } from '../../../../src/repository/wal/names.ts';
import { WalJudge } from '../../../../src/repository/wal/retention.ts';
import { collect, encryption, testRepository, type TestRepository } from '../../../helpers/repository/repository.ts';

const rawKey = 'b2'.repeat(32);
const mib = 1024 * 1024;
const name = '000000010000000000000001';
const folder = 'wal/7001/00000001/00000000';

interface Made {
  readonly home: TestRepository;
  readonly repository: Repository;
  put(body: Uint8Array | WalBody, as?: string): Promise<PutWal>;
}

async function made(config: EncryptionConfig = encryption({ key: rawKey })): Promise<Made> {
  const home = testRepository();
  after(() => home[Symbol.dispose]());
  const repository = await home.create(config);
  const sealing = await repository.writeKey();
  const options = { sealing, compression: { method: 'zstd', level: 1 } } as const;
  return { home, repository, put: async (body, as = name) => putWal(repository, '7001', as, body, options) };
}

/** What is read is held once only, as a push does it. */
function bodyOf(bytes: number, fill: (piece: Buffer, at: number) => void): WalBody {
  const room = Buffer.alloc(partBytes);
  return {
    bytes,
    read: async (start, end) => {
      const piece = room.subarray(0, end - start);
      fill(piece, start);
      return Promise.resolve(piece);
    },
  };
}

const seed = randomBytes(4096);
const text = bodyOf(40 * mib, (piece, at) => piece.fill(seed).writeUInt32LE(at, 0));

async function sumIn(pieces: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

for (const [what, config] of [
  ['encrypted', encryption({ key: rawKey })],
  ['not encrypted', encryption({ enabled: false })],
] as const) {
  test(`what comes back is what was given, ${what}`, async () => {
    const { home, repository, put } = await made(config);
    assert.equal((await put(text)).outcome, 'stored');
    assert.equal((await put(text)).outcome, 'present');
    const whole = await readWal(repository, '7001', name);
    assert.equal(whole.length, 40 * mib);
    assert.ok(whole.subarray(4, 4096).equals(seed.subarray(4)));
    assert.deepEqual(
      [16, 32].map((at) => whole.readUInt32LE(at * mib)),
      [16 * mib, 32 * mib],
    );
    const opened = await openWal(repository, '7001', name);
    assert.deepEqual([opened.bytes, opened.parts.length], [40 * mib, 3]);
    assert.equal(await sumIn(opened.pieces()), createHash('sha256').update(whole).digest('hex'));
    const listed = await collect(listWal(repository.storage, '7001'));
    assert.deepEqual(
      listed.map(({ file }) => file.name),
      [name],
      'one segment, and no word of its parts',
    );
    assert.equal((await collect(listWal(repository.storage, '7001', { withParts: true }))).length, 4);
    const script = new URL('../../../../src/repository/rescue/rescue.mjs', import.meta.url).pathname;
    const out = join(home.folder, 'out');
    const key = join(home.folder, 'key');
    writeFileSync(key, rawKey);
    const args = ['extract', home.root, 'wal', out, ...(what === 'encrypted' ? ['--key-file', key] : [])];
    const run = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    assert.ok(readFileSync(join(out, '7001', name)).equals(whole), 'the script gives the same');
  });
}

test('as many parts as the largest segment of PostgreSQL has, and no more', async () => {
  const sums = (count: number): string[] => Array<string>(count).fill('ab'.repeat(32));
  assert.equal(parseList(encodeList(1024 * mib, sums(64)), 'x').sha256.length, 64);
  for (const list of [encodeList(1040 * mib, sums(65)), encodeList(1024 * mib, sums(63)), Buffer.from('{}')]) {
    assert.throws(() => parseList(list, 'x'), { code: 'integrity' });
  }
  const { repository, put } = await made();
  const numbered = bodyOf(144 * mib, (piece, at) => piece.fill(0).writeUInt32LE(at, 0));
  await put(numbered);
  const { bytes, parts, pieces } = await openWal(repository, '7001', name);
  assert.deepEqual([bytes, parts.length], [144 * mib, 8], 'the first is of zeros');
  let at = 0;
  for await (const piece of pieces()) {
    assert.equal(piece.readUInt32LE(0), at);
    at += piece.length;
  }
  assert.equal(at, bytes);
});

test('what is nothing but zeros is not stored, and comes back', async () => {
  const { repository, put } = await made();
  const early = bodyOf(1024 * mib, (piece, at) => (at === 0 ? piece.fill(seed) : piece.fill(0)));
  const { storedBytes } = await put(early);
  assert.ok(storedBytes < mib / 8, `${storedBytes} bytes`);
  const objects = await collect(listWal(repository.storage, '7001', { withParts: true }));
  assert.deepEqual(
    objects.map(({ file }) => file.kind),
    ['part', 'segment'],
  );
  assert.equal((await put(early)).outcome, 'present');
  let bytes = 0;
  for await (const piece of (await openWal(repository, '7001', name)).pieces()) {
    assert.equal(isZero(piece), bytes > 0);
    bytes += piece.length;
  }
  assert.equal(bytes, 1024 * mib);
});

test('of an unfinished segment full parts are the segment’s own, and only what grows is stored anew', async () => {
  const { home, repository, put } = await made();
  const upTo = async (filledBytes: number): Promise<string> => {
    const whole = bodyOf(64 * mib, (piece, at) => piece.fill(seed).writeUInt32LE(at + 1, 0));
    const read: WalBody['read'] = async (start, end) =>
      Buffer.from((await whole.read(start, end)).fill(0, Math.max(0, Math.min(end, filledBytes) - start)));
    const unfinished = unfinishedName(name, BigInt(64 * mib + filledBytes));
    await put({ bytes: 64 * mib, filledBytes, read }, unfinished);
    const content = Buffer.concat(await collect((await openWal(repository, '7001', unfinished)).pieces()));
    assert.equal(content.length, 64 * mib);
    assert.equal(content.findLastIndex((byte) => byte !== 0) + 1, filledBytes);
    return unfinished;
  };
  const names = async (): Promise<string[]> =>
    (await collect(listWal(repository.storage, '7001', { withParts: true }))).map(({ file }) => file.name);
  const [short, long] = [await upTo(20 * mib - 96), await upTo(33 * mib)];
  const [first, second] = [`${name}.part00`, `${name}.part01`];
  assert.deepEqual(await names(), [`${short}.part01`, short, `${long}.part02`, long, first, second]);

  // The rescue script knows them, too.
  const [folderOut, script] = [join(home.root, '..', 'rescued'), '../../../../src/repository/rescue/rescue.mjs'];
  mkdirSync(folderOut);
  const words = ['extract', '--key-file', join(home.root, '..', 'key'), home.root, 'wal', folderOut];
  writeFileSync(join(home.root, '..', 'key'), rawKey);
  const ran = spawnSync(process.execPath, [new URL(script, import.meta.url).pathname, ...words], { encoding: 'utf8' });
  assert.equal(ran.status, 0, ran.stderr);
  const rescued = readFileSync(join(folderOut, '7001', name));
  assert.ok(rescued.equals(Buffer.concat(await collect((await openWal(repository, '7001', long)).pieces()))));

  const group = await collect(listWal(repository.storage, '7001', { withParts: true }));
  const rules = { bases: [], histories: new Map([[1, []]]), keepSinceMs: 0, beforeMs: Infinity };
  const verdicts = new WalJudge(rules).judgeSegment(group);
  assert.deepEqual(verdicts, ['goes', 'goes', 'stays', 'stays', 'stays', 'stays']);

  rmSync(join(home.root, folder, `${short}.part01.wal`));
  await assert.rejects(openWal(repository, '7001', short), { name: 'NotFoundError' }, 'it was replaced');
  rmSync(join(home.root, folder, `${first}.wal`));
  await assert.rejects(readWal(repository, '7001', long), { code: 'integrity', message: /part00\.wal is missing/ });
});

test('a version that does not know parts refuses the segment, and does not call it absent', async () => {
  const { home, repository, put } = await made();
  await put(text);
  const object = `${folder}/${name}.wal`;
  await assert.rejects(openWalBox(readFileSync(join(home.root, object)), object, repository.keyring), {
    code: 'integrity',
    message: /box of kind 5/,
  });
});

test('parts that are lost, cut, exchanged or another one’s are named; half of a segment is none', async () => {
  const { home, repository, put } = await made();
  await put(text);
  await put(text, '000000010000000000000002');
  const part = (n: number, of = name): string => join(home.root, folder, `${of}.part0${n}.wal`);
  const kept = readFileSync(part(1));
  const harms: Readonly<Record<string, () => void>> = {
    lost: () => rmSync(part(1)),
    cut: () => truncateSync(part(1), kept.length - 1),
    exchanged: () => copyFileSync(part(0), part(1)),
    'of another segment': () => copyFileSync(part(1, '000000010000000000000002'), part(1)),
  };
  for (const [what, harm] of Object.entries(harms)) {
    harm();
    await assert.rejects(readWal(repository, '7001', name), { code: 'integrity', message: /\.part01\.wal/ }, what);
    writeFileSync(part(1), kept);
  }
  await readWal(repository, '7001', name);
  rmSync(join(home.root, folder, `${name}.wal`));
  await assert.rejects(readWal(repository, '7001', name), { name: 'NotFoundError' });
  assert.equal((await put(text)).outcome, 'stored', 'a push that was cut short is taken up');
});

test('another content is refused at its first part, and nothing changes', async () => {
  const { home, repository, put } = await made();
  await put(text);
  const before = readFileSync(join(home.root, folder, `${name}.part00.wal`));
  const other = bodyOf(40 * mib, (piece) => piece.fill(7));
  await assert.rejects(put(other), { code: 'integrity', message: /with another content/ });
  assert.deepEqual(readFileSync(join(home.root, folder, `${name}.part00.wal`)), before);
  await readWal(repository, '7001', name);
});

test('a cleanup takes parts with their segment, and keeps them with it', async () => {
  const { repository, put } = await made();
  await put(text);
  const group = await collect(listWal(repository.storage, '7001', { withParts: true }));
  const judge = (keepSinceMs: number): string[] =>
    new WalJudge({ bases: [], histories: new Map([[1, []]]), keepSinceMs, beforeMs: Infinity }).judgeSegment(group);
  assert.deepEqual(new Set(judge(Infinity)), new Set(['goes']));
  assert.deepEqual(new Set(judge(-Infinity)), new Set(['stays']));
});
