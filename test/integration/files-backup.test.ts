/** Backups of file trees, judged by system tar and GNU find. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { readCatalog } from '../../src/source/files/catalog.ts';
import { filesSource } from '../../src/source/files/source.ts';
import type { SourceInfo } from '../../src/source/source.ts';
import { decodeTarHeader } from '../../src/source/files/tar-header.ts';
import { compareTrees, makeDeepTree, makeSampleTree, readTree } from '../helpers/source/file-tree.ts';
import { dumpFiles, folderReader, listener } from '../helpers/source/files-dump.ts';

let work: string;
let number = 0;

before(() => {
  work = mkdtempSync(join(tmpdir(), 'lifeboat-test-files-'));
});

after(() => {
  rmSync(work, { recursive: true, force: true });
});

/** A fresh folder. */
function folder(): string {
  const path = join(work, String(++number));
  mkdirSync(path);
  return path;
}

function untar(from: string): string {
  const into = folder();
  const ran = spawnSync(
    'tar',
    [
      '-x',
      '-p',
      '--numeric-owner',
      '--same-owner',
      '--delay-directory-restore',
      '-f',
      join(from, 'files.tar'),
      '-C',
      into,
    ],
    { encoding: 'utf8', env: { LC_ALL: 'C.UTF-8', PATH: process.env['PATH'] ?? '' } },
  );
  assert.equal(ran.status, 0, ran.stderr);
  return into;
}

async function catalogOf(dump: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of readCatalog(folderReader(dump).open('files.catalog'))) {
    paths.push(entry.path.toString('latin1'));
  }
  return paths;
}

test('system tar extracts a backup to an equal tree, times to the nanosecond', async () => {
  const tree = folder();
  makeSampleTree(tree);
  const dump = folder();
  const context = listener();
  const facts = await dumpFiles({ paths: [tree] }, dump, context);
  assert.deepEqual(context.warnings(), []);
  const extracted = untar(dump);
  // GNU tar makes no holes for a member that is not stored as sparse.
  assert.deepEqual(compareTrees(readTree(tree), readTree(join(extracted, tree)), { ignore: ['hasHoles'] }), []);
  const entries = readTree(tree);
  const count = (type: string): number => [...entries.values()].filter((entry) => entry.type === type).length;
  assert.equal(facts.folders, count('d') + 1);
  assert.equal(facts.symlinks, count('l'));
  assert.equal(facts.files + facts.hardlinks, count('f'));
  assert.equal(facts.hardlinks, 2);
  assert.equal(facts.sparseFiles, 1);
  assert.equal(facts.tarBytes, readFileSync(join(dump, 'files.tar')).length);
  assert.equal(facts.catalogBytes, readFileSync(join(dump, 'files.catalog')).length);
});

test('the catalog names each member at its place, and two backups of one tree are equal', async () => {
  const tree = folder();
  makeSampleTree(tree);
  const dump = folder();
  const again = folder();
  const facts = await dumpFiles({ paths: [tree] }, dump);
  assert.deepEqual(await dumpFiles({ paths: [tree] }, again), facts);
  const tar = readFileSync(join(dump, 'files.tar'));
  assert.ok(tar.equals(readFileSync(join(again, 'files.tar'))));
  const expected = readTree(tree);
  let end = 0;
  let seen = 0;
  for await (const entry of readCatalog(folderReader(dump, 777).open('files.catalog'))) {
    assert.equal(entry.offset, end);
    end = entry.endOffset;
    const member = decodeTarHeader(tar.subarray(entry.offset, entry.dataOffset));
    for (const key of [
      'path',
      'type',
      'mode',
      'uid',
      'gid',
      'user',
      'group',
      'size',
      'mtimeNs',
      'link',
      'device',
    ] as const) {
      assert.deepEqual(member[key], entry[key], `${key} of ${entry.path.toString()}`);
    }
    if (entry.path.length <= tree.length) continue;
    seen++;
    const found = expected.get(entry.path.toString('latin1').slice(tree.length));
    assert.ok(found, entry.path.toString());
    assert.equal(entry.mtimeNs, found.mtimeNs);
    // Of one with large holes it is another: see files-sparse.
    if (entry.type === 'file' && entry.map === undefined) assert.equal(entry.sha256, found.content);
  }
  assert.equal(seen, expected.size);
});

