/** The policy of examples/s3 on a real S3 server: a host with these rights takes backups, and can destroy none. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import { runCli, type CliResult } from '../helpers/cli/run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'policy-'));
const policyText = readFileSync(new URL('../../examples/s3/write-only-policy.json', import.meta.url), 'utf8');
let server: TestS3Server;
let bucket: string;
let env: Record<string, string>;
let writer: { accessKey: string; secretKey: string };

before(async () => {
  server = await startS3Server();
  bucket = await server.makeBucket({ versions: true });
  writer = await server.makeUser();
  mkdirSync(join(folder, 'data'));
  env = {
    BACKUP_FILES: join(folder, 'data'),
    BACKUP_REPOSITORY: `s3://${bucket}/shop`,
    BACKUP_S3_ENDPOINT: server.endpoint,
    BACKUP_S3_REGION: 'us-east-1',
    BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32),
    BACKUP_STATE_DIR: join(folder, '.state'),
    PATH: '/usr/bin:/bin',
  };
});
after(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function as(keys: { accessKey: string; secretKey: string }, line: string): Promise<CliResult> {
  return runCli([...line.split(' '), '--config', join(folder, '.state.json')], {
    cwd: folder,
    env: { ...env, BACKUP_S3_ACCESS_KEY: keys.accessKey, BACKUP_S3_SECRET_KEY: keys.secretKey },
  });
}

test('a host under the policy backs up and lists, but can neither delete nor forget what is there', async () => {
  const made = await as(server, 'init');
  assert.equal(made.exitCode, 0, made.stderr);
  const refused = await as(writer, 'backup');
  assert.equal(refused.exitCode, 20, 'without the policy the writer has no rights');
  // For one user of one server it is the same as a policy of that user.
  const policy = JSON.parse(policyText.replaceAll('my-backups', bucket).replaceAll('web-1', hostname())) as {
    Statement: object[];
  };
  const Statement = policy.Statement.map((each) => ({ ...each, Principal: { AWS: ['*'] } }));
  await server.client.send(
    new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify({ ...policy, Statement }) }),
  );

  for (const content of ['first\n', 'second\n', 'third\n']) {
    writeFileSync(join(folder, 'data', 'one'), content);
    const taken = await as(writer, 'backup');
    assert.equal(taken.exitCode, 0, taken.stdout + taken.stderr);
    const locks = await server.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: 'shop/locks/' }));
    assert.deepEqual(locks.Contents ?? [], [], 'it gives its leases back');
  }
  const listed = await as(writer, 'list --json');
  assert.equal(listed.exitCode, 0, listed.stderr);
  assert.equal((JSON.parse(listed.stdout) as { backups: unknown[] }).backups.length, 3);

  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: writer.accessKey, secretAccessKey: writer.secretKey },
  });
  const { Contents = [] } = await server.client.send(new ListObjectsV2Command({ Bucket: bucket }));
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
  const deletable: string[] = [];
  for (const { Key, VersionId } of [
    ...Contents.map(({ Key: name }) => ({ Key: name, VersionId: undefined })),
    ...Versions,
  ]) {
    const command = new DeleteObjectCommand({ Bucket: bucket, Key, ...(VersionId === undefined ? {} : { VersionId }) });
    const name = await client.send(command).then(
      () => 'deleted',
      (error: Error) => error.name,
    );
    if (name !== 'AccessDenied') deletable.push(`${Key ?? ''} ${VersionId ?? ''}: ${name}`);
  }
  client.destroy();
  assert.deepEqual(
    deletable.filter((each) => !each.startsWith('shop/locks/')),
    [],
  );
  const shown = await as(server, 'validate --all --deep');
  assert.equal(shown.exitCode, 0, shown.stdout + shown.stderr);
});
