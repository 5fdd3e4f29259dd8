/**
 * A real S3 server for tests: Ceph's RADOS Gateway over one monitor and one OSD with data in memory,
 * from the Debian packages ceph-mon, ceph-osd and radosgw. Each test file starts its own (2 to 4 s),
 * on free ports of 127.0.0.1, all of it under one temporary folder that stop() removes.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../../../src/config/config.ts';
import { messageOf } from '../../../src/lib/errors.ts';
import { runTool, startTool, type RunningTool } from '../../../src/lib/exec.ts';
import { Secret } from '../../../src/lib/secret.ts';

export interface TestS3Server {
  /** http://127.0.0.1:port */
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** For SIGSTOP, SIGCONT and SIGKILL. The gateway's changes when it is started anew. */
  readonly pids: { readonly gateway: number; readonly osd: number; readonly monitor: number };
  /** Makes a bucket with a new name (or that one) and tells its name. */
  makeBucket(options?: {
    readonly name?: string;
    readonly versions?: boolean;
    readonly objectLock?: boolean;
  }): Promise<string>;
  /** A user without buckets of its own, so without rights on the others'. */
  makeUser(): Promise<{ readonly accessKey: string; readonly secretKey: string }>;
  /** Where a bucket (default: a new one) is, as a configuration would say it. */
  location(change?: Partial<S3Location>): Promise<S3Location>;
  /** A client of the SDK, for looking at what is really there; destroyed by stop(). */
  readonly client: S3Client;
  /** SIGKILL, waits until it is gone. Data stay: startGateway() brings them back on the same port. */
  killGateway(): Promise<void>;
  startGateway(): Promise<void>;
  stop(): Promise<void>;
}

const attempts = 4;
const accessKey = 'TESTACCESSKEY';
const secretKey = 'testsecretkey0123456789';

/** Starts a server; free ports are found anew if another process took them meanwhile. */
export async function startS3Server(): Promise<TestS3Server> {
  for (let attempt = 1; ; attempt++) {
    const dir = mkdtempSync(join(tmpdir(), 'lifeboat-rgw-'));
    const running: RunningTool[] = [];
    try {
      return await start(dir, running);
    } catch (error) {
      const logs = lastLog(dir);
      await end(running);
      rmSync(dir, { recursive: true, force: true });
      if (attempt === attempts) {
        throw new Error(`cannot start an S3 server: ${messageOf(error)}\n${logs}`, { cause: error });
      }
    }
  }
}

async function start(dir: string, running: RunningTool[]): Promise<TestS3Server> {
  const [monitorPort, port] = [await freePort(), await freePort()];
  const fsid = randomUUID();
  for (const name of ['mon', 'osd', 'rgw', 'log', 'run']) mkdirSync(join(dir, name));
  writeFileSync(join(dir, 'ceph.conf'), clusterConf(dir, fsid, monitorPort, port));
  const conf = ['-c', join(dir, 'ceph.conf')];
  const serve = async (file: string, args: readonly string[]): Promise<RunningTool> => {
    const tool = await startTool({ file, args: [...conf, ...args, '-f'], stdout: 'ignore' });
    running.push(tool);
    return tool;
  };
  await runTool({
    file: 'monmaptool',
    args: ['--create', '--addv', 'a', `[v2:127.0.0.1:${monitorPort}]`, '--fsid', fsid, join(dir, 'monmap')],
  });
  await runTool({ file: 'ceph-mon', args: [...conf, '--mkfs', '-i', 'a', '--monmap', join(dir, 'monmap')] });
  const monitor = await serve('ceph-mon', ['-i', 'a']);
  const osdUuid = randomUUID();
  await runTool({
    file: 'ceph',
    args: [...conf, '--connect-timeout', '20', 'osd', 'new', osdUuid],
    signal: AbortSignal.timeout(30_000),
  });
  await runTool({ file: 'ceph-osd', args: [...conf, '-i', '0', '--mkfs', '--osd-uuid', osdUuid] });
  const osd = await serve('ceph-osd', ['-i', '0']);
  const endpoint = `http://127.0.0.1:${port}`;
  let gateway = await startGateway(serve, endpoint);
  const makeUser = async (uid: string, keys: { accessKey: string; secretKey: string }): Promise<typeof keys> => {
    const args = [
      ...conf,
      'user',
      'create',
      `--uid=${uid}`,
      `--display-name=${uid}`,
      `--access-key=${keys.accessKey}`,
      `--secret-key=${keys.secretKey}`,
    ];
    await runTool({ file: 'radosgw-admin', args, signal: AbortSignal.timeout(30_000) });
    return keys;
  };
  await makeUser('test', { accessKey, secretKey });
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
  const makeBucket: TestS3Server['makeBucket'] = (options) => newBucket(client, options);
  return {
    endpoint,
    accessKey,
    secretKey,
    client,
    get pids() {
      return { gateway: gateway.pid, osd: osd.pid, monitor: monitor.pid };
    },
    makeBucket,
    makeUser: () => makeUser(randomUUID(), { accessKey: randomUUID(), secretKey: randomUUID() }),
    location: async (change = {}) => ({
      ...baseLocation(endpoint),
      bucket: change.bucket ?? (await makeBucket()),
      ...change,
    }),
    killGateway: () => end([gateway]),
    startGateway: async () => {
      gateway = await startGateway(serve, endpoint);
    },
    stop: async () => {
      client.destroy();
      // The gateway first: it hangs when the OSD goes before it.
      await end(running.toReversed());
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function startGateway(
  serve: (file: string, args: readonly string[]) => Promise<RunningTool>,
  endpoint: string,
): Promise<RunningTool> {
  const gateway = await serve('radosgw', ['-n', 'client.rgw']);
  let ended: Error | undefined;
  const note = (error?: unknown): void => void (ended = new Error('radosgw ended', { cause: error }));
  gateway.result.then(() => note(), note);
  for (const giveUpAt = performance.now() + 30_000; ; await sleep(50)) {
    if (ended !== undefined) throw ended;
    if (performance.now() > giveUpAt) throw new Error('radosgw does not answer');
    const answer = await fetch(endpoint).catch(() => undefined);
    await answer?.body?.cancel();
    // Another process on that port would not call itself so.
    if (answer?.headers.has('x-amz-request-id') === true) return gateway;
  }
}

async function newBucket(client: S3Client, options: Parameters<TestS3Server['makeBucket']>[0] = {}): Promise<string> {
  const name = options.name ?? `test-${randomUUID().slice(0, 13)}`;
  await client.send(
    new CreateBucketCommand({
      Bucket: name,
      ...(options.objectLock === true ? { ObjectLockEnabledForBucket: true } : {}),
    }),
  );
  if (options.versions === true) {
    await client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: { Status: 'Enabled' } }));
  }
  return name;
}

