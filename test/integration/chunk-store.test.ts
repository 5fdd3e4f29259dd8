/** Streams through the real writer and reader, into a folder and back. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { CompressionConfig } from '../../src/config/config.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import { openArtifacts } from '../../src/repository/packs/artifact-reader.ts';
import { boxKind } from '../../src/repository/box/layout.ts';
import { chunkIdKey, chunkIdOf } from '../../src/repository/box/chunk-id.ts';
import { openBox, sealBox } from '../../src/repository/box/box.ts';
import type { ManifestArtifact } from '../../src/repository/manifests/manifest.ts';
import {
  openChunkRepository as openRepository,
  type ChunkRepository,
  readAll,
  streamArtifact,
  toolArtifact,
} from '../helpers/repository/chunk-repository.ts';

const opened: ChunkRepository[] = [];
after(async () => {
  for (const repository of opened) await repository.remove();
});

async function openChunkRepository(options: Parameters<typeof openRepository>[0]): Promise<ChunkRepository> {
  const repository = await openRepository(options);
  opened.push(repository);
  return repository;
}

const methods: CompressionConfig[] = [
  { method: 'none', level: 0 },
  { method: 'gzip', level: 1 },
  { method: 'zstd', level: 3 },
  { method: 'lz4', level: 0 },
];

/** Half text, half noise, from a seed: the same each time. */
function sample(bytes: number, seed: string): Buffer {
  const out = Buffer.alloc(bytes);
  let at = 0;
  for (let n = 0; at < bytes; n++) {
    const noise = createHash('sha256').update(`${seed}${n}`).digest();
    at += out.write(`row ${n} of ${seed}: ${noise.toString('hex')}\n`, at, 'latin1');
  }
  return out;
}

describe('a stream through the chunk store', () => {
  for (const compression of methods) {
    for (const encrypted of [true, false]) {
      test(`${compression.method}, ${encrypted ? 'encrypted' : 'plain'}: comes back as it was`, async () => {
        const repository = await openChunkRepository({ encrypted, compression });
        const text = sample(9_000_000, compression.method);
        const noise = randomBytes(5_000_001);
        const pieces = [text.subarray(0, 3), text.subarray(3, 4_000_000), text.subarray(4_000_000)];
        const backup = await repository.store([
          streamArtifact('a', pieces),
          streamArtifact('b', [noise]),
          streamArtifact('empty', []),
        ]);
        assert.deepEqual(await readAll(backup.reader.open('a')), text);
        assert.deepEqual(await readAll(backup.reader.open('b')), noise);
        assert.deepEqual(await readAll(backup.reader.open('empty')), Buffer.alloc(0));
        for (const [start, end] of [
          [0, 1],
          [1_000_000, 5_000_123],
          [8_999_999, 9_000_000],
          [77, 77],
        ] as const) {
          assert.deepEqual(await readAll(backup.reader.open('a', { start, end })), text.subarray(start, end));
        }
      });
    }
  }

  test('from a program: the same chunks as from our own code', async () => {
    const repository = await openChunkRepository({ encrypted: true });
    const data = sample(40_000_000, 'tool');
    const path = join(repository.folder, '.input');
    await writeFile(path, data);
    const first = await repository.store([toolArtifact('a', 'cat', [path])]);
    assert.deepEqual(await readAll(first.reader.open('a')), data);
    const second = await repository.store([streamArtifact('a', [data])], { parent: first });
    assert.equal(second.totals.newBytes, 0);
    assert.deepEqual(await readAll(second.reader.open('a')), data);
  });

  test('a changed backup stores only what changed', async () => {
    const repository = await openChunkRepository({ encrypted: true });
    const data = sample(60_000_000, 'parent');
    const first = await repository.store([streamArtifact('a', [data])]);
    const changed = Buffer.concat([
      data.subarray(0, 20_000_000),
      sample(300_000, 'inserted'),
      data.subarray(20_000_001),
    ]);
    const second = await repository.store([streamArtifact('a', [changed])], { parent: first });
    // What was inserted, and a chunk of the largest size on each side of it and at the end.
    assert.ok(
      second.totals.newBytes > 300_000 && second.totals.newBytes < 300_000 + 3 * 4 * 1024 * 1024,
      `${second.totals.newBytes} new bytes`,
    );
    assert.deepEqual(await readAll(second.reader.open('a')), changed);
    assert.deepEqual(await readAll(first.reader.open('a')), data);
  });

  test('runs of zeros are stored once', async () => {
    const repository = await openChunkRepository({ encrypted: true, compression: { method: 'none', level: 0 } });
    const backup = await repository.store([streamArtifact('a', [Buffer.alloc(80_000_000)])]);
    assert.ok(backup.totals.storedBytes < 9_000_000, `${backup.totals.storedBytes} bytes stored`);
    assert.ok((await readAll(backup.reader.open('a'))).equals(Buffer.alloc(80_000_000)));
  });

  test('many streams side by side share packs', async () => {
    const repository = await openChunkRepository({ encrypted: true });
    const data = Array.from({ length: 12 }, (_, n) => sample(1_500_000, `stream ${n}`));
    const backup = await repository.store(
      data.map((each, n) =>
        n % 2 === 0
          ? streamArtifact(`s${n}`, [each])
          : toolArtifact(`s${n}`, 'printf', ['%s', each.toString('latin1').slice(0, 100_000)]),
      ),
    );
    for (const [n, each] of data.entries()) {
      assert.deepEqual(await readAll(backup.reader.open(`s${n}`)), n % 2 === 0 ? each : each.subarray(0, 100_000));
    }
    const packs = (await repository.storage.list('packs/')[Symbol.asyncIterator]().next()).value;
    assert.ok(packs !== undefined);
  });
});

