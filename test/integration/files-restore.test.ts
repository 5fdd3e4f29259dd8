/** Restores of file trees, judged by GNU find; hostile archives; restores that fail or are killed. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError, type ErrorCode } from '../../src/lib/errors.ts';
import { openLeftovers } from '../../src/lib/leftovers.ts';
import { type CatalogEntry, encodeCatalogLine } from '../../src/source/files/catalog.ts';
import type { FilesFacts } from '../../src/source/files/facts.ts';
import { type FilesRestoreReport, type FilesRestoreRequest, restoreFiles } from '../../src/source/files/restore.ts';
import { encodeTarHeader } from '../../src/source/files/tar-header.ts';
import { paddingOf } from '../../src/source/files/ustar-block.ts';
import { verifyTree } from '../../src/source/files/verify.ts';
import { compareTrees, makeDeepTree, makeSampleTree, readTree } from '../helpers/source/file-tree.ts';
import { type CountingReader, dumpFiles, folderReader, listener } from '../helpers/source/files-dump.ts';
import type { TarMember } from '../../src/source/files/member.ts';

const sampleTolerance = { mtimeToleranceNs: 1000n };

let work: string;
let number = 0;
/** One sample tree and its dump for all tests that only read them. */
let tree: string;
let dump: string;
let facts: FilesFacts;

before(async () => {
  work = mkdtempSync(join(tmpdir(), 'lifeboat-test-files-'));
  tree = folder();
  makeSampleTree(tree);
  dump = folder();
  facts = await dumpFiles({ paths: [tree] }, dump);
});

after(() => {
  rmSync(work, { recursive: true, force: true });
});

function folder(): string {
  const path = join(work, String(++number));
  mkdirSync(path);
  return path;
}

/** A path in a folder of its own, so that what lies beside it can be seen. */
function freshTarget(): string {
  return join(folder(), 'target');
}

function restore(
  targetDir: string,
  options: Partial<FilesRestoreRequest> = {},
  context = listener(),
): Promise<FilesRestoreReport> {
  return restoreFiles({ reader: folderReader(dump), facts, targetDir, ...options }, context);
}

async function rejects(work: Promise<unknown>, code: ErrorCode, text: RegExp): Promise<void> {
  await assert.rejects(
    work,
    (error) =>
      error instanceof LifeboatError &&
      error.code === code &&
      text.test(error.message) &&
      !error.message.includes('/proc/'),
  );
}

test('all of a backup comes back equal, holes and hard links too, in one pass', async () => {
  const target = freshTarget();
  const reader = folderReader(dump);
  const report = await restore(target, { reader });
  assert.deepEqual(compareTrees(readTree(tree), readTree(join(target, tree)), sampleTolerance), []);
  assert.deepEqual(
    [report.files, report.folders, report.symlinks, report.hardlinks, report.contentBytes, report.isComplete],
    [facts.files, facts.folders, facts.symlinks, facts.hardlinks, facts.contentBytes, true],
  );
  assert.deepEqual(readdirSync(dirname(target)), ['target']);
  assert.deepEqual(reader.opened.map((opened) => opened.name).sort(), ['files.catalog', 'files.tar']);
  const verified = await verifyTree({ targetDir: target, catalog: reader.open('files.catalog') }, listener());
  assert.deepEqual(verified.differences, []);
  assert.equal(verified.contentBytes, facts.contentBytes);
});

test('without the prefix, into an empty folder that keeps its place', async () => {
  const target = freshTarget();
  mkdirSync(target);
  await restore(target, { stripPrefix: `${tree}/` });
  assert.deepEqual(compareTrees(readTree(tree), readTree(target), sampleTolerance), []);
  assert.ok(Math.abs(statSync(target).mtimeMs - statSync(tree).mtimeMs) < 0.001);
  assert.deepEqual(
    (
      await verifyTree(
        { targetDir: target, stripPrefix: tree, catalog: folderReader(dump).open('files.catalog') },
        listener(),
      )
    ).differences,
    [],
  );
});

