/** rescue.mjs, run as an operator would: a process of its own, over a repository that the program's own writer made. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import type { CompressionConfig, EncryptionConfig } from '../../src/config/config.ts';
import { newIdentity, recipientOf } from '../../src/repository/keys/age.ts';
import type { Manifest } from '../../src/repository/manifests/manifest.ts';
import { signerFromSeed } from '../../src/repository/box/signing.ts';
import { sealWalBox } from '../../src/repository/wal/box.ts';
import { bomb } from '../helpers/repository/bomb.ts';
import { streamArtifact } from '../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository, type TestRepository } from '../helpers/repository/repository.ts';

const base = mkdtempSync(join(tmpdir(), 'rescue-'));
after(() => rmSync(base, { recursive: true, force: true }));
let runs = 0;

const rawKey = 'a1'.repeat(32);
const identity = await newIdentity();
const recipient = await recipientOf(identity);

/** Runs the script; `secret` goes into a key file. */
function rescue(
  args: readonly string[],
  secret?: string,
  env: Record<string, string> = {},
): { code: number | null; out: string; err: string } {
  const keyFile = join(base, `key-${runs++}`);
  if (secret !== undefined) writeFileSync(keyFile, secret);
  const script = new URL('../../src/repository/rescue/rescue.mjs', import.meta.url).pathname;
  const run = spawnSync(process.execPath, [script, ...args, ...(secret === undefined ? [] : ['--key-file', keyFile])], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

const outFolder = (): string => join(base, `out-${runs++}`);

/** Text that compresses, noise that does not, an empty stream, one of several chunks with long repetitions. */
const contents: Record<string, Buffer> = {
  'schema.dump': Buffer.from(
    Array.from({ length: 40_000 }, (_, i) => `line ${i} ${i % 7 === 0 ? 'again and again and again' : i * 31}\n`).join(
      '',
    ),
  ),
  'data-0a0b0c0d.dump': randomBytes(5 * 1024 * 1024 + 17),
  'empty.tar': Buffer.alloc(0),
  'dump.rdb': Buffer.concat([Buffer.alloc(3 * 1024 * 1024, 'ab'), randomBytes(1000), Buffer.alloc(700_000)]),
  'globals.sql': Buffer.from('x'),
};

async function filled(
  config: EncryptionConfig,
  compression: CompressionConfig,
): Promise<{ home: TestRepository; manifest: Manifest }> {
  const home = testRepository();
  after(() => home[Symbol.dispose]());
  const repository = await home.create(config);
  const artifacts = Object.entries(contents).map(([name, bytes]) => streamArtifact(name, [bytes]));
  return { home, manifest: await backUp(repository, artifacts, { compression, facts: { server: 'b\u00fccher' } }) };
}

function checkExtracted(out: string): void {
  assert.deepEqual(readdirSync(out).toSorted(), [...Object.keys(contents), 'SHA256SUMS', 'facts.json'].toSorted());
  for (const [name, bytes] of Object.entries(contents)) assert.ok(readFileSync(join(out, name)).equals(bytes), name);
  assert.deepEqual(JSON.parse(readFileSync(join(out, 'facts.json'), 'utf8')), { server: 'b\u00fccher' });
  const sums = spawnSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: out });
  assert.equal(sums.status, 0, String(sums.stderr));
  assert.equal(statSync(join(out, 'globals.sql')).mode & 0o777, 0o600);
}

const compressions: CompressionConfig[] = [
  { method: 'none', level: 0 },
  { method: 'gzip', level: 6 },
  { method: 'zstd', level: 3 },
  { method: 'lz4', level: 0 },
];

for (const compression of compressions) {
  test(`extracts everything, ${compression.method}, with a raw key`, async () => {
    const { home, manifest } = await filled(encryption({ key: rawKey }), compression);
    const listed = rescue(['list', home.root], rawKey);
    assert.equal(listed.code, 0, listed.err);
    assert.match(listed.out, new RegExp(`^${manifest.id}  \\d+ bytes  files  sealed$`, 'm'));
    const out = outFolder();
    const { code, err } = rescue(['extract', home.root, manifest.id, out], rawKey);
    assert.equal(code, 0, err);
    checkExtracted(out);
  });
}

test('the copy in the repository is the same script, and works without encryption', async () => {
  const { home, manifest } = await filled(encryption({ enabled: false }), { method: 'lz4', level: 0 });
  assert.deepEqual(
    readFileSync(join(home.root, 'rescue/rescue.mjs')),
    readFileSync(new URL('../../src/repository/rescue/rescue.mjs', import.meta.url)),
  );
  const out = outFolder();
  assert.equal(rescue(['extract', home.root, manifest.id, out]).code, 0);
  checkExtracted(out);
  assert.equal(rescue(['list', home.root], rawKey).code, 12, 'a key is configured: nothing unencrypted is taken');
});