describe('a stream that fails', () => {
  const cases = [
    { name: 'a program that exits with an error', args: ['-c', 'head -c 6000000 /dev/zero; exit 3'] },
    { name: 'a program that is killed', args: ['-c', 'head -c 6000000 /dev/zero; kill -9 $$'] },
  ];
  for (const { name, args } of cases) {
    test(`${name} fails the store`, async () => {
      const repository = await openChunkRepository({ encrypted: true });
      await assert.rejects(repository.store([toolArtifact('a', 'sh', args)]), { code: 'source' });
    });
  }

  test('a program that hangs is ended', async () => {
    const repository = await openChunkRepository({ encrypted: true });
    const started = performance.now();
    await assert.rejects(
      repository.store([toolArtifact('a', 'sh', ['-c', 'head -c 70000 /dev/zero; exec sleep 1000'])], {
        hangTimeoutMs: 300,
      }),
      { code: 'source', message: /hung/ },
    );
    assert.ok(performance.now() - started < 100_000);
  });

  test('an abort ends the program and the store', async () => {
    const repository = await openChunkRepository({ encrypted: true });
    const stop = new AbortController();
    setTimeout(() => stop.abort(new LifeboatError('source', 'stop it')), 200);
    await assert.rejects(repository.store([toolArtifact('a', 'cat', ['/dev/zero'])], { signal: stop.signal }), {
      message: 'stop it',
    });
  });

  test('a size guard ends it', async () => {
    const repository = await openChunkRepository({ encrypted: true });
    await assert.rejects(
      repository.store([streamArtifact('a', [randomBytes(30_000_000)])], { maxStoredBytes: 5_000_000 }),
      { code: 'space' },
    );
  });
});

test('every flipped byte and every truncation of every object is noticed', async () => {
  for (const encrypted of [true, false]) {
    const repository = await openChunkRepository({ encrypted });
    const data = sample(3000, 'flip');
    const backup = await repository.store([streamArtifact('a', [data])]);
    const trusting = openArtifacts({ ...repository, artifacts: backup.artifacts, trustChecksums: true });
    const files = (await readdir(repository.folder, { recursive: true })).map((name) => join(repository.folder, name));
    for (const path of files) {
      if (!(await stat(path)).isFile() || !/\.(pack|index)$/.test(path)) continue;
      const whole = await readFile(path);
      // What a range read of a pack does not touch (its directory and trailer) is validate's business.
      const reach = path.endsWith('.pack') ? backup.totals.storedBytes + 64 : whole.length;
      for (let at = path.endsWith('.pack') ? 64 : 0; at < reach; at++) {
        const flipped = Buffer.from(whole);
        flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
        await writeFile(path, flipped);
        for (const reader of [backup.reader, trusting]) {
          await assert.rejects(readAll(reader.open('a')), { code: 'integrity' }, `${path} byte ${at}`);
        }
      }
      for (const length of [0, 1, 63, 64, 100, reach - 1]) {
        await writeFile(path, whole.subarray(0, length));
        await assert.rejects(readAll(backup.reader.open('a')), LifeboatError, `${path} cut to ${length}`);
      }
      await writeFile(path, whole);
    }
    assert.deepEqual(await readAll(backup.reader.open('a')), data);
  }
});

test('an index that names another chunk is noticed, but by a reader that trusts checksums and finds one', async () => {
  const wanted = { none: 'read', zstd: 'read', gzip: 'integrity', lz4: 'integrity' };
  for (const encrypted of [true, false]) {
    for (const compression of methods) {
      const repository = await openChunkRepository({ encrypted, compression });
      const plain = sample(200_000, 'trust');
      const artifacts = await nameAnotherChunk(
        repository,
        await repository.store([streamArtifact('a', [plain])]),
        plain,
      );
      const { storage, dataKey } = repository;
      const read = async (trustChecksums: boolean): Promise<unknown> =>
        readAll(openArtifacts({ storage, dataKey, artifacts, trustChecksums }).open('a')).then(
          (bytes) => bytes.equals(plain) && 'read',
          (error: unknown) => (error instanceof LifeboatError ? error.code : error),
        );
      assert.equal(await read(false), 'integrity');
      assert.equal(
        await read(true),
        encrypted ? wanted[compression.method] : 'integrity',
        `${compression.method}, ${encrypted ? 'encrypted' : 'plain'}`,
      );
    }
  }
});

/** The same artifact, whose only chunk has another id in an index that is sealed anew. */
async function nameAnotherChunk(
  { storage, dataKey }: ChunkRepository,
  { artifacts }: { artifacts: readonly ManifestArtifact[] },
  plain: Buffer,
): Promise<ManifestArtifact[]> {
  const [artifact] = artifacts;
  const [part] = artifact?.index ?? [];
  assert.ok(artifact !== undefined && part !== undefined);
  const content = Buffer.from(await openBox(await storage.get(part.object), boxKind.index, part.object, dataKey));
  const at = content.indexOf(chunkIdOf(chunkIdKey(dataKey), plain));
  assert.ok(at >= 0);
  content.writeUInt8(content.readUInt8(at) ^ 1, at);
  const sealed = await sealBox(boxKind.index, part.object, dataKey, content, { method: 'none', level: 0 });
  await storage.remove([part.object]);
  await storage.put(part.object, sealed);
  const box = Buffer.concat(sealed);
  return [
    { ...artifact, index: [{ ...part, bytes: box.length, sha256: createHash('sha256').update(box).digest('hex') }] },
  ];
}
