/**
 * Files of a base backup as they are placed: content, listing, what is left out, and what happens when a disk fails.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LifeboatError } from '../../../../../src/lib/errors.ts';
import { BasePlacer } from '../../../../../src/source/postgres/base/placer.ts';
import { readTar, type TarEntry } from '../../../../../src/source/postgres/base/tar.ts';

const folder = mkdtempSync(join(tmpdir(), 'placer-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const file = (path: string): TarEntry => ({ path, type: 'file', mode: 0o600, bytes: 0 });

async function fill(placer: BasePlacer, path: string, content: Buffer, pieceBytes: number): Promise<void> {
  const sink = await placer.place(file(path));
  for (let at = 0; at < content.length; at += pieceBytes) await sink?.write(content.subarray(at, at + pieceBytes));
  await sink?.end();
}

test('files large and small are what was handed over, and listed with the hash of what they hold', async () => {
  const root = mkdtempSync(join(folder, 'root-'));
  const placer = new BasePlacer(undefined);
  try {
    placer.root(root, 'listed/', (path) => (path === 'left-out' ? undefined : path));
    const contents: Record<string, Buffer> = {
      'deep/large': randomBytes(9_500_000),
      empty: Buffer.alloc(0),
      'left-out': randomBytes(70_000),
    };
    for (let n = 0; n < 100; n++) contents[`deep/er/${n}`] = randomBytes(10 * n);
    for (const [path, content] of Object.entries(contents)) await fill(placer, path, content, 100_000);
    const restored = await placer.finish();
    assert.deepEqual(
      [...restored.keys()].toSorted(),
      Object.keys(contents)
        .map((path) => `listed/${path}`)
        .toSorted(),
    );
    for (const [path, content] of Object.entries(contents)) {
      assert.deepEqual(
        restored.get(`listed/${path}`),
        { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') },
        path,
      );
      if (path !== 'left-out') assert.ok(readFileSync(join(root, path)).equals(content), path);
    }
    assert.equal(statSync(join(root, 'deep/large')).mode & 0o777, 0o600);
    assert.ok(!readdirSync(root).includes('left-out'));
  } finally {
    await placer.abandon();
  }
});

test('a name that the backup holds twice is damage, and is not written over', async () => {
  const root = mkdtempSync(join(folder, 'root-'));
  const placer = new BasePlacer(undefined);
  try {
    placer.root(root, '', (path) => path);
    await fill(placer, 'once', Buffer.from('first'), 10);
    await placer.finish();
    for (const again of ['once', 'once/below', 'once/far/below']) {
      await assert.rejects(fill(placer, again, Buffer.from('second'), 10), {
        exitCode: 14,
        message: /the base backup is damaged: once.* stands in it more than once/,
      });
    }
    await assert.rejects(placer.makeFolder('once', 0o700), { exitCode: 14 });
    await placer.makeFolder('folder', 0o700);
    await assert.rejects(fill(placer, 'folder', Buffer.from('second'), 10), { exitCode: 14 });
    assert.equal(readFileSync(join(root, 'once'), 'utf8'), 'first');
  } finally {
    await placer.abandon();
  }
});

test('a tar that ends early, or whose header is none, is refused', async () => {
  const header = Buffer.alloc(512);
  header.write('some/file', 0);
  header.write('0000600\0', 100);
  header.write('00000000011\0', 124);
  header.write('0', 156);
  header.write('ustar\0', 257);
  const sum = header.reduce((total, byte) => total + byte, 8 * 32);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const whole = Buffer.concat([header, Buffer.from('123456789'.padEnd(512, '\0')), Buffer.alloc(1024)]);
  const read = async (bytes: Buffer, pieceBytes: number): Promise<string> => {
    let text = '';
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    };
    await readTar(pieces(), async ({ path, bytes: size }) => {
      text += `${path} ${size} `;
      return { write: (piece) => void (text += Buffer.from(piece).toString()), end: async () => void (text += ' end') };
    });
    return text;
  };
  for (const pieceBytes of [1, 7, 512, 4096]) assert.equal(await read(whole, pieceBytes), 'some/file 9 123456789 end');
  const isDamage = (error: unknown): boolean => error instanceof LifeboatError && error.code === 'integrity';
  await assert.rejects(read(whole.subarray(0, 600), 100), isDamage);
  await assert.rejects(read(whole.subarray(0, 1024), 100), isDamage);
  const harmed = Buffer.from(whole);
  harmed[3] = 65;
  await assert.rejects(read(harmed, 100), isDamage);
});