test('one changed file changes one line of the catalog', async () => {
  const tree = folder();
  makeSampleTree(tree);
  const dump = folder();
  await dumpFiles({ paths: [tree] }, dump);
  const before = readFileSync(join(dump, 'files.catalog'), 'utf8').split('\n');
  appendFileSync(join(tree, '-rf'), 'x'.repeat(10_000));
  await dumpFiles({ paths: [tree] }, dump);
  const after = readFileSync(join(dump, 'files.catalog'), 'utf8').split('\n');
  assert.equal(after.length, before.length);
  assert.deepEqual(
    after.filter((line, index) => line !== before[index]).map((line) => (JSON.parse(line) as { path: string }).path),
    [`${tree.slice(1)}/-rf`],
  );
});

test('several roots, one of them a file and one a symlink to a folder', async () => {
  const top = folder();
  mkdirSync(join(top, 'one'));
  mkdirSync(join(top, 'real'));
  writeFileSync(join(top, 'one/f'), '1');
  writeFileSync(join(top, 'real/g'), '2');
  writeFileSync(join(top, 'single'), '3');
  symlinkSync('real', join(top, 'current'));
  const dump = folder();
  const facts = await dumpFiles(
    { paths: [join(top, 'single'), `${join(top, 'one')}/`, join(top, 'current'), join(top, 'one')] },
    dump,
  );
  assert.deepEqual(
    (await catalogOf(dump)).map((path) => path.slice(top.length)),
    ['current', 'current/g', 'one', 'one/f', 'single'],
  );
  assert.deepEqual(
    facts.roots.map((root) => root.realPath),
    [join(top, 'real'), undefined, undefined],
  );
  assert.equal(readFileSync(join(untar(dump), top, 'current/g'), 'utf8'), '2');
});

test('include and exclude patterns; folders count only as the way to what is included', async () => {
  const tree = folder();
  for (const path of [
    'src/a.ts',
    'src/a.js',
    'src/deep/b.ts',
    'logs/x.log',
    'logs/keep.log',
    'docs/r.md',
    'node_modules/m/i.ts',
    'cache',
  ]) {
    mkdirSync(join(tree, path, '..'), { recursive: true });
    writeFileSync(join(tree, path), path);
  }
  const dump = folder();
  const listed = async (patterns: { include?: string[]; exclude?: string[] }): Promise<string[]> => {
    await dumpFiles({ paths: [tree], ...patterns }, dump);
    return (await catalogOf(dump)).map((path) => path.slice(tree.length)).filter((path) => path !== '');
  };
  assert.deepEqual(await listed({ include: ['*.ts'], exclude: ['node_modules/'] }), [
    'src',
    'src/a.ts',
    'src/deep',
    'src/deep/b.ts',
  ]);
  assert.deepEqual(await listed({ exclude: ['*.log', '!keep.log', '/src', 'node_modules', 'cache/'] }), [
    'cache',
    'docs',
    'docs/r.md',
    'logs',
    'logs/keep.log',
  ]);
  assert.deepEqual(await listed({ include: ['docs/', 'src/deep'] }), [
    'docs',
    'docs/r.md',
    'src',
    'src/deep',
    'src/deep/b.ts',
  ]);
});