function baseLocation(endpoint: string): Omit<S3Location, 'bucket'> {
  return {
    kind: 's3',
    prefix: '',
    region: 'us-east-1',
    endpoint,
    pathStyle: true,
    storageClass: undefined,
    serverSideEncryption: undefined,
    kmsKeyId: undefined,
    objectLock: undefined,
    accessKey: new Secret(accessKey),
    secretKey: new Secret(secretKey),
    sessionToken: undefined,
  };
}

/** SIGKILL one after the other, waiting for each; stopped processes die of it too. */
async function end(tools: readonly RunningTool[]): Promise<void> {
  for (const tool of tools) {
    tool.kill('SIGKILL');
    await tool.result.catch(() => {});
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function lastLog(dir: string): string {
  return ['mon.a', 'osd.0', 'client.rgw']
    .map((name) => {
      try {
        return `${name}: ${readFileSync(join(dir, 'log', `${name}.log`), 'utf8')
          .split('\n')
          .slice(-6)
          .join('\n')}`;
      } catch {
        return `${name}: no log`;
      }
    })
    .join('\n');
}

/** One node without authentication inside, small and quick to start. */
function clusterConf(dir: string, fsid: string, monitorPort: number, port: number): string {
  return `[global]
fsid = ${fsid}
mon_initial_members = a
mon_host = v2:127.0.0.1:${monitorPort}
public_network = 127.0.0.0/8
ms_bind_ipv6 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_mon_cluster_mode = crc
ms_mon_service_mode = crc
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_tick_interval = 1
objecter_tick_interval = 0.5
mon_client_hunt_interval = 0.5
log_file = ${dir}/log/$name.log
run_dir = ${dir}/run
admin_socket = ${dir}/run/$name.asok
pid_file = ${dir}/run/$name.pid
crash_dir = ${dir}/crash
setuser_match_path =
log_to_stderr = false
err_to_stderr = false
mon_cluster_log_file = ${dir}/log/cluster.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
mon_max_pg_per_osd = 1000
mon_osd_nearfull_ratio = 0.97
mon_osd_backfillfull_ratio = 0.98
mon_osd_full_ratio = 0.99
osd_failsafe_full_ratio = 0.995
osd_objectstore = memstore
memstore_device_bytes = 8589934592
osd_memory_target = 939524096
osd_class_load_list = *
osd_class_default_list = *
[mon.a]
mon_data = ${dir}/mon
[osd.0]
osd_data = ${dir}/osd
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw_data = ${dir}/rgw
rgw_run_sync_thread = false
rgw_enable_usage_log = false
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = testkey-1=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=
`;
}