test('a passphrase from the environment; a wrong one, none and a damaged key are told apart', async () => {
  const { home, manifest } = await filled(encryption({ passphrase: 'gr\u00fcn und blau' }), {
    method: 'zstd',
    level: 1,
  });
  const out = outFolder();
  assert.equal(
    rescue(['extract', home.root, manifest.id, out], undefined, { BACKUP_ENCRYPTION_PASSPHRASE: 'gru\u0308n und blau' })
      .code,
    0,
  );
  checkExtracted(out);
  assert.equal(rescue(['extract', home.root, manifest.id, outFolder()], 'gelb').code, 12);
  const none = rescue(['extract', home.root, manifest.id, outFolder()]);
  assert.deepEqual([none.code, none.err.includes('--key-file')], [12, true]);
  assert.equal(rescue(['list', home.root], rawKey.slice(1)).code, 12);
  assert.match(rescue(['list', home.root]).out, /not checked/);
});

test('an age identity: only what a trusted writer signed, unless forced; a copy of the key file serves', async () => {
  const { home, manifest } = await filled(encryption({ recipients: [recipient] }), { method: 'zstd', level: 3 });
  rmSync(join(home.root, 'keys'), { recursive: true });
  const refused = rescue(['extract', home.root, manifest.id, outFolder()], `# created\n${identity}\n`);
  assert.equal(refused.code, 12, refused.err);
  const signer = /signed by (\S+=)/.exec(refused.err)?.[1] ?? '';
  const out = outFolder();
  assert.equal(rescue(['extract', home.root, manifest.id, out, '--trust', signer], identity).code, 0);
  checkExtracted(out);
  const forced = outFolder();
  assert.equal(
    rescue(['extract', home.root, manifest.id, forced, '--force'], undefined, { BACKUP_ENCRYPTION_IDENTITY: identity })
      .code,
    0,
  );
  checkExtracted(forced);
  assert.equal(rescue(['extract', home.root, manifest.id, outFolder(), '--force'], await newIdentity()).code, 12);
  assert.match(
    rescue(
      ['list', home.root],
      identity.replace(/.$/, (last) => (last === 'Q' ? 'P' : 'Q')),
    ).err,
    /mistyped/,
  );
});

test('flipped bytes and truncations of every object it reads are noticed, and no artifact looks complete', async () => {
  const home = testRepository();
  after(() => home[Symbol.dispose]());
  const manifest = await backUp(await home.create(encryption({ key: rawKey })), [
    streamArtifact('one.bin', [Buffer.from('some content, twice: some content')]),
  ]);
  const objects = readdirSync(home.root, { recursive: true, encoding: 'utf8' }).filter(
    (name) => /^(packs|manifests|backups)\//.test(name) && statSync(join(home.root, name)).isFile(),
  );
  const pack = objects.find((name) => name.startsWith('packs/')) ?? '';
  const packBytes = statSync(join(home.root, pack)).size;
  // A pack's directory and trailer are no part of what a restore reads; nor is the table of packs, nor (while keys/ is
  // whole) the copy of the key.
  const readUpTo = (name: string): number =>
    name === pack
      ? 64 + readFileSync(join(home.root, pack)).readUInt32LE(packBytes - 24) - 64
      : statSync(join(home.root, name)).size;
  for (const name of objects.filter((each) => !/\/(packs|keys\.json)$/.test(each))) {
    const path = join(home.root, name);
    const bytes = readFileSync(path);
    const end = readUpTo(name);
    const from = name === pack ? 64 : 0;
    for (const at of new Set([
      from,
      end - 1,
      ...Array.from({ length: 3 }, () => from + Math.floor(Math.random() * (end - from))),
    ])) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ (1 << Math.floor(Math.random() * 8));
      for (const [what, harmed] of [
        ['flipped', flipped],
        ['cut', bytes.subarray(0, at)],
      ] as const) {
        writeFileSync(path, harmed);
        const out = outFolder();
        const { code, err } = rescue(['extract', home.root, manifest.id, out], rawKey);
        assert.ok(code === 14 || code === 12, `${name} ${what} at ${at} of ${bytes.length}: ${code} ${err}`);
        assert.ok(!existsSync(join(out, 'facts.json')) && !existsSync(join(out, 'SHA256SUMS')), 'looks complete');
        if (name === pack) assert.deepEqual(readdirSync(out), []);
      }
    }
    writeFileSync(path, bytes);
  }
  rmSync(join(home.root, pack));
  assert.equal(rescue(['extract', home.root, manifest.id, outFolder()], rawKey).code, 14);
});

