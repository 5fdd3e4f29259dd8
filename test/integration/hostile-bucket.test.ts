/**
 * A bucket after an intruder who may write to it, from fixed seeds: what lifeboat calls whole is whole, what it says
 * otherwise is for an operator, and when what he did is undone all of it restores. test/long has every command, and
 * other kinds of buckets.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { LifeboatError, openLifeboat, type Lifeboat } from '../../src/index.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import { BucketState, contentsOf, intrude, letAnybodyWrite } from '../helpers/storage/hostile-bucket.ts';

const folder = mkdtempSync(join(tmpdir(), 'hostile-bucket-'));
const foreignWords = 'what only the other key may read';
let server: TestS3Server;
let client: S3Client;

before(async () => {
  server = await startS3Server();
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = await server.makeUser();
  const credentials = { accessKeyId, secretAccessKey };
  client = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
});
after(async () => {
  client?.destroy();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function opened(bucket: string, key: string): Promise<Lifeboat> {
  const { endpoint, accessKey, secretKey } = server;
  return openLifeboat({
    config: {
      repository: { url: `s3://${bucket}`, endpoint, pathStyle: true, accessKey, secretKey },
      encryption: { key },
      targets: { main: { files: { paths: [join(folder, 'data')] } } },
    },
    env: {},
    cwd: folder,
    stateDir: join(folder, `state-${bucket}`),
  });
}

/** Stores these contents, one backup each; its ids. */
async function backUp(lifeboat: Lifeboat, contents: readonly string[]): Promise<string[]> {
  await lifeboat.init();
  const ids: string[] = [];
  for (const content of contents) {
    mkdirSync(join(folder, 'data'), { recursive: true });
    writeFileSync(join(folder, 'data/file'), content);
    const made = await lifeboat.backup();
    assert.ok(made.outcome === 'done');
    ids.push(made.id);
  }
  await lifeboat.validate({ all: true, level: 'deep' });
  return ids;
}

/** What came of it, or the operator's error that was thrown; anything else is a bug. */
async function told<T>(done: readonly string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    const result = await work();
    assert.doesNotMatch(JSON.stringify(result), new RegExp(foreignWords));
    return result;
  } catch (error) {
    assert.ok(error instanceof LifeboatError, `${String(error)}\nafter\n${done.join('\n')}`);
    assert.ok(error.message.length > 10 && !error.message.includes(foreignWords), error.message);
    return undefined;
  }
}

async function contentOf(lifeboat: Lifeboat, id: string, name: string): Promise<string> {
  const toDir = join(folder, name);
  await lifeboat.restore({ id, files: { toDir } });
  const [file] = readdirSync(toDir, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  return readFileSync(join(file?.parentPath ?? '', file?.name ?? ''), 'utf8');
}

async function takeAway(bucket: string, keys: readonly string[]): Promise<void> {
  for (const key of keys) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
}

const contents = ['first', 'second'];

for (const [what, versions] of [
  ['versions that he cannot delete', true],
  ['no versions', false],
] as const) {
  test(`a bucket with ${what}`, async () => {
    const [bucket, other] = [await server.makeBucket({ versions }), await server.makeBucket()];
    await using theirs = await opened(other, 'cd'.repeat(32));
    await backUp(theirs, [foreignWords]);
    await using lifeboat = await opened(bucket, 'ab'.repeat(32));
    const ids = await backUp(lifeboat, contents);
    await letAnybodyWrite(server.client, bucket, false);
    const state = await BucketState.of(server.client, bucket);
    const foreign = await contentsOf(server.client, other);
    const memory = join(folder, `state-${bucket}`);
    cpSync(memory, `${memory}-before`, { recursive: true });
    for (let seed = 1; seed <= 4; seed++) {
      const done = await intrude(
        { client, bucket, known: state.contents, foreign, versions: false, seed },
        2 + (seed % 5),
      );
      const after = `after\n${done.join('\n')}`;
      for (const work of [
        () => lifeboat.list(),
        () => lifeboat.status(),
        () => lifeboat.integrity(),
        () => lifeboat.doctor(),
        () => lifeboat.audit(),
        () => lifeboat.cleanup(),
        () => lifeboat.undelete({ id: ids[0] ?? '' }),
      ]) {
        await told<unknown>(done, work);
      }
      for (const [n, id] of ids.entries()) {
        const checked = await told(done, () => lifeboat.validate({ ids: [id], level: 'deep' }));
        const restored = await told(done, () => contentOf(lifeboat, id, `${bucket}-${seed}-${n}`));
        if (checked?.backups[0]?.result === 'ok') assert.equal(restored, contents[n], `called whole, ${after}`);
        if (restored !== undefined) assert.equal(restored, contents[n], after);
      }
      const fresh = `new in round ${seed}`;
      writeFileSync(join(folder, 'data/file'), fresh);
      const made = await told(done, () => lifeboat.backup());
      if (made?.outcome === 'done') {
        const content = await told(done, () => contentOf(lifeboat, made.id, `${bucket}-${seed}-new`));
        assert.equal(content, fresh, `"is stored", ${after}`);
      }
      await state.putBack();
      rmSync(memory, { recursive: true });
      cpSync(`${memory}-before`, memory, { recursive: true });
    }
    await takeAway(
      bucket,
      [...state.contents.keys()].filter((key) => key.startsWith('packs/')),
    );
    for (const [n, id] of ids.entries()) {
      const restored = contentOf(lifeboat, id, `${bucket}-gone-${n}`);
      // Where versions stay, reads go past his deletions.
      if (versions) assert.equal(await restored, contents[n]);
      else await assert.rejects(restored, { code: 'integrity' });
    }
    await state.putBack();
    for (const [n, id] of ids.entries()) {
      assert.equal(await contentOf(lifeboat, id, `${bucket}-after-${n}`), contents[n]);
    }
  });
}