test('verification names every kind of difference', async () => {
  const target = freshTarget();
  await restore(target, { stripPrefix: tree });
  const at = (name: string): string => join(target, name);
  writeFileSync(at('a/plain.txt'), 'PLAIN\n');
  chmodSync(at('many/3'), 0o600);
  rmSync(at('many/4'));
  writeFileSync(at('many/extra'), '');
  mkdirSync(at('zz'));
  rmSync(at('a/link'));
  symlinkSync('elsewhere', at('a/link'));
  cpSync(at('a/two'), at('many/copy'));
  rmSync(at('a/two'));
  execFileSync('mv', [at('many/copy'), at('a/two')]);
  rmSync(at('empty'), { recursive: true });
  const { differences, differenceCount } = await verifyTree(
    { targetDir: target, stripPrefix: tree, catalog: folderReader(dump).open('files.catalog') },
    listener(),
  );
  assert.equal(differenceCount, differences.length);
  const text = differences.join('\n');
  for (const part of [
    '/a/plain.txt has other content',
    '/a/plain.txt was changed at another time',
    '/many/3: mode is 0600, not 0644',
    '/many/4 is missing',
    '/many/extra is not in the backup',
    '/zz is not in the backup',
    '/a/link leads elsewhere',
    '/a/two is not a hard link to',
    '/empty is missing',
  ]) {
    assert.ok(text.includes(part), `${part}\n${text}`);
  }
});

test('a single file of a large backup takes its own bytes only', async () => {
  const big = folder();
  for (let index = 0; index < 40; index++) {
    writeFileSync(join(big, `f${String(index).padStart(2, '0')}`), Buffer.alloc(2_000_000, index));
  }
  const out = folder();
  const bigFacts = await dumpFiles({ paths: [big] }, out);
  const reader: CountingReader = folderReader(out);
  const target = freshTarget();
  const report = await restoreFiles(
    { reader, facts: bigFacts, targetDir: target, paths: [join(big, 'f20'), join(big, 'f3[01]')] },
    listener(),
  );
  assert.equal(report.files, 3);
  assert.deepEqual(readdirSync(join(target, big)), ['f20', 'f30', 'f31']);
  assert.ok(readFileSync(join(target, big, 'f31')).equals(Buffer.alloc(2_000_000, 31)));
  const ranges = reader.opened.filter((opened) => opened.name === 'files.tar');
  // Neighbours share a request; nothing else of the 80 MB is read.
  assert.equal(ranges.length, 2);
  assert.ok(ranges.reduce((sum, range) => sum + range.end - range.start, 0) < 6_010_000);
  assert.ok(Math.abs(statSync(join(target, big)).mtimeMs - statSync(big).mtimeMs) < 0.001);
});

test('sub-trees and patterns; hard links whose content lies outside of them', async () => {
  const expected = readTree(tree);
  const part = (
    keep: (path: string) => boolean,
  ): Map<string, ReturnType<typeof readTree> extends Map<string, infer T> ? T : never> =>
    new Map([...expected].filter(([path]) => keep(path)));
  const check = async (paths: string[], keep: (path: string) => boolean): Promise<void> => {
    const target = freshTarget();
    const report = await restore(target, { paths, stripPrefix: tree });
    assert.deepEqual(compareTrees(part(keep), readTree(target), { ...sampleTolerance, ignore: ['names'] }), []);
    assert.equal(report.isComplete, false);
  };
  await check([`${tree}/a/b`], (path) => /^a(\/b(\/.*)?)?$/s.test(path));
  await check([`${tree.slice(1)}/many/1*`, `${tree}/empty/`], (path) => /^(many|many\/1.*|empty)$/.test(path));
  // many/three was stored as a link to a/b/one, a/two as well: the first wanted name gets the content.
  await check([`${tree}/many/three`, `${tree}/a/two`], (path) => ['many', 'many/three', 'a', 'a/two'].includes(path));
  const target = freshTarget();
  await restore(target, { paths: [`${tree}/many/three`, `${tree}/a/two`] });
  assert.equal(statSync(join(target, tree, 'a/two')).ino, statSync(join(target, tree, 'many/three')).ino);
  await rejects(
    restore(freshTarget(), { paths: [`${tree}/a`, '/not/there', '/nor*/this'] }),
    'not_found',
    /\/not\/there, \/nor\*\/this: no such path/,
  );
});

