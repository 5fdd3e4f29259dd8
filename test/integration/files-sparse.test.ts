/** Files with large holes: what they hold is stored and brought back, and their holes cost nothing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { walkTar } from '../../src/operations/validate/tar.ts';
import { readCatalog, type PlacedEntry } from '../../src/source/files/catalog.ts';
import type { FilesFacts } from '../../src/source/files/facts.ts';
import { restoreFiles } from '../../src/source/files/restore.ts';
import { verifyTree } from '../../src/source/files/verify.ts';
import { dumpFiles, folderReader, listener } from '../helpers/source/files-dump.ts';

const terabyte = 2 ** 40;
const mebibyte = 2 ** 20;
const longName = `${'f'.repeat(120)}/${'n'.repeat(200)}`;
/** Length, and what stands where; all else is a hole. */
const shapes: Readonly<Record<string, { length: number; data: Readonly<Record<number, string>> }>> = {
  'terabyte, data at both ends': {
    length: terabyte,
    data: { 0: 'begin', 700_000_000_001: 'x', [terabyte - 3]: 'end' },
  },
  'terabyte of nothing': { length: terabyte, data: {} },
  'ends with a hole': { length: 300 * mebibyte + 17, data: { 100_000_000: 'some' } },
  'read for its zeros': {
    length: 40 * mebibyte + 1,
    data: { 5_000_000: 'a', 5_010_000: 'b', 30_000_000: 'c'.repeat(70_000) },
  },
  'hole of a few pages': { length: 900_000, data: { 0: 'x'.repeat(300_000), 899_999: 'y' } },
  [longName]: { length: 90 * mebibyte, data: { 50_000_000: 'long' } },
  'größe\n1': { length: 90 * mebibyte, data: { 50_000_000: 'odd' } },
};

let work: string;
let tree: string;
let dump: string;
let facts: FilesFacts;

before(async () => {
  work = mkdtempSync(join(tmpdir(), 'lifeboat-test-sparse-'));
  tree = folder('tree');
  mkdirSync(join(tree, 'f'.repeat(120)));
  for (const [name, { length, data }] of Object.entries(shapes)) makeFile(join(tree, name), length, data);
  dump = folder('dump');
  facts = await dumpFiles({ paths: [tree] }, dump);
});

after(() => {
  rmSync(work, { recursive: true, force: true });
});

function folder(name: string): string {
  const path = join(work, name);
  mkdirSync(path);
  return path;
}

function makeFile(path: string, length: number, data: Readonly<Record<number, string>>): void {
  const fd = openSync(path, 'w');
  for (const [at, text] of Object.entries(data)) writeSync(fd, text, Number(at));
  ftruncateSync(fd, length);
  closeSync(fd);
}

/** Each file has its length, its data, zeros around them, and takes hardly more room than they do. */
function assertShapes(top: string): void {
  for (const [name, { length, data }] of Object.entries(shapes)) {
    const path = join(top, name);
    const { size, blocks } = statSync(path);
    assert.equal(size, length, name);
    assert.ok(blocks * 512 <= 2 * mebibyte, `${name} takes ${blocks} blocks`);
    const fd = openSync(path, 'r');
    for (const [at, text] of Object.entries(data)) {
      const start = Math.max(0, Number(at) - 5);
      const around = Buffer.alloc(Number(at) - start + text.length + 5);
      const bytes = readSync(fd, around, 0, around.length, start);
      const expected = Buffer.alloc(bytes);
      expected.write(text, Number(at) - start);
      assert.deepEqual(around.subarray(0, bytes), expected, `${name} at ${at}`);
    }
    closeSync(fd);
  }
}

async function entriesOf(from: string): Promise<PlacedEntry[]> {
  const entries: PlacedEntry[] = [];
  for await (const entry of readCatalog(folderReader(from).open('files.catalog'))) entries.push(entry);
  return entries;
}

test('holes of terabytes take no room in the tar, and the catalog knows where data is', async () => {
  assert.ok(statSync(join(dump, 'files.tar')).size < 2 * mebibyte);
  assert.equal(facts.sparseFiles, Object.keys(shapes).length);
  const files = (await entriesOf(dump)).filter(({ type }) => type === 'file');
  const mapped = files.filter(({ map }) => map !== undefined);
  // What is hardly worth it is stored as it reads.
  assert.equal(mapped.length, Object.keys(shapes).length - 1);
  const lengths = new Set(Object.values(shapes).map(({ length }) => length));
  assert.deepEqual(new Set(mapped.map(({ map }) => map?.length)), lengths.difference(new Set([900_000])));
});

test('GNU tar extracts them with their holes, names of every kind too', () => {
  const into = folder('untar');
  const env = { LC_ALL: 'C.UTF-8', PATH: process.env['PATH'] ?? '' };
  const ran = spawnSync('tar', ['-x', '-f', join(dump, 'files.tar'), '-C', into], { encoding: 'utf8', env });
  assert.equal(ran.stderr, '');
  assert.equal(ran.status, 0);
  assertShapes(join(into, tree));
});