test('the repository folder is left out under every path that leads to it', async () => {
  const tree = folder();
  mkdirSync(join(tree, 'backups/packs'), { recursive: true });
  mkdirSync(join(tree, 'data'));
  writeFileSync(join(tree, 'backups/packs/p'), 'p');
  symlinkSync(join(tree, 'backups'), join(work, 'repository-link'));
  const dump = folder();
  await dumpFiles({ paths: [tree], excludeFolders: [join(work, 'repository-link')] }, dump);
  assert.deepEqual(
    (await catalogOf(dump)).map((path) => path.slice(tree.length)),
    ['', 'data'],
  );
  await assert.rejects(
    dumpFiles({ paths: [join(tree, 'backups')], excludeFolders: [join(work, 'repository-link')] }, dump),
    (error) => error instanceof LifeboatError && error.code === 'usage',
  );
});

test('a path that is missing, relative or inside another one fails the backup', async () => {
  const tree = folder();
  mkdirSync(join(tree, 'in'));
  const fails = (paths: string[], code: string, text: RegExp): Promise<void> =>
    assert.rejects(
      dumpFiles({ paths }, folder()),
      (error) => error instanceof LifeboatError && error.code === code && text.test(error.message),
    );
  await fails([tree, join(tree, 'gone')], 'source', /gone: it does not exist/);
  await fails(['relative'], 'usage', /not an absolute path/);
  await fails([tree, join(tree, 'in')], 'usage', /lies inside/);
  await fails([], 'usage', /no path/);
});

test('files that grow, shrink, vanish or change while read: warnings, and a tar that extracts', async () => {
  const tree = folder();
  const size = 6_000_000;
  for (const name of ['a-first', 'b-grows', 'c-shrinks', 'd-rewritten', 'e-steady']) {
    writeFileSync(join(tree, name), Buffer.alloc(size, name));
  }
  mkdirSync(join(tree, 'f'));
  // More than is looked at ahead: the last ones go before their turn.
  for (let index = 100; index < 200; index++) writeFileSync(join(tree, 'f', String(index)), 'small');
  const dump = folder();
  const context = listener();
  const steps = [
    { at: size * 1.5, act: () => appendFileSync(join(tree, 'b-grows'), 'more') },
    { at: size * 2.5, act: () => truncateSync(join(tree, 'c-shrinks'), 3_000_000) },
    { at: size * 3.5, act: () => writeFileSync(join(tree, 'd-rewritten'), Buffer.alloc(size, 'other')) },
    { at: size * 4.5, act: () => (unlinkSync(join(tree, 'e-steady')), rmSync(join(tree, 'f'), { recursive: true })) },
  ];
  const facts = await dumpFiles({ paths: [tree] }, dump, context, (bytes) => {
    while (steps[0] !== undefined && bytes > steps[0].at) steps.shift()?.act();
  });
  assert.deepEqual(
    facts.changed.paths,
    ['b-grows', 'c-shrinks', 'd-rewritten'].map((name) => join(tree, name)),
  );
  assert.deepEqual(facts.vanished.paths, [join(tree, 'f')]);
  const warned = [
    'b-grows changed while it was read: it grew',
    'c-shrinks changed while it was read: it became shorter',
    'd-rewritten changed',
    '/f vanished before it was read',
  ];
  assert.match(context.warnings().join('\n'), new RegExp(warned.join('[^]*')));
  const extracted = join(untar(dump), tree);
  assert.ok(readFileSync(join(extracted, 'a-first')).equals(Buffer.alloc(size, 'a-first')));
  assert.ok(readFileSync(join(extracted, 'b-grows')).equals(Buffer.alloc(size, 'b-grows')));
  assert.ok(readFileSync(join(extracted, 'e-steady')).equals(Buffer.alloc(size, 'e-steady')));
  const shrunk = readFileSync(join(extracted, 'c-shrinks'));
  assert.equal(shrunk.length, size);
  assert.ok(shrunk.subarray(0, 3_000_000).equals(Buffer.alloc(size, 'c-shrinks').subarray(0, 3_000_000)));
  assert.ok(shrunk.subarray(5_000_000).every((byte) => byte === 0));
  const changed: string[] = [];
  for await (const entry of readCatalog(folderReader(dump).open('files.catalog'))) {
    if (entry.changed) changed.push(entry.path.toString());
  }
  assert.equal(changed.length, 3);
});