test('a path that names something in the backup is that name, whatever else it would match', async () => {
  const out = folder();
  const odd = folder();
  mkdirSync(join(odd, 'd[ab]'));
  mkdirSync(join(odd, 'da'));
  for (const name of ['a[1].txt', 'a1.txt', 'b[open.txt', '*', 'other', '\\?', '\\x', 'd[ab]/in', 'da/in']) {
    writeFileSync(join(odd, name), name);
  }
  const oddFacts = await dumpFiles({ paths: [odd] }, out);
  const restored = async (...paths: readonly string[]): Promise<string[]> => {
    const target = folder();
    const given = paths.map((path) => join(odd, path));
    await restoreFiles(
      { reader: folderReader(out), facts: oddFacts, targetDir: target, stripPrefix: odd, paths: given },
      listener(),
    );
    const names = readdirSync(target, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    return names.map(({ parentPath, name }) => relative(target, join(parentPath, name))).sort();
  };
  assert.deepEqual(await restored('a[1].txt'), ['a[1].txt']);
  assert.deepEqual(await restored('b[open.txt'), ['b[open.txt']);
  assert.deepEqual(await restored('*'), ['*']);
  assert.deepEqual(await restored('\\?'), ['\\?']);
  assert.deepEqual(await restored('d[ab]/'), ['d[ab]/in']);
  // No such name: a pattern, and so is one beside a name.
  assert.deepEqual(await restored('a[12].txt'), ['a1.txt']);
  assert.deepEqual(await restored('a[1].txt', 'd*/i?'), ['a[1].txt', 'd[ab]/in', 'da/in']);
});

test('a target that holds files is refused, and left alone', async () => {
  const target = folder();
  writeFileSync(join(target, 'mine'), 'mine');
  await rejects(restore(target), 'usage', /it contains files/);
  await rejects(restore(join(target, 'mine')), 'usage', /is not a folder/);
  assert.deepEqual([...readTree(target).keys()], ['mine']);
});

test('into a folder with files: what has the same name is replaced, all else stays', async () => {
  const target = folder();
  cpSync(tree, target, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.includes('many') && !/[\ufffd]/.test(path),
  });
  writeFileSync(join(target, 'a/plain.txt'), 'newer and wrong');
  writeFileSync(join(target, 'a/mine'), 'mine');
  rmSync(join(target, '-rf'));
  symlinkSync('/etc/passwd', join(target, '-rf'));
  await restore(target, { into: 'existing', stripPrefix: tree });
  const now = readTree(target);
  assert.equal(readFileSync(join(target, 'a/mine'), 'utf8'), 'mine');
  now.delete('a/mine');
  assert.deepEqual(compareTrees(readTree(tree), now, sampleTolerance), []);
});

test('into a folder with files: folders on the way keep owner and mode, what is chosen gets its own', async () => {
  const target = folder();
  mkdirSync(join(target, 'a/b'), { recursive: true });
  for (const [n, path] of [target, join(target, 'a'), join(target, 'a/b')].entries()) {
    chmodSync(path, 0o750 + n);
    chownSync(path, 1000 + n, 1000 + n);
    utimesSync(path, 1_000_000, 1_000_000);
  }
  const rights = (path: string): number[] => {
    const { uid, gid, mode } = statSync(join(target, path));
    return [uid, gid, mode & 0o7777];
  };
  const [before, own] = [rights(''), rights('a')];
  await restore(target, { into: 'existing', stripPrefix: tree, paths: [join(tree, 'a/plain.txt')] });
  assert.deepEqual([rights(''), rights('a')], [before, own]);
  const { uid, gid, mode } = statSync(join(tree, 'a'));
  await restore(target, { into: 'existing', stripPrefix: tree, paths: [join(tree, 'a')] });
  assert.deepEqual([rights(''), rights('a')], [before, [uid, gid, mode & 0o7777]]);
});

test('into a folder with files: what cannot be put in place stops it before anything is changed', async () => {
  const target = folder();
  const outside = folder();
  mkdirSync(join(target, 'a/plain.txt'), { recursive: true });
  symlinkSync(outside, join(target, 'many'));
  writeFileSync(join(target, 'empty'), 'a file');
  const before = readTree(target);
  await rejects(
    restore(target, { into: 'existing', stripPrefix: tree }),
    'usage',
    /a\/plain.txt is a folder there.*empty is no folder there.*many is a symlink there/,
  );
  assert.deepEqual(compareTrees(before, readTree(target), { ignore: ['mtimeNs'] }), []);
  assert.deepEqual(readdirSync(outside), []);
});