test('a restore brings them back; verification sees a byte in a hole, a lost one and another length', async () => {
  const targetDir = join(work, 'restored');
  const report = await restoreFiles({ reader: folderReader(dump), facts, targetDir }, listener());
  assert.equal(report.files, Object.keys(shapes).length);
  const verify = async () =>
    (await verifyTree({ targetDir, catalog: folderReader(dump).open('files.catalog') }, listener())).differences;
  assert.deepEqual(await verify(), []);
  assertShapes(join(targetDir, tree));
  const touch = (name: string, at: number, text: string): void => {
    const path = join(targetDir, tree, name);
    const { atime, mtime } = statSync(path);
    const fd = openSync(path, 'r+');
    writeSync(fd, text, at);
    closeSync(fd);
    spawnSync('touch', ['-d', `@${mtime.getTime() / 1000}`, path]);
    assert.ok(atime);
  };
  touch('terabyte of nothing', 500_000_000_000, 'z');
  touch('ends with a hole', 100_000_000, '\0');
  truncateSync(join(targetDir, tree, 'read for its zeros'), 40 * mebibyte);
  const found = (await verify()).filter((text) => !/modification|changed at|time/.test(text));
  assert.deepEqual(
    found.map((text) => text.slice(tree.length + 1)),
    [
      'ends with a hole has other content',
      `read for its zeros has ${40 * mebibyte} bytes, not ${40 * mebibyte + 1}`,
      'terabyte of nothing has other content',
    ],
  );
});

test('one of them alone is restored from its own bytes', async () => {
  const targetDir = join(work, 'single');
  const name = 'terabyte, data at both ends';
  const reader = folderReader(dump);
  await restoreFiles({ reader, facts, targetDir, paths: [join(tree, name)], stripPrefix: tree }, listener());
  assert.equal(statSync(join(targetDir, name)).size, terabyte);
  const read = reader.opened.find((opened) => opened.name === 'files.tar')?.bytes ?? Infinity;
  assert.ok(read < 512 * 1024, `${read} bytes were read`);
});

test('validate --deep reads them by two readers, and notices a map that is not the one of the catalog', async () => {
  const signal = new AbortController().signal;
  const summary = await walkTar(folderReader(dump), signal, () => {});
  assert.equal(summary.contentBytes, facts.contentBytes);
  assert.equal(summary.fingerprint, facts.fingerprint);
  const entry = (await entriesOf(dump)).find(({ path }) => path.toString().endsWith('ends with a hole'));
  assert.ok(entry?.map !== undefined);
  const fd = openSync(join(dump, 'files.tar'), 'r+');
  const map = Buffer.alloc(64);
  readSync(fd, map, 0, map.length, entry.dataOffset);
  const moved = Buffer.from(
    map.toString('latin1').replace(/^(\d+\n\d)/, (digits) => `${digits.slice(0, -1)}8`),
    'latin1',
  );
  assert.notDeepEqual(moved, map);
  writeSync(fd, moved, 0, moved.length, entry.dataOffset);
  const isDamage = (error: unknown): boolean => error instanceof LifeboatError && error.code === 'integrity';
  await assert.rejects(
    walkTar(folderReader(dump), signal, () => {}),
    isDamage,
  );
  const targetDir = join(work, 'never');
  await assert.rejects(restoreFiles({ reader: folderReader(dump), facts, targetDir }, listener()), isDamage);
  assert.equal(existsSync(targetDir), false);
  writeSync(fd, map, 0, map.length, entry.dataOffset);
  closeSync(fd);
});

test('one that becomes shorter while it is read is told, and the tar extracts', async () => {
  const source = folder('shrinking');
  const path = join(source, 'file');
  const text = 'lifeboat '.repeat(200_000);
  makeFile(path, 400 * mebibyte, { 0: text, 200_000_000: text, 300_000_000: text });
  const out = folder('shrunk');
  const context = listener();
  await dumpFiles({ paths: [source] }, out, context, (bytes) => {
    if (bytes > mebibyte && statSync(path).size > 250_000_000) truncateSync(path, 250_000_000);
  });
  assert.match(context.warnings().join('\n'), /file changed while it was read: it became shorter/);
  const into = folder('shrunk-untar');
  assert.equal(spawnSync('tar', ['-x', '-f', join(out, 'files.tar'), '-C', into]).status, 0);
  assert.equal(statSync(join(into, path)).size, 400 * mebibyte);
});

test('a file system that cannot tell where holes are: zeros are found by reading', async () => {
  const source = mkdtempSync('/dev/shm/lifeboat-test-sparse-');
  try {
    makeFile(join(source, 'file'), 200 * mebibyte, { 3: 'abc', 130_000_000: 'def' });
    writeFileSync(join(source, 'full'), Buffer.alloc(2 * mebibyte));
    const out = folder('from-memory');
    const found = await dumpFiles({ paths: [source] }, out);
    assert.ok(statSync(join(out, 'files.tar')).size < 3 * mebibyte);
    assert.equal(found.sparseFiles, 1);
    const targetDir = join(work, 'from-memory-restored');
    await restoreFiles({ reader: folderReader(out), facts: found, targetDir }, listener());
    const compared = spawnSync('cmp', [join(source, 'file'), join(targetDir, source, 'file')], { encoding: 'utf8' });
    assert.equal(compared.stdout + compared.stderr, '');
  } finally {
    rmSync(source, { recursive: true });
  }
});
