/**
 * Emergency restores from a real S3 server, written by a host that holds no private key: the journal in the repository,
 * a kill and --resume, a repository that cannot be written to, a newest backup that is damaged there, a disk that is
 * full.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DeleteObjectCommand, ListObjectsV2Command, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import type { EmergencyResult } from '../../src/operations/emergency/request.ts';

let server: TestS3Server;
let postgres: TestPostgres;
let bench: Bench;
let bucket: string;
/** Of the host that takes backups, and of the one for emergencies, which has the private key. */
let writer: Record<string, string | undefined>;
let rescuer: Record<string, string | undefined>;
let files: string;
const ids: string[] = [];

before(async () => {
  [server, postgres] = await Promise.all([startS3Server(), startPostgres()]);
  bucket = await server.makeBucket();
  bench = makeBench({
    DATABASE_URL: postgres.url('shop'),
    BACKUP_REPOSITORY: `s3://${bucket}/shop`,
    BACKUP_S3_ENDPOINT: server.endpoint,
    BACKUP_S3_REGION: 'us-east-1',
    BACKUP_S3_PATH_STYLE: 'true',
    BACKUP_S3_ACCESS_KEY: server.accessKey,
    BACKUP_S3_SECRET_KEY: server.secretKey,
  });
  files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'right');
  await postgres.query('postgres', 'CREATE DATABASE shop');
  await postgres.psql(
    'shop',
    'CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, md5(n::text) FROM ' +
      'generate_series(1, 200) n',
  );
  const identity = await generateIdentity();
  const common = {
    BACKUP_FILES: files,
    BACKUP_ENCRYPTION_KEY: undefined,
    BACKUP_ENCRYPTION_RECIPIENTS: await identityToRecipient(identity),
  };
  writer = { ...common, BACKUP_STATE_DIR: join(bench.folder, 'writer') };
  const { publicKey } = await bench.json<{ publicKey: string }>('init', { env: writer });
  for (const _ of [1, 2]) {
    ids.push((await bench.backup('backup', { env: writer })).id);
    writeFileSync(join(files, 'later'), String(ids.length));
  }
  const configuration = join(bench.folder, 'rescuer.json');
  writeFileSync(configuration, JSON.stringify({ encryption: { trustedKeys: [publicKey] } }));
  rescuer = { ...common, BACKUP_STATE_DIR: join(bench.folder, 'rescuer'), BACKUP_ENCRYPTION_IDENTITY: identity };
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([server?.stop(), postgres?.stop()]);
});

const config = (): string => `--config ${join(bench.folder, 'rescuer.json')}`;

async function makeWrong(): Promise<void> {
  await postgres.query('shop', "UPDATE item SET name = 'wrong'");
  writeFileSync(join(files, 'a'), 'wrong');
}

async function assertRight(): Promise<void> {
  assert.deepEqual(await postgres.query('shop', 'SELECT count(*)::text AS n FROM item WHERE name = md5(id::text)'), [
    { n: '200' },
  ]);
  assert.equal(readFileSync(join(files, 'a'), 'utf8'), 'right');
}

test('killed and gone on with: the repository tells each step, signed by a host without its own key', async () => {
  await makeWrong();
  const command = await bench.start(`emergency-restore restore --confirm main ${config()}`, { env: rescuer });
  await command.said(/emergency step 2 of 4/);
  command.kill('SIGKILL');
  await command.result;
  const result = await bench.json<Extract<EmergencyResult, { outcome: 'done' }>>(
    `emergency-restore restore --resume ${config()}`,
    { env: rescuer },
  );
  assert.equal(result.id, ids[1]);
  await assertRight();
  const { records, findings } = await bench.json<AuditResult>(`audit --command emergency-restore ${config()}`, {
    env: rescuer,
  });
  assert.deepEqual(
    records.flatMap(({ step }) => step ?? []),
    ['begin', 'safety-backup', 'begin', 'restore-database', 'restore-files', 'check'],
  );
  assert.deepEqual(findings, []);
  const { Contents = [] } = await server.client.send(
    new ListObjectsV2Command({ Bucket: bucket, Prefix: 'shop/locks/emergency-main/' }),
  );
  assert.deepEqual(
    Contents.filter(({ Key }) => Key?.endsWith('.json')),
    [],
  );
});

test('the newest backup is damaged: the one before it is taken', async () => {
  await makeWrong();
  await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `shop/backups/${ids[1]}/facts` }));
  assertFailed(
    await bench.run(`emergency-restore restore ${ids[1]} --confirm main -q ${config()}`, { env: rescuer }),
    14,
    /is not whole/,
    new RegExp(`restore ${ids[0]}`),
  );
  const result = await bench.json<EmergencyResult>(`emergency-restore restore --no-backup --confirm main ${config()}`, {
    env: rescuer,
  });
  assert.equal(result.id, ids[0]);
  await assertRight();
  assert.equal(existsSync(join(files, 'later')), false);
});

test('a repository made read-only: it goes on, and says that the steps are written down here only', async () => {
  await makeWrong();
  const reader = await server.makeUser();
  const Statement = [
    {
      Effect: 'Allow',
      Principal: { AWS: ['*'] },
      Action: ['s3:GetObject', 's3:ListBucket'],
      Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
    },
  ];
  await server.client.send(
    new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
  );
  const env = { ...rescuer, BACKUP_S3_ACCESS_KEY: reader.accessKey, BACKUP_S3_SECRET_KEY: reader.secretKey };
  const { warnings } = await bench.json<EmergencyResult>(
    `emergency-restore restore --no-backup --confirm main ${config()}`,
    { env, exitCode: 3 },
  );
  assert.match(warnings.join('\n'), /without a lease/);
  assert.match(warnings.join('\n'), /not in the (audit log|repository)/);
  await assertRight();
  rmSync(join(bench.folder, 'rescuer', 'emergency'), { recursive: true });
  for (const name of readdirSync(bench.folder)) {
    if (name.startsWith('files_before_')) rmSync(join(bench.folder, name), { recursive: true });
  }
});

test('another host with the public key only says which key is missing', async () => {
  assertFailed(
    await bench.run('emergency-restore restore --confirm main -q', {
      env: { ...writer, BACKUP_STATE_DIR: join(bench.folder, 'nobody') },
    }),
    12,
    /no configured key opens any backup/,
    /recovery sheet/,
  );
  assert.equal(readFileSync(join(files, 'a'), 'utf8'), 'right');
});
