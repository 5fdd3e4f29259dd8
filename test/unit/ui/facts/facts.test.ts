import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BaseFacts } from '../../../../src/source/postgres/base/facts.ts';
import type { FilesFacts } from '../../../../src/source/files/facts.ts';
import type { RedisFacts } from '../../../../src/source/redis/facts.ts';
import { factsText } from '../../../../src/ui/facts/facts.ts';

const none = { count: 0, paths: [] };
const files: FilesFacts = {
  roots: [{ path: '/srv/up\u001bloads', member: 'srv/uploads', realPath: '/mnt/uploads' }],
  files: 1200,
  folders: 3,
  symlinks: 0,
  hardlinks: 0,
  devices: 0,
  sparseFiles: 0,
  contentBytes: 5 * 1024 ** 2,
  tarBytes: 6 * 1024 ** 2,
  catalogBytes: 10,
  fingerprint: '0'.repeat(64),
  changed: { count: 7, paths: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] },
  vanished: { count: 1, paths: ['"gone\\x0a"'] },
  unreadable: none,
  unsupported: { count: 2, paths: ['socket', 'pipe'] },
  unlinked: none,
};

test('files: what changed or vanished while they were read is counted and named', async () => {
  const text = await factsText({ name: 'files', kind: 'files', facts: files });
  assert.match(text, /^files: folder +\/srv\/up\\u001bloads \(a link to \/mnt\/uploads\)$/m);
  assert.match(text, /^files +1,200 +5\.0 MiB$/m);
  assert.doesNotMatch(text, /symbolic|unreadable/);
  assert.match(text, /^changed while read +7: a, b, c, d, e, and 2 more$/m);
  assert.match(text, /^vanished before +1: "gone\\x0a"$/m);
  assert.match(text, /^not backed up +2 \(sockets, pipes\): socket, pipe$/m);
});

const base: BaseFacts = {
  serverVersion: '15.18',
  serverVersionNum: 150018,
  systemIdentifier: '7300000000000000001',
  toolVersion: '15.18',
  startedAt: '2026-01-02T03:04:05Z',
  stoppedAt: '2026-01-02T03:05:05Z',
  walSegmentBytes: 16 * 1024 ** 2,
  dataChecksums: false,
  superuser: 'postgres',
  oldestXid: '740',
  minima: {},
  outsideFiles: { hba_file: '/etc/postgresql/15/main/pg_hba.conf' },
  tablespaces: [{ oid: '16400', name: 'fast\n', path: '/mnt/fast', bytes: 2048 }],
  timeline: 3,
  startLsn: '0/2000028',
  stopLsn: '0/2000138',
};

test('a base backup: the write-ahead log that it needs, tablespaces, and what it does not hold', async () => {
  const text = await factsText({ name: 'base', kind: 'base', facts: base });
  assert.match(text, /^base: PostgreSQL 15\.18, by pg_basebackup 15\.18$/m);
  assert.match(text, /^timeline +3$/m);
  assert.match(text, /^WAL needed +0\/2000028 to 0\/2000138, in segments of 16\.0 MiB$/m);
  assert.match(text, /^page checksums +off/m);
  assert.match(text, /^hba_file +\/etc\/postgresql\/15\/main\/pg_hba\.conf \(outside of the data directory/m);
  assert.match(text, /^fast\\u000a +16400 +about 2\.0 KiB +\/mnt\/fast$/m);
});

const scan: RedisFacts = {
  flavour: 'valkey',
  serverVersion: '8.0.1',
  rdbVersion: 11,
  consistency: 'scan',
  scanReason: 'the server refuses replication',
  startedAt: '2026-01-02T03:04:05Z',
  endedAt: '2026-01-02T03:04:06Z',
  crc: 'verified',
  checkedBy: 'lifeboat',
  artifact: 'redis.rdb',
  bytes: 100,
  keys: 2,
  expires: 1,
  databases: [{ db: 0, keys: 2, expires: 1, types: { string: 2 } }],
  functions: [],
  keyFingerprint: { method: 'keys-1', value: '0'.repeat(16) },
  vanishedKeys: 4,
};

test('Redis: a scan is said not to be of one moment, and how many keys vanished', async () => {
  const text = await factsText({ name: 'redis', kind: 'redis', facts: scan });
  assert.match(text, /^redis: Valkey 8\.0\.1$/m);
  assert.match(text, /^moment +read key by key .* not of one moment: the server refuses replication$/m);
  assert.match(text, /^vanished +4 keys while they were read$/m);
});

test('what this version does not know is said to be so', async () => {
  assert.match(await factsText({ name: 'cassandra', kind: 'cassandra', facts: {} }), /^cassandra: recorded in a form/);
  assert.match(
    await factsText({ name: 'files', kind: 'files', facts: { ...files, more: 1 } }),
    /^files: recorded in a/,
  );
});