test('an empty file system that is mounted at the target is filled in place', async () => {
  const target = folder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', target]);
  try {
    mkdirSync(join(target, 'lost+found'));
    await restore(target, { stripPrefix: tree });
    const now = readTree(target);
    assert.ok(now.delete('lost+found'));
    assert.deepEqual(compareTrees(readTree(tree), now, sampleTolerance), []);
  } finally {
    execFileSync('umount', [target]);
  }
});

test('a disk that fills up: foreseen where it can be, else cleaned up', async () => {
  const disk = folder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
  try {
    // Sparse files may need less than their length, so this one starts.
    await rejects(restore(join(disk, 'target')), 'space', /no space left/);
    assert.deepEqual(readdirSync(disk), []);
    const big = folder();
    writeFileSync(join(big, 'f'), Buffer.alloc(8_000_000, 1));
    const out = folder();
    const bigFacts = await dumpFiles({ paths: [big] }, out);
    const reader = folderReader(out);
    await rejects(
      restoreFiles({ reader, facts: bigFacts, targetDir: join(disk, 'target') }, listener()),
      'space',
      /7\.6 MiB are needed and .* free/,
    );
    assert.ok(!reader.opened.some((opened) => opened.name === 'files.tar'));
    assert.deepEqual(readdirSync(disk), []);
  } finally {
    execFileSync('umount', [disk]);
  }
});

test('every flipped bit and every truncation is noticed, and no target is left', async () => {
  const target = freshTarget();
  const tar = readFileSync(join(dump, 'files.tar'));
  const catalog = readFileSync(join(dump, 'files.catalog'));
  const broken = folder();
  const attempt = async (newTar: Buffer, newCatalog: Buffer, what: string): Promise<void> => {
    writeFileSync(join(broken, 'files.tar'), newTar);
    writeFileSync(join(broken, 'files.catalog'), newCatalog);
    await assert.rejects(
      restore(target, { reader: folderReader(broken) }),
      (error) => error instanceof LifeboatError && error.code === 'integrity',
      what,
    );
    assert.deepEqual(readdirSync(dirname(target)), [], what);
  };
  const flipped = (bytes: Buffer, at: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ 4;
    return copy;
  };
  // Headers, contents; not the padding between, which holds nothing.
  for (const text of ['PaxHeaders', '1700000000.123456789', 'plain\n', 'over a hundred', 'begin', 'middle']) {
    await attempt(flipped(tar, tar.indexOf(text)), catalog, `flip in ${text}`);
  }
  for (const length of [0, 511, 512, 100_000, tar.length - 20_480]) {
    await attempt(tar.subarray(0, length), catalog, `tar of ${length} bytes`);
  }
  for (const at of [5, Math.floor(catalog.length / 2), catalog.length - 10]) {
    await attempt(tar, flipped(catalog, at), `flip in catalog at ${at}`);
  }
  const line = catalog.indexOf(0x0a) + 1;
  for (const length of [0, line, catalog.length - 1]) {
    await attempt(tar, catalog.subarray(0, length), `catalog of ${length} bytes`);
  }
});

/** A member for a crafted archive: name, and what differs from a plain file. */
interface Crafted {
  readonly path: string | Buffer;
  readonly type?: TarMember['type'];
  readonly link?: string;
  readonly content?: string;
  readonly mode?: number;
}

/** Writes an archive and a catalog that agree with each other, whatever they say. */
function craft(members: readonly Crafted[]): { reader: CountingReader; facts: FilesFacts } {
  const out = folder();
  const tar: Buffer[] = [];
  let catalog = '';
  for (const { path, type = 'file', link, content = '', mode = 0o644 } of members) {
    const device = type === 'char' ? { device: { major: 1, minor: 3 } } : {};
    const member: TarMember = {
      path: Buffer.from(path),
      type,
      mode,
      uid: 0,
      gid: 0,
      user: '',
      group: '',
      size: content.length,
      mtimeNs: 0n,
      ...(link === undefined ? {} : { link: Buffer.from(link) }),
      ...device,
    };
    const header = encodeTarHeader(member);
    tar.push(header, Buffer.from(content), Buffer.alloc(paddingOf(content.length)));
    const entry: CatalogEntry = {
      device: undefined,
      link: undefined,
      map: undefined,
      ...member,
      sha256: type === 'file' ? createHash('sha256').update(content).digest('hex') : undefined,
      headerBytes: header.length,
      root: 0,
      sparse: false,
      changed: false,
    };
    catalog += encodeCatalogLine(entry);
  }
  writeFileSync(join(out, 'files.tar'), Buffer.concat([...tar, Buffer.alloc(1024)]));
  writeFileSync(join(out, 'files.catalog'), catalog);
  return {
    reader: folderReader(out),
    facts: { ...facts, fingerprint: createHash('sha256').update(catalog).digest('hex'), contentBytes: 0 },
  };
}