test('what lies in a repository costs neither memory nor time by what it claims', async () => {
  const { home, manifest } = await filled(encryption({ enabled: false }), { method: 'none', level: 0 });
  const at = (object: string): string => join(home.root, object);
  const damaged = (words: readonly string[], message: RegExp): void => {
    const { code, err } = rescue(words);
    assert.deepEqual([code, message.test(err)], [14, true], `${words.join(' ')}: ${code} ${err}`);
  };
  mkdirSync(at('wal/1'), { recursive: true });
  const segment = 'wal/1/000000010000000000000001.wal';
  writeFileSync(at(segment), await bomb(3, segment));
  damaged(['extract', home.root, 'wal', outFolder()], /yields 16777216000 bytes, more than its kind may/);
  const object = at(`manifests/${manifest.id}.json`);
  const extract = (): readonly string[] => ['extract', home.root, manifest.id, outFolder()];
  const seal = `,\n  "seal": "${'0'.repeat(64)}"\n}\n`;
  writeFileSync(object, `{"x": ${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}${seal}`);
  damaged(extract(), /is not JSON/);
  writeFileSync(object, `{"x": [${'[],'.repeat(2_000_000)}[]]${seal}`);
  damaged(extract(), /too large/);
  truncateSync(object, 2 ** 33);
  damaged(extract(), /too large/);
  rmSync(object);
  spawnSync('mkfifo', [object]);
  damaged(extract(), /no file/);
});

test('usage: unknown commands, ids and folders that are not empty', async () => {
  const { home, manifest } = await filled(encryption({ key: rawKey }), { method: 'none', level: 0 });
  const full = outFolder();
  mkdirSync(full);
  writeFileSync(join(full, 'mine'), '');
  assert.equal(rescue(['extract', home.root, manifest.id, full], rawKey).code, 2);
  assert.deepEqual(readdirSync(full), ['mine']);
  assert.equal(rescue(['extract', home.root, '../../x', outFolder()], rawKey).code, 2);
  assert.equal(rescue(['extract', home.root, manifest.id.replace(/.{8}$/, '00000000'), outFolder()], rawKey).code, 10);
  assert.equal(rescue(['list', base], rawKey).code, 10);
  assert.equal(rescue([]).code, 2);
  assert.equal(rescue(['list', home.root, '--what']).code, 2);
});

for (const encrypted of [true, false]) {
  test(`write-ahead log comes out under PostgreSQL's names, ${encrypted ? 'encrypted' : 'not encrypted'}`, async () => {
    const home = testRepository();
    after(() => home[Symbol.dispose]());
    const config = encrypted ? encryption({ key: rawKey }) : encryption({ enabled: false });
    const key = await (await home.create(config)).writeKey();
    const put = async (name: string, folder: string, content: string, sealing = key): Promise<void> => {
      const object = `wal/7001/${folder}/${name}.wal`;
      mkdirSync(dirname(join(home.root, object)), { recursive: true });
      writeFileSync(
        join(home.root, object),
        Buffer.concat(await sealWalBox(object, Buffer.from(content), sealing, { method: 'zstd', level: 3 })),
      );
    };
    await put('000000010000000000000001', '00000001/00000000', 'one');
    await put('000000010000000000000002', '00000001/00000000', 'two');
    await put('000000010000000000000002.00000000020000A0.partial', '00000001/00000000', 'older than its segment');
    await put('000000010000000000000003.0000000003000010.partial', '00000001/00000000', 'short');
    await put('000000010000000000000003.00000000030000F0.partial', '00000001/00000000', 'longest');
    await put('000000020000000000000003.partial', '00000002/00000000', 'left by a promotion');
    await put('00000002.history', 'history', 'history');
    const out = outFolder();
    const secret = encrypted ? rawKey : undefined;
    const { code, err } = rescue(['extract', home.root, 'wal', out], secret);
    assert.equal(code, 0, err);
    const found = Object.fromEntries(
      readdirSync(join(out, '7001')).map((name) => [name, readFileSync(join(out, '7001', name), 'utf8')]),
    );
    assert.deepEqual(found, {
      '000000010000000000000001': 'one',
      '000000010000000000000002': 'two',
      '000000010000000000000003': 'longest',
      '000000020000000000000003.partial': 'left by a promotion',
      '00000002.history': 'history',
    });
    assert.match(rescue(['list', home.root], secret).out, /^wal /m);
    if (!encrypted) return;
    const signer = signerFromSeed(Buffer.alloc(32, 9));
    await put('000000010000000000000002', '00000001/00000000', 'two', {
      dataKey: key.dataKey,
      signer: { publicKey: key.signer?.publicKey ?? Buffer.alloc(32), sign: (bytes) => signer.sign(bytes) },
    });
    assert.equal(rescue(['extract', home.root, 'wal', outFolder()], secret).code, 14, 'a signature that does not fit');
  });
}
