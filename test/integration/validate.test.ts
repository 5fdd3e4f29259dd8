/**
 * Validation of real backups: every byte, every archive, samples, evidence, and what it says where it may not write.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LifeboatError } from '../../src/lib/errors.ts';
import { proofStateOf } from '../../src/operations/proof/state.ts';
import { isInShare } from '../../src/lib/rotation.ts';
import { validateRepository } from '../../src/operations/validate/validate.ts';
import { verifyPack } from '../../src/operations/validate/packs.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { withFaults, type Fault } from '../helpers/storage/faulty-storage.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { StorageError } from '../../src/storage/storage.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { fillMany, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { damagedRepository, storeAltered, type DamagedRepository } from '../helpers/repository/validation.ts';

describe('dumps, snapshots and trees, read to their end', () => {
  let postgres: TestPostgres;
  let redis: TestRedis;
  let home: DamagedRepository;
  let id: string;
  let tree: string;

  before(async () => {
    [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    await postgres.psql('postgres', 'CREATE DATABASE shop');
    await postgres.psql(
      'shop',
      "CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, 'item ' || n FROM " +
        'generate_series(1, 20000) n; CREATE TABLE empty ()',
    );
    fillMany(redis, 500);
    tree = mkdtempSync(join(tmpdir(), 'tree-'));
    writeFileSync(join(tree, 'a'), 'first');
    home = await damagedRepository({
      main: { postgres: { url: postgres.url('shop') }, redis: { url: redis.url() }, files: { paths: [tree] } },
    });
    id = await home.backup();
  });
  after(async () => {
    home?.[Symbol.dispose]();
    rmSync(tree, { recursive: true });
    await Promise.all([postgres?.stop(), redis?.stop()]);
  });

  test('a good backup is decoded; evidence names the tool that read, and no content', async () => {
    const result = await home.validate({ level: 'deep' });
    assert.deepEqual([result.damaged, result.warnings], [[], []]);
    assert.ok((result.counts['archives'] ?? 0) >= 5);
    const standing = await home.use(async (repository) => proofStateOf(repository, await repository.readManifest(id)));
    assert.equal(standing?.state, 'decoded');
    const text = readFileSync(join(home.root, result.backups[0]?.evidence ?? ''), 'utf8');
    assert.match(text, /"pg_restore": "\d+/);
    assert.doesNotMatch(text, /item|shop|tree-/);
  });

  test('lost bytes of the dump name the tables in it', async () => {
    const [pack = ''] = readdirSync(join(home.root, 'packs'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.pack'),
    );
    const restore = await home.keep();
    rmSync(join(home.root, 'packs', pack));
    const { damaged } = await home.validate({ level: 'quick' });
    await restore();
    const contents = damaged.flatMap(({ backups }) =>
      backups.flatMap(({ artifacts }) => artifacts.flatMap((each) => each.contents)),
    );
    for (const expected of [
      'shop.public.item',
      'shop.public.empty',
      'definitions of database shop',
      'database 0 (500 keys)',
      'role postgres',
    ]) {
      assert.ok(contents.includes(expected), `${expected} of ${contents.join(', ')}`);
    }
    // The catalog lay in the same pack: nobody knows the names of files then.
    assert.ok(
      damaged[0]?.backups[0]?.artifacts.some(({ name, contentCount }) => name === 'files.tar' && contentCount === 0),
    );
  });

  /** An authentic backup whose `artifact` was bad before it was stored: which objects each level names. */
  async function bad(
    artifact: string | RegExp,
    alter: (bytes: Buffer) => Buffer,
  ): Promise<{ stored: number; deep: string[]; problem: string }> {
    const isIt = (name: string): boolean => (typeof artifact === 'string' ? name === artifact : artifact.test(name));
    const altered = await home.use(async (repository) =>
      storeAltered(repository, id, (name, bytes) => (isIt(name) ? alter(bytes) : bytes)),
    );
    const stored = await home.validate({ all: false, ids: [altered.id] });
    const deep = await home.validate({ all: false, ids: [altered.id], level: 'deep' });
    assert.deepEqual(
      deep.backups.map(({ result }) => result),
      [deep.damaged.length > 0 ? 'failed' : 'ok'],
    );
    assert.deepEqual(
      new Set(deep.damaged.map(({ kind }) => kind)),
      new Set(deep.damaged.length > 0 ? ['content'] : []),
    );
    return {
      stored: stored.damaged.length,
      deep: deep.damaged.flatMap(({ backups }) => backups.flatMap((each) => each.artifacts.map(({ name }) => name))),
      problem: deep.damaged.map(({ problem }) => problem).join(),
    };
  }

  const cut = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length - 3000);
  const changed = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    const at = Math.floor(copy.length / 2);
    copy[at] = (copy[at] ?? 0) ^ 0xff;
    return copy;
  };

  test('the same archives, stored once more, are as good', async () => {
    assert.deepEqual(await bad('none', cut), { stored: 0, deep: [], problem: '' });
  });

  for (const [what, artifact, alter, expected] of [
    ['garbage in place of a dump', 'data.dump', () => Buffer.alloc(100_000, 'garbage'), /./],
    ['a dump that is cut', 'data.dump', cut, /pg_restore/],
    ['a schema that is cut', 'schema.dump', cut, /./],
    ['a snapshot of Redis with a flipped byte', /\.rdb$/, changed, /./],
    ['a snapshot that is cut', /\.rdb$/, cut, /./],
    ['a tar with a flipped byte', 'files.tar', changed, /./],
    ['a tar that is cut', 'files.tar', (bytes: Buffer) => bytes.subarray(0, 2048), /./],
  ] as const) {
    test(`${what}: every stored byte is right, and only --deep knows`, async () => {
      const { stored, deep, problem } = await bad(artifact, alter);
      assert.equal(stored, 0);
      assert.equal(deep.length, 1, deep.join());
      assert.match(
        deep[0] ?? '',
        typeof artifact === 'string' ? new RegExp(`^${artifact.replaceAll('.', '\\.')}$`) : artifact,
      );
      assert.match(problem, expected);
    });
  }

  test('a catalog that is another one is named with its tar', async () => {
    const { stored, deep } = await bad('files.catalog', (bytes) =>
      Buffer.from(bytes.toString().replaceAll('"uid":0', '"uid":1')),
    );
    assert.deepEqual([stored, deep], [0, ['files.tar']]);
  });
});