test('hostile archives: nothing is written outside of the target, and no target is left', async () => {
  const outside = folder();
  writeFileSync(join(outside, 'victim'), 'victim');
  const hostile: Record<string, Crafted[]> = {
    'dot dot': [{ path: '../escaped', content: 'x' }],
    'dot dot inside': [{ path: 'a/../../escaped', content: 'x' }],
    'dot dot at the end': [{ path: 'a/..', type: 'folder' }],
    absolute: [{ path: `${outside}/escaped`, content: 'x' }],
    'two slashes': [{ path: 'a//b', content: 'x' }],
    dot: [{ path: './a', content: 'x' }],
    'empty name': [{ path: '', content: 'x' }],
    'through a symlink': [
      { path: 'a', type: 'symlink', link: outside },
      { path: 'a/escaped', content: 'x' },
    ],
    'through a symlink that is then a folder': [
      { path: 'a', type: 'symlink', link: outside },
      { path: 'a', type: 'folder' },
      { path: 'a/escaped', content: 'x' },
    ],
    'over a symlink': [
      { path: 'a', type: 'symlink', link: join(outside, 'victim') },
      { path: 'a', content: 'x' },
    ],
    'twice, others between': [
      { path: 'a', content: 'x' },
      { path: 'b', content: 'x' },
      { path: 'a', content: 'y' },
    ],
    'hard link outward': [{ path: 'a', type: 'hardlink', link: `../../../../../../..${outside}/victim` }],
    'hard link by an absolute name': [{ path: 'z', type: 'hardlink', link: join(outside, 'victim') }],
    'hard link through a symlink': [
      { path: 'a', type: 'symlink', link: outside },
      { path: 'b', type: 'hardlink', link: 'a/victim' },
    ],
    'hard link to a symlink': [
      { path: 'a', type: 'symlink', link: join(outside, 'victim') },
      { path: 'b', type: 'hardlink', link: 'a' },
    ],
    'hard link to what comes later': [
      { path: 'a', type: 'hardlink', link: 'b' },
      { path: 'b', content: 'x' },
    ],
    'hard link to a folder': [
      { path: 'a', type: 'folder' },
      { path: 'b', type: 'hardlink', link: 'a' },
    ],
    'in a file': [
      { path: 'a', content: 'x' },
      { path: 'a/b', content: 'x' },
    ],
  };
  for (const [name, members] of Object.entries(hostile)) {
    for (const into of ['empty', 'existing'] as const) {
      const target = into === 'empty' ? freshTarget() : folder();
      await assert.rejects(
        restoreFiles({ ...craft(members), targetDir: target, into }, listener()),
        (error) => error instanceof LifeboatError && error.code === 'integrity',
        name,
      );
      assert.deepEqual(into === 'empty' ? readdirSync(dirname(target)) : readdirSync(target), [], name);
    }
    assert.deepEqual(
      [readdirSync(outside), readFileSync(join(outside, 'victim'), 'utf8'), statSync(join(outside, 'victim')).nlink],
      [['victim'], 'victim', 1],
      name,
    );
    assert.ok(!existsSync(join(work, 'escaped')), name);
  }
});

test('symlinks that lead outward are restored as they are; device nodes are not made', async () => {
  const target = freshTarget();
  const context = listener();
  const report = await restoreFiles(
    {
      ...craft([
        { path: 'a', type: 'symlink', link: '/etc/passwd' },
        { path: 'null', type: 'char' },
      ]),
      targetDir: target,
    },
    context,
  );
  assert.equal(readlinkSync(join(target, 'a')), '/etc/passwd');
  assert.deepEqual(readdirSync(target), ['a']);
  assert.deepEqual(report.skippedDevices, ['/null (c 1 3)']);
  assert.match(context.warnings().join(), /device node .* was not made/);
});