test('a folder swapped for a symlink under the walk is not followed', async () => {
  const tree = folder();
  const outside = folder();
  writeFileSync(join(outside, 'secret'), 'secret');
  writeFileSync(join(tree, 'a'), Buffer.alloc(4_000_000));
  mkdirSync(join(tree, 'b'));
  writeFileSync(join(tree, 'b/inside'), 'x');
  const dump = folder();
  const facts = await dumpFiles({ paths: [tree] }, dump, listener(), (bytes) => {
    if (bytes < 1_000_000 || !existsSync(join(tree, 'b/inside'))) return;
    renameSync(join(tree, 'b'), join(work, 'b-moved'));
    symlinkSync(outside, join(tree, 'b'));
  });
  assert.ok(!(await catalogOf(dump)).some((path) => path.includes('secret')));
  assert.deepEqual(facts.vanished.paths, [join(tree, 'b')]);
});

test('sockets and pipes are named in warnings; devices are stored', async () => {
  const tree = folder();
  const server = createServer().listen(join(tree, 'socket'));
  await new Promise((resolve) => server.once('listening', resolve));
  execFileSync('mkfifo', [join(tree, 'pipe')]);
  execFileSync('mknod', [join(tree, 'null'), 'c', '1', '3']);
  execFileSync('mknod', [join(tree, 'disk'), 'b', '259', '300000']);
  writeFileSync(join(tree, 'file'), 'x');
  const dump = folder();
  const facts = await dumpFiles({ paths: [tree] }, dump);
  server.close();
  assert.deepEqual(facts.unsupported, { count: 2, paths: [join(tree, 'pipe'), join(tree, 'socket')] });
  assert.equal(facts.devices, 2);
  assert.match(
    execFileSync('tar', ['-tvf', join(dump, 'files.tar')], { encoding: 'utf8' }),
    /^b.* 259,300000 .*disk\n.*file\nc.* 1,3 .*null$/m,
  );
});

test('what another user may not read is named, and the rest is backed up', async () => {
  const tree = folder();
  mkdirSync(join(tree, 'closed'));
  writeFileSync(join(tree, 'closed/in'), 'x');
  writeFileSync(join(tree, 'big-closed'), Buffer.alloc(1_000_000));
  writeFileSync(join(tree, 'small-closed'), 'x');
  writeFileSync(join(tree, 'open'), 'x');
  for (const name of ['closed', 'big-closed', 'small-closed']) chmodSync(join(tree, name), 0);
  const dump = folder();
  for (const path of [work, dump]) chmodSync(path, 0o777);
  const script = `import { dumpFiles } from '${import.meta.dirname}/../helpers/source/files-dump.ts';
    const facts = await dumpFiles({ paths: [process.argv[1]] }, process.argv[2]);
    console.log(JSON.stringify(facts.unreadable));`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script, tree, dump], {
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  });
  assert.deepEqual(JSON.parse(out), {
    count: 3,
    paths: ['big-closed', 'closed', 'small-closed'].map((name) => join(tree, name)),
  });
  assert.deepEqual(
    (await catalogOf(dump)).map((path) => path.slice(tree.length)),
    ['', 'closed', 'open'],
  );
});

test('other file systems are entered, or not, as asked; access times stay', async () => {
  const tree = folder();
  mkdirSync(join(tree, 'mounted'));
  writeFileSync(join(tree, 'file'), 'x');
  utimesSync(join(tree, 'file'), 1, 2);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(tree, 'mounted')]);
  try {
    writeFileSync(join(tree, 'mounted/in'), 'x');
    const dump = folder();
    await dumpFiles({ paths: [tree] }, dump);
    assert.deepEqual(
      (await catalogOf(dump)).map((path) => path.slice(tree.length)),
      ['', 'file', 'mounted', 'mounted/in'],
    );
    await dumpFiles({ paths: [tree], oneFileSystem: true }, dump);
    assert.deepEqual(
      (await catalogOf(dump)).map((path) => path.slice(tree.length)),
      ['', 'file', 'mounted'],
    );
  } finally {
    execFileSync('umount', [join(tree, 'mounted')]);
  }
  assert.equal(statSync(join(tree, 'file')).atimeMs, 1000);
});