describe('levels, samples and evidence', () => {
  test('a flip at any byte of a pack is noticed', async () => {
    using home = await damagedRepository({ main: { files: { paths: [import.meta.filename] } } });
    await home.backup();
    const [name = ''] = readdirSync(join(home.root, 'packs'), { recursive: true, encoding: 'utf8' }).filter((each) =>
      each.endsWith('.pack'),
    );
    const path = join(home.root, 'packs', name);
    const bytes = readFileSync(path);
    assert.ok(bytes.length < 10_000);
    const { dataKey } = await home.use(async (repository) => {
      for await (const { manifest } of repository.listManifests()) {
        if (manifest !== undefined) return { dataKey: await repository.dataKeyOf(manifest) };
      }
      throw new Error('no backup');
    });
    const pack = { id: Buffer.from(name.slice(3, 35), 'hex'), dataKey, bytes: bytes.length, isPresent: true };
    verifyPack(bytes, pack);
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      assert.throws(() => verifyPack(bytes, pack), { code: 'integrity' }, `byte ${at}`);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    }
  });

  test('samples read other packs each time, and all of them in as many runs as there are parts', async () => {
    using home = await damagedRepository();
    for (let n = 0; n < 6; n++) {
      writeFileSync(join(home.work, 'main', `more${n}`), Buffer.alloc(200_000, `${n}`));
      await home.backup('main');
    }
    const read: number[] = [];
    const parts = new Set<number>();
    for (let n = 0; n < 4; n++) {
      const { sample, counts, damaged } = await home.validate({ samplePercent: 25 });
      assert.equal(sample?.parts, 4);
      parts.add(sample?.part ?? 0);
      read.push(counts['packsRead'] ?? 0);
      assert.deepEqual(damaged, []);
    }
    assert.deepEqual(parts, new Set([1, 2, 3, 4]));
    const packs = readdirSync(join(home.root, 'packs'), { recursive: true, encoding: 'utf8' }).filter((each) =>
      each.endsWith('.pack'),
    );
    assert.equal(
      read.reduce((sum, each) => sum + each, 0),
      packs.length,
    );
    for (const name of packs) {
      assert.equal(
        [1, 2, 3, 4].filter((part) => isInShare(Buffer.from(name.slice(3, 35), 'hex'), { part, parts: 4 })).length,
        1,
      );
    }
  });

  test('each pack is read once however many backups share it; what is damaged is not built upon', async () => {
    using home = await damagedRepository();
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) {
      // Ids sort by whole seconds.
      await sleep(n === 0 ? 0 : 1100);
      ids.push(await home.backup('main'));
    }
    const { counts } = await home.validate();
    assert.deepEqual(
      [counts['packsRead'], counts['packs']],
      [counts['packs'], readdirSync(join(home.root, 'packs')).length],
    );
    const [name = ''] = readdirSync(join(home.root, 'packs'), { recursive: true, encoding: 'utf8' }).filter((each) =>
      each.endsWith('.pack'),
    );
    const path = join(home.root, 'packs', name);
    const bytes = readFileSync(path);
    bytes[500] = (bytes[500] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    // Only the newest is asked for; all three are told and lose their state.
    const { damaged, backups } = await home.validate({ all: false, target: 'main' });
    assert.deepEqual(
      backups.map(({ id, result }) => [id, result]),
      [[ids[2], 'failed']],
    );
    assert.deepEqual(
      damaged[0]?.backups.map(({ id }) => id),
      ids.toReversed(),
    );
    for (const id of ids) {
      assert.equal(
        (await home.use(async (repository) => proofStateOf(repository, await repository.readManifest(id))))?.failing,
        true,
      );
    }
    await sleep(1100);
    const next = await home.backup('main');
    assert.deepEqual((await home.validate({ all: false, ids: [next] })).damaged, []);
    assert.deepEqual(new Set([...(await home.unreadable())].map((each) => each.split(':')[0])), new Set(ids));
  });

  test('without encryption the same is found', async () => {
    using home = await damagedRepository(undefined, false);
    const id = await home.backup('main');
    const [name = ''] = readdirSync(join(home.root, 'packs'), { recursive: true, encoding: 'utf8' }).filter((each) =>
      each.endsWith('.pack'),
    );
    const path = join(home.root, 'packs', name);
    const bytes = readFileSync(path);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { damaged } = await home.validate();
    assert.deepEqual(
      damaged.map(({ object, backups }) => [object, backups.map((each) => each.id)]),
      [[`packs/${name}`, [id]]],
    );
    assert.deepEqual((await home.integrity()).findings, []);
  });

  test('where nothing may be written it reads all the same, and says that nothing is recorded', async () => {
    using home = await damagedRepository();
    await home.backup('main');
    const refused: Fault[] = (['put', 'remove'] as const).map((method) => ({
      method,
      call: 1,
      times: 1e9,
      kind: 'before',
      error: () => new StorageError('the file system is mounted read-only'),
    }));
    const repository = await openRepository(
      withFaults(openLocalStorage(home.root), refused),
      home.loaded.config.encryption,
      join(home.work, 'state-b'),
    );
    const result = await validateRepository(repository, { ids: [], all: true, level: 'stored' }, 2, home.context);
    assert.deepEqual(result.damaged, []);
    assert.deepEqual(
      result.backups.map(({ result: each, evidence }) => [each, evidence]),
      [['ok', undefined]],
    );
    assert.equal(result.warnings.length, 2, result.warnings.join('\n'));
    assert.match(result.warnings.join('\n'), /without a lease[\s\S]*no evidence is recorded/);
  });

  test('requests that contradict themselves, and ids that are none', async () => {
    using home = await damagedRepository();
    const code = async (request: Parameters<DamagedRepository['validate']>[0]): Promise<string> =>
      home.validate(request).then(
        () => 'none',
        (error: unknown) => (error as LifeboatError).code,
      );
    assert.equal(await code({}), 'not_found');
    await home.backup('main');
    assert.equal(await code({ ids: ['latest'] }), 'usage');
    assert.equal(await code({ level: 'quick', samplePercent: 5 }), 'usage');
    assert.equal(await code({ all: false, ids: ['2001'] }), 'not_found');
    assert.equal(await code({ all: false, ids: ['latest', 'latest'] }), 'none');
    assert.equal(await code({ all: false, ids: ['latest:proven'] }), 'not_found');
  });
});