test('an entry that only the tar has is noticed', async () => {
  const { reader, facts: crafted } = craft([
    { path: 'a', content: 'x' },
    { path: 'b', content: 'y' },
  ]);
  const one = craft([{ path: 'a', content: 'x' }]);
  const mixed = {
    ...reader,
    open: (name: string, range?: { start: number; end: number }) =>
      name === 'files.tar' ? reader.open(name, range) : one.reader.open(name),
  };
  await rejects(
    restoreFiles(
      { reader: mixed, facts: { ...crafted, fingerprint: one.facts.fingerprint }, targetDir: freshTarget() },
      listener(),
    ),
    'integrity',
    /holds more than/,
  );
});

test('setuid comes back only with its owner; another user gets files of its own', async () => {
  const out = folder();
  const odd = folder();
  writeFileSync(join(odd, 'suid'), 'x');
  chmodSync(join(odd, 'suid'), 0o6755);
  mkdirSync(join(odd, 'closed'));
  writeFileSync(join(odd, 'closed/in'), 'in');
  linkSync(join(odd, 'closed/in'), join(odd, 'closed/in2'));
  chmodSync(join(odd, 'closed'), 0o555);
  const oddFacts = await dumpFiles({ paths: [odd] }, out);
  for (const path of [work, out]) chmodSync(path, 0o755);
  const place = folder();
  chmodSync(place, 0o777);
  const script = `import { restoreFiles } from '${import.meta.dirname}/../../src/source/files/restore.ts';
    import { folderReader, listener } from '${import.meta.dirname}/../helpers/source/files-dump.ts';
    const facts = JSON.parse(process.argv[2]);
    const [, folder, , targetDir, stripPrefix] = process.argv;
    await restoreFiles({ reader: folderReader(folder), facts, targetDir, stripPrefix }, listener());`;
  execFileSync(
    process.execPath,
    ['--input-type=module', '-e', script, out, JSON.stringify(oddFacts), join(place, 'target'), odd],
    { uid: 65534, gid: 65534 },
  );
  const restored = readTree(join(place, 'target'));
  assert.deepEqual([...restored].map(([path, entry]) => `${path} ${entry.mode} ${entry.owner}`).sort(), [
    'closed 555 65534:65534',
    'closed/in 644 65534:65534',
    'closed/in2 644 65534:65534',
    'suid 755 65534:65534',
  ]);
  await restoreFiles(
    { reader: folderReader(out), facts: oddFacts, targetDir: join(place, 'none'), stripPrefix: odd, owners: 'none' },
    listener(),
  );
  assert.equal(readTree(join(place, 'none')).get('suid')?.mode, '755');
  await restoreFiles(
    { reader: folderReader(out), facts: oddFacts, targetDir: join(place, 'root'), stripPrefix: odd, owners: 'numeric' },
    listener(),
  );
  assert.equal(readTree(join(place, 'root')).get('suid')?.mode, '6755');
});

test('another user than root can merge read-only folders, and clean them up', async () => {
  const odd = folder();
  mkdirSync(join(odd, 'there/closed'), { recursive: true });
  writeFileSync(join(odd, 'there/closed/in'), 'in');
  mkdirSync(join(odd, 'new'));
  writeFileSync(join(odd, 'new/in'), 'in');
  writeFileSync(join(odd, 'zzz'), 'last');
  for (const name of ['there/closed', 'new']) chmodSync(join(odd, name), 0o555);
  const out = folder();
  const oddFacts = await dumpFiles({ paths: [odd] }, out);
  for (const path of [work, out]) chmodSync(path, 0o755);
  const place = folder();
  execFileSync('chown', ['nobody', place]);
  execFileSync('install', ['-d', '-o', 'nobody', join(place, 'there')]);
  const run = (target: string, source: string): string => {
    const script = `import { restoreFiles } from '${import.meta.dirname}/../../src/source/files/restore.ts';
      import { folderReader, listener } from '${import.meta.dirname}/../helpers/source/files-dump.ts';
      const facts = JSON.parse(process.argv[2]);
      const [, folder, , targetDir, stripPrefix] = process.argv;
      const options = { reader: folderReader(folder), facts, targetDir, into: 'existing', stripPrefix };
      try { await restoreFiles(options, listener()); }
      catch (error) { console.log(error.code + ' ' + error.message); }`;
    return execFileSync(
      process.execPath,
      ['--input-type=module', '-e', script, source, JSON.stringify(oddFacts), target, odd],
      { uid: 65534, gid: 65534, encoding: 'utf8' },
    );
  };
  assert.equal(run(place, out), '');
  const restored = readTree(place);
  assert.deepEqual(
    ['new', 'new/in', 'there', 'there/closed', 'there/closed/in', 'zzz'].map((path) => restored.get(path)?.mode),
    ['555', '644', '755', '555', '644', '644'],
  );
  assert.ok(![...restored.keys()].some((path) => path.includes('.restoring-')));
  // Damaged in its last file: all before it was written already, read-only folders too.
  const tar = readFileSync(join(out, 'files.tar'));
  tar[tar.lastIndexOf('last')] = 0x4c;
  writeFileSync(join(out, 'files.tar'), tar);
  assert.match(run(place, out), /^integrity the content of/);
  assert.deepEqual(compareTrees(restored, readTree(place)), []);
});