test('a probe names the roots, and fails for one that is missing', async () => {
  const tree = folder();
  const probe = (paths: string[]): Promise<SourceInfo> =>
    filesSource({ paths, include: [], exclude: [] }).probe(listener());
  assert.deepEqual(await probe([tree]), {
    serverVersion: undefined,
    identity: { paths: tree },
    estimatedBytes: undefined,
    problems: [],
  });
  await assert.rejects(
    probe([join(tree, 'gone')]),
    (error) => error instanceof LifeboatError && error.code === 'source',
  );
});

test('with more linked files than it can remember, contents are stored again, with a warning', async () => {
  const tree = folder();
  for (let index = 0; index < 5; index++) {
    writeFileSync(join(tree, `a${index}`), `content ${index}`);
    execFileSync('ln', [join(tree, `a${index}`), join(tree, `b${index}`)]);
  }
  const context = listener();
  const dump = folder();
  const facts = await dumpFiles({ paths: [tree], linkLimit: 3 }, dump, context);
  assert.deepEqual([facts.files, facts.hardlinks], [7, 3]);
  assert.match(context.warnings().join('\n'), /a3 is stored once for each of its names/);
  assert.deepEqual(compareTrees(readTree(tree), readTree(join(untar(dump), tree)), { ignore: ['names'] }), []);
});

test('trees deeper than the longest path are backed up', async () => {
  const tree = folder();
  makeDeepTree(tree);
  const dump = folder();
  const context = listener();
  const facts = await dumpFiles({ paths: [tree] }, dump, context);
  assert.deepEqual([context.warnings(), facts.folders, facts.files], [[], 41, 1]);
  assert.equal((await catalogOf(dump)).at(-1)?.length, tree.length - 1 + 40 * 201 + '/bottom'.length);
});

test('leaving a dump early, by the loop or by an abort, releases its descriptors', async () => {
  const tree = folder();
  makeSampleTree(tree);
  const open = (): string[] => readdirSync('/proc/self/fd');
  const count = open().length;
  const source = filesSource({ paths: [tree], include: [], exclude: [] });
  for await (const artifact of source.dump(listener())) {
    if (artifact.body.from === 'stream') for await (const _ of artifact.body.stream) break;
    break;
  }
  assert.equal(open().length, count);
  const stop = new AbortController();
  const aborted = dumpFiles({ paths: [tree] }, folder(), listener(stop.signal), () => stop.abort(new Error('stopped')));
  await assert.rejects(aborted, /stopped/);
  // The file that the test itself writes to stays open.
  assert.ok(open().length <= count + 1);
});

test('whoever asks for the catalog before the tar has ended gets it when it has', async () => {
  const tree = folder();
  makeSampleTree(tree);
  const source = filesSource({ paths: [tree], include: [], exclude: [] });
  const dump = source.dump(listener());
  const artifacts = dump[Symbol.asyncIterator]();
  const first = await artifacts.next();
  const asked = artifacts.next();
  let tarEnded = false;
  const order = asked.then((next) => {
    assert.ok(tarEnded);
    assert.equal((next.value as { name: string }).name, 'files.catalog');
  });
  const tar = first.value as { body: { from: 'stream'; stream: AsyncIterable<Uint8Array> } };
  for await (const _ of tar.body.stream) await new Promise((resolve) => setTimeout(resolve, 5));
  tarEnded = true;
  await order;
  await artifacts.return?.();
});
