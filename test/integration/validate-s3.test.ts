/**
 * Checks of every level, the accounting of the repository, and a drill, all on a real S3 server: a good repository is
 * good, and what is lost or changed in the bucket is named.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import { drill } from '../../src/operations/drill/drill.ts';
import { init } from '../../src/operations/setup/init.ts';
import { accountRepository } from '../../src/operations/integrity/integrity.ts';
import { show } from '../../src/operations/list/show.ts';
import { validate } from '../../src/operations/validate/validate.ts';
import { collectingContext } from '../helpers/servers/redis.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';

const work = mkdtempSync(join(tmpdir(), 'validate-s3-'));
const context = collectingContext();
let s3: TestS3Server;
let bucket = '';
let loaded: LoadedConfig;
const ids: string[] = [];

before(async () => {
  s3 = await startS3Server();
  bucket = await s3.makeBucket();
  const files = join(work, 'files');
  mkdirSync(files);
  const document = {
    repository: {
      url: `s3://${bucket}/some/prefix`,
      endpoint: s3.endpoint,
      pathStyle: true,
      accessKey: s3.accessKey,
      secretKey: s3.secretKey,
    },
    encryption: { key: 'c3'.repeat(32) },
    stateDir: join(work, 'state'),
    targets: { main: { files: { paths: [files] } } },
  };
  loaded = await loadConfig({ cwd: work, env: {}, document });
  await init(loaded, { configPath: undefined }, context);
  for (const name of ['one', 'two']) {
    writeFileSync(join(files, name), randomBytes(2_500_000));
    const done = await backup(
      loaded,
      { components: [], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
      context,
    );
    assert.ok(done.outcome === 'done');
    ids.push(done.id);
  }
});

after(async () => {
  await s3?.stop();
  rmSync(work, { recursive: true, force: true });
});

const levels = ['quick', 'stored', 'deep'] as const;

async function damagedAt(level: (typeof levels)[number]): Promise<string[]> {
  const { damaged } = await validate(loaded, { ids: [], all: true, level }, context);
  return damaged.map(({ object, kind }) => `${kind} ${object}`);
}

async function findings(): Promise<string[]> {
  return (await accountRepository(loaded, { logPercent: 100 }, context)).findings.map(
    ({ kind, object }) => `${kind} ${object}`,
  );
}

async function packs(): Promise<string[]> {
  const { Contents = [] } = await s3.client.send(
    new ListObjectsV2Command({ Bucket: bucket, Prefix: 'some/prefix/packs/' }),
  );
  return Contents.map(({ Key = '' }) => Key.slice('some/prefix/'.length));
}

test('a good repository is good by every level and as a whole, and its newest backup is proven', async () => {
  for (const level of levels) assert.deepEqual(await damagedAt(level), [], level);
  const { damaged } = await validate(loaded, { ids: [], all: true, level: 'stored', samplePercent: 50 }, context);
  assert.deepEqual(damaged, []);
  const account = await accountRepository(loaded, { logPercent: 100 }, context);
  assert.deepEqual([account.findings, account.orphans.count, account.young.count, account.warnings], [[], 0, 0, []]);
  assert.ok(
    (account.objects['packs']?.count ?? 0) >= 2 &&
      (account.objects['evidence']?.count ?? 0) > 0 &&
      (account.objects['audit']?.count ?? 0) > 0,
  );
  const { backups } = await drill(loaded, { ids: ['latest'] }, context);
  assert.deepEqual(
    backups.map(({ id, result }) => ({ id, result })),
    [{ id: ids[1], result: 'proven' }],
  );
  const shown = await show(loaded, { id: 'latest:proven' }, context);
  assert.equal(shown.backup.id, ids[1]);
});

test('an object that is gone, and one with a byte changed, are named by the levels that look there', async () => {
  const [lost = '', changed = ''] = await packs();
  const read = async (name: string): Promise<Buffer> =>
    Buffer.from(
      (await (
        await s3.client.send(new GetObjectCommand({ Bucket: bucket, Key: `some/prefix/${name}` }))
      ).Body?.transformToByteArray()) ?? [],
    );
  const write = async (name: string, body: Buffer): Promise<unknown> =>
    s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: `some/prefix/${name}`, Body: body }));
  const [kept, before] = [await read(lost), await read(changed)];
  await s3.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `some/prefix/${lost}` }));
  const flipped = Buffer.from(before);
  flipped[100_000] = (flipped[100_000] ?? 0) ^ 1;
  await write(changed, flipped);
  assert.deepEqual(await damagedAt('quick'), [`missing ${lost}`]);
  for (const level of ['stored', 'deep'] as const) {
    assert.deepEqual((await damagedAt(level)).toSorted(), [`damaged ${changed}`, `missing ${lost}`].toSorted());
  }
  assert.deepEqual(await findings(), [`missing ${lost}`]);
  await write(lost, kept);
  await write(changed, before);
  assert.deepEqual(await damagedAt('deep'), []);
  assert.deepEqual(await findings(), []);
});
