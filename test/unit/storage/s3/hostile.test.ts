/** A store that answers without end, to whatever it is asked: each answer is given up, and costs little memory. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import type { S3Location } from '../../../../src/config/config.ts';
import { Secret } from '../../../../src/lib/secret.ts';
import { openS3Storage } from '../../../../src/storage/s3/s3.ts';
import { StorageError, type Storage } from '../../../../src/storage/storage.ts';

let server: Server;
/** 0: a short answer that there is no such thing. */
let status = 0;
const mostBytes = 300 * 1024 * 1024;
const nowhere: S3Location = {
  kind: 's3',
  bucket: 'bucket',
  prefix: '',
  region: 'us-east-1',
  endpoint: undefined,
  pathStyle: true,
  storageClass: undefined,
  serverSideEncryption: undefined,
  kmsKeyId: undefined,
  objectLock: undefined,
  accessKey: new Secret('access'),
  secretKey: new Secret('secret'),
  sessionToken: undefined,
};
let storage: Storage;

const piece = Buffer.from('<Contents><Key>x</Key><Size>1</Size></Contents>'.repeat(1000));

before(async () => {
  server = createServer((request, response) => {
    request.resume();
    if (status === 0 || request.method === 'HEAD') return void response.writeHead(status || 404).end();
    response.on('error', () => {});
    response.writeHead(status, { 'content-type': 'application/xml' });
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
    };
    response.on('drain', more);
    response.write('<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>false</IsTruncated>');
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  storage = await openS3Storage({ ...nowhere, endpoint: `http://127.0.0.1:${address.port}` });
});

after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function isClear(error: unknown): boolean {
  return error instanceof StorageError && !error.message.includes('\n');
}

test('listings, writes, deletions and refusals without end', async () => {
  const before = process.memoryUsage.rss();
  const list = async (): Promise<void> => {
    for await (const _ of storage.list('x/'));
  };
  for (status of [200, 403, 500]) {
    for (const [what, work] of [
      ['list', list],
      ['remove', () => storage.remove(['x/y'])],
      ['put', () => storage.put('x/y', [Buffer.from('x')])],
      ['get', () => storage.get('x/y')],
    ] as const) {
      // A write is done whatever follows a 200.
      if (what === 'put' && status === 200) continue;
      await assert.rejects(work(), isClear, `${what}, ${status}`);
    }
  }
  const grown = process.memoryUsage.rss() - before;
  assert.ok(grown < mostBytes, `memory grew by ${grown} bytes`);
});
