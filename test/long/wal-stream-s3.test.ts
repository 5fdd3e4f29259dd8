/**
 * The receiver onto a real S3 server that stops for some seconds: the unfinished segment is replaced again and again,
 * and nothing is missing in the end.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Storage } from '../../src/storage/storage.ts';
import { openStorage } from '../../src/storage/open.ts';
import { parseWalKey } from '../../src/repository/wal/names.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import {
  checkArchived,
  recoverLatest,
  startStreamBench,
  startWriter,
  type StreamBench,
} from '../helpers/cluster/wal-stream-bench.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';

let s3: TestS3Server;
let lab: StreamBench;
let storage: Storage;

before(async () => {
  s3 = await startS3Server();
  const bucket = await s3.makeBucket();
  const open = async (): Promise<Storage> => openStorage(await s3.location({ bucket, prefix: 'main' }));
  const env = {
    BACKUP_REPOSITORY: `s3://${bucket}/main`,
    BACKUP_S3_ENDPOINT: s3.endpoint,
    BACKUP_S3_REGION: 'us-east-1',
    BACKUP_S3_ACCESS_KEY: s3.accessKey,
    BACKUP_S3_SECRET_KEY: s3.secretKey,
  };
  lab = await startStreamBench({ env, open });
  storage = await open();
});
after(async () => {
  await storage?.close();
  await lab?.stop();
  await s3?.stop();
});

/** What the bucket has, in order: whole segments, and the unfinished ones as "segment lsn". */
async function archived(): Promise<{ segments: string[]; unfinished: { segment: string; lsn: bigint }[] }> {
  const segments: string[] = [];
  const unfinished: { segment: string; lsn: bigint }[] = [];
  for await (const { key } of storage.list(`wal/${lab.systemId}/`)) {
    const file = parseWalKey(key)?.file;
    if (file?.kind === 'segment') segments.push(file.name);
    if (file?.kind === 'unfinished') unfinished.push({ segment: file.segment ?? '', lsn: file.lsn ?? 0n });
  }
  return { segments, unfinished };
}

/** Until the end of the archive reaches what the server has now. */
async function untilArchived(): Promise<void> {
  const [row] = await lab.server.query('postgres', 'SELECT pg_current_wal_flush_lsn() AS lsn');
  // The last bytes of a record may be zeros, which an unfinished segment's name does not count.
  while (((await archived()).unfinished.at(-1)?.lsn ?? 0n) + 64n < parseLsn(row?.['lsn'] ?? '')) await sleep(200);
}

test(
  'onto S3, through a stop of the S3 server: the unfinished segment is replaced, what waited is shipped, and every ' +
    'row is recovered',
  async () => {
    const { bench, server } = lab;
    const stream = await lab.stream('--create-slot');
    await bench.backup('backup base');
    const [first = ''] = (await archived()).segments;
    const writer = startWriter(server, 1);
    const seen = new Set<bigint>();
    for (const until = Date.now() + 3000; Date.now() < until; await sleep(250)) {
      const { segments, unfinished } = await archived();
      for (const { lsn } of unfinished) seen.add(lsn);
      // A listing may meet the receiver between a PUT and the DELETE of what that replaced.
      assert.ok(unfinished.length <= 2, `${unfinished.length} unfinished objects`);
      assert.ok(segments.length > 0);
    }
    assert.ok(seen.size >= 3, `replaced only ${seen.size} times`);

    await s3.killGateway();
    const stopped = writer.acknowledged.size;
    await stream.said(/what is received cannot be shipped/);
    await sleep(2000);
    assert.ok(writer.acknowledged.size > stopped + 50, 'the server has to wait for the storage');
    await s3.startGateway();
    await stream.said(/the repository takes it again/);
    await writer.stop();
    await untilArchived();
    stream.kill('SIGTERM');
    const { exitCode, stderr } = await stream.result;
    assert.equal(exitCode, 0, stderr);

    const { segments, unfinished } = await archived();
    assert.equal(unfinished.length, 1, 'of finished segments nothing unfinished is left');
    assert.ok((unfinished[0]?.segment ?? '') > (segments.at(-1) ?? ''));
    assert.ok((await checkArchived(lab, first)) >= 3);
    assert.deepEqual((await lab.status()).systems[0]?.gaps, []);
    assert.deepEqual(
      await recoverLatest(bench),
      Array.from({ length: writer.acknowledged.size }, (_, n) => n + 1),
    );
    for await (const { key } of storage.list('locks/')) assert.ok(!key.endsWith('.json'), `${key} is left`);
  },
);