test('trees deeper than the longest path come back', async () => {
  const deep = folder();
  makeDeepTree(deep);
  const out = folder();
  const deepFacts = await dumpFiles({ paths: [deep] }, out);
  const target = freshTarget();
  await restoreFiles({ reader: folderReader(out), facts: deepFacts, targetDir: target }, listener());
  assert.equal(
    execFileSync('find', ['.', '-name', 'bottom', '-execdir', 'cat', '{}', ';'], { cwd: target, encoding: 'utf8' }),
    'deep',
  );
  assert.deepEqual(
    (await verifyTree({ targetDir: target, catalog: folderReader(out).open('files.catalog') }, listener())).differences,
    [],
  );
  // A failing restore can clean such a tree up too.
  const tar = readFileSync(join(out, 'files.tar'));
  const at = tar.lastIndexOf('deep');
  tar[at] = 0x44;
  writeFileSync(join(out, 'files.tar'), tar);
  const second = freshTarget();
  await rejects(
    restoreFiles({ reader: folderReader(out), facts: deepFacts, targetDir: second }, listener()),
    'integrity',
    /content of/,
  );
  assert.deepEqual(readdirSync(dirname(second)), []);
  execFileSync('rm', ['-rf', deep, target]);
});

test('an aborted restore leaves nothing, or what it has under its own name when asked', async () => {
  const descriptors = readdirSync('/proc/self/fd').length;
  const stop = new AbortController();
  const plain = folderReader(dump);
  const reader = {
    ...plain,
    async *open(name: string, range?: { start: number; end: number }) {
      let bytes = 0;
      for await (const piece of plain.open(name, range)) {
        yield piece;
        if (name === 'files.tar' && (bytes += piece.length) > 1_500_000) stop.abort(new Error('stopped'));
      }
    },
  };
  const target = freshTarget();
  await assert.rejects(restore(target, { reader }, listener(stop.signal)), /stopped/);
  assert.deepEqual(readdirSync(dirname(target)), []);
  await assert.rejects(restore(target, { reader, keepOnFailure: true }, listener(stop.signal)), /stopped/);
  assert.match(readdirSync(dirname(target)).join(), /^target\.restoring-[0-9a-f]{8}$/);
  assert.equal(readdirSync('/proc/self/fd').length, descriptors);
});

test('killed at any moment, a restore leaves no target that looks complete, and the next run cleans up', async () => {
  const state = folder();
  const script = `import { restoreFiles } from '${import.meta.dirname}/../../src/source/files/restore.ts';
    import { openLeftovers } from '${import.meta.dirname}/../../src/lib/leftovers.ts';
    import { folderReader, listener } from '${import.meta.dirname}/../helpers/source/files-dump.ts';
    openLeftovers(process.argv[4]);
    console.log('ready');
    const [, folder, facts, targetDir, , stripPrefix] = process.argv;
    const options = { reader: folderReader(folder, 1000), facts: JSON.parse(facts), targetDir, stripPrefix };
    await restoreFiles(options, listener());`;
  const expected = readTree(tree);
  const target = freshTarget();
  let killed = 0;
  for (const delayMs of [0, 20, 60, 100, 150, 250]) {
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', script, dump, JSON.stringify(facts), target, state, tree],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    child.kill('SIGKILL');
    await ended;
    if (existsSync(target)) {
      assert.deepEqual(compareTrees(expected, readTree(target), sampleTolerance), []);
      rmSync(target, { recursive: true });
    } else {
      killed++;
    }
    openLeftovers(state);
    assert.deepEqual(readdirSync(dirname(target)), []);
  }
  assert.ok(killed > 0);
});
