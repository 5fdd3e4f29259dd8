import { randomUUID } from 'node:crypto';
import { after, before } from 'node:test';
import { openStorage } from '../../src/storage/open.ts';
import { withRetry } from '../../src/storage/retry.ts';
import { openS3Storage } from '../../src/storage/s3/s3.ts';
import { startFaultProxy, type FaultProxy, type ProxyFault } from '../helpers/storage/fault-proxy.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import { storageContract } from './storage-suite.ts';

let server: TestS3Server;
let proxy: FaultProxy;
before(async () => {
  server = await startS3Server();
  proxy = await startFaultProxy(server.endpoint);
});
after(async () => {
  await proxy?.stop();
  await server?.stop();
});

storageContract('a bucket', async () => openStorage(await server.location()));
storageContract('a folder of a bucket', async () =>
  openStorage(await server.location({ prefix: `backups/${randomUUID()}` })),
);

// Every eleventh request fails, each time otherwise; the retry wrapper must make it look like a quiet day.
const troubles: readonly ProxyFault[] = [
  { kind: 'status', status: 503, code: 'SlowDown' },
  { kind: 'drop', when: 'after' },
  { kind: 'status', status: 500 },
  { kind: 'cut', afterBytes: 100 },
  { kind: 'drop', when: 'before' },
];
storageContract('a bucket behind a bad line', async () => {
  proxy.clear();
  const storage = withRetry(await openS3Storage(await server.location({ endpoint: proxy.endpoint })), {
    budgetMs: 20_000,
    firstPauseMs: 2,
    maxPauseMs: 20,
  });
  proxy.misbehave((_request, index) =>
    index % 11 === 4 ? troubles[Math.floor(index / 11) % troubles.length] : undefined,
  );
  return storage;
});
