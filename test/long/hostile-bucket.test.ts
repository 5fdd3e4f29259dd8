/**
 * Every command on a bucket to which an intruder can write: he exchanges, deletes, cuts, replays and plants objects of
 * every kind while it works. Whatever becomes of a command, it ends with an exit code of operators, gives out nothing
 * of another key's, and what it calls done or whole is that.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3Client } from '@aws-sdk/client-s3';
import { openLifeboat } from '../../src/index.ts';
import type { CommandResult } from '../helpers/cli/command-run.ts';
import { startStreamBench, type StreamBench } from '../helpers/cluster/wal-stream-bench.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import {
  BucketState,
  contentsOf,
  intrude,
  letAnybodyWrite,
  startBucketIntruder,
  type BucketIntruder,
} from '../helpers/storage/hostile-bucket.ts';

const foreignWords = 'what only the other key may read';
/** A base backup waits five minutes for its log. */
const waitMs = 420_000;
let server: TestS3Server;
let client: S3Client;
let foreign: ReadonlyMap<string, Buffer>;
before(async () => {
  server = await startS3Server();
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = await server.makeUser();
  client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
});
after(async () => {
  client?.destroy();
  await server?.stop();
});

interface Home {
  readonly lab: StreamBench;
  readonly ids: readonly string[];
  readonly state: BucketState;
  readonly intruder: Omit<BucketIntruder, 'seed'>;
  /** The bucket and what the host remembers, as they were before the first act. */
  putBack(): Promise<void>;
}

interface Bucket {
  readonly versions: boolean;
  readonly objectLock: boolean;
  /** The intruder may delete single versions, which a lock forbids. */
  readonly deleteVersions: boolean;
}

/** Two backups of a database and files, a base backup and log, and as many rights for the intruder as are meant. */
async function withHome(
  { versions, objectLock, deleteVersions }: Bucket,
  work: (home: Home) => Promise<void>,
): Promise<void> {
  const bucket = await server.makeBucket({ versions, objectLock });
  const env = {
    BACKUP_REPOSITORY: `s3://${bucket}`,
    BACKUP_S3_ENDPOINT: server.endpoint,
    BACKUP_S3_REGION: 'us-east-1',
    BACKUP_S3_ACCESS_KEY: server.accessKey,
    BACKUP_S3_SECRET_KEY: server.secretKey,
    ...(objectLock ? { BACKUP_S3_OBJECT_LOCK_DAYS: '1', BACKUP_S3_OBJECT_LOCK_MODE: 'governance' } : {}),
  };
  const { openStorage } = await import('../../src/storage/open.ts');
  const lab = await startStreamBench({ env, open: async () => openStorage(await server.location({ bucket })) });
  try {
    await work(await homeIn(lab, bucket, deleteVersions));
  } finally {
    await lab.stop();
  }
}

async function homeIn(lab: StreamBench, bucket: string, deleteVersions: boolean): Promise<Home> {
  const { bench } = lab;
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'right');
  const config = join(bench.folder, 'lifeboat.config.json');
  const target = (JSON.parse(readFileSync(config, 'utf8')) as { targets: { main: object } }).targets.main;
  writeFileSync(config, JSON.stringify({ targets: { main: { ...target, files: { paths: [files] } } } }));
  const ids = [(await bench.backup('backup files')).id];
  const stream = await lab.stream('--create-slot');
  ids.push((await bench.backup('backup base')).id);
  stream.kill('SIGTERM');
  await stream.result;
  writeFileSync(join(files, 'b'), 'right, too');
  ids.push((await bench.backup('backup database')).id);
  ids.push((await bench.backup('backup files')).id);
  await bench.json('integrity --drill');
  await bench.json('hold latest');
  await letAnybodyWrite(server.client, bucket, deleteVersions);
  foreign ??= await foreignObjects(bench.folder);
  const state = await BucketState.of(server.client, bucket);
  const memory = join(bench.folder, 'state-before');
  cpSync(bench.stateDir, memory, { recursive: true });
  return {
    lab,
    ids,
    state,
    intruder: { client, bucket, known: state.contents, foreign, versions: deleteVersions },
    putBack: async () => {
      await state.putBack();
      rmSync(bench.stateDir, { recursive: true });
      cpSync(memory, bench.stateDir, { recursive: true });
      for (const name of readdirSync(bench.folder)) {
        if (/^(out|new|data|seg)-/.test(name)) rmSync(join(bench.folder, name), { recursive: true });
      }
    },
  };
}

/** Of a repository with another key, and a target of the same name. */
async function foreignObjects(folder: string): Promise<Map<string, Buffer>> {
  const bucket = await server.makeBucket();
  const paths = [join(folder, 'foreign')];
  mkdirSync(join(folder, 'foreign'));
  writeFileSync(join(folder, 'foreign/secret'), foreignWords);
  const { endpoint, accessKey, secretKey } = server;
  await using lifeboat = await openLifeboat({
    config: {
      repository: { url: `s3://${bucket}`, endpoint, accessKey, secretKey },
      encryption: { key: 'cd'.repeat(32) },
      targets: { main: { files: { paths } } },
    },
    env: {},
    cwd: folder,
    stateDir: join(folder, 'foreign-state'),
  });
  await lifeboat.init();
  const made = await lifeboat.backup();
  if (made.outcome === 'done') await lifeboat.validate({ ids: [made.id] });
  return await contentsOf(server.client, bucket);
}

/** Where the files of a backup were restored to: all that is there is right. */
function assertRightFiles(folder: string): void {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const contents = found.map((each) => readFileSync(join(each.parentPath, each.name), 'utf8'));
  assert.ok(contents.length > 0 && contents.every((text) => ['right', 'right, too'].includes(text)), contents.join());
}

interface Command {
  readonly line: string;
  /** Of a run that ended with 0 or 3. */
  readonly check?: (home: Home) => void | Promise<void>;
  /** It waits for log, which a receiver beside it has to bring. */
  readonly needsLog?: boolean;
  /** A receiver runs until it is told to end. */
  readonly endAfterMs?: number;
  /** Codes that only this one has. */
  readonly codes?: readonly number[];
}

function commandsFor({ lab, ids }: Home): Command[] {
  const segment = readdirSync(join(lab.server.dataDir, 'pg_wal')).find((name) => /^[0-9A-F]{24}$/.test(name)) ?? '';
  const inFolder = (name: string): string => join(lab.bench.folder, name);
  return [
    { line: 'backup files' },
    { line: 'backup database' },
    { line: 'backup base', needsLog: true },
    { line: 'list' },
    { line: 'show latest' },
    { line: `show ${ids[0]}` },
    { line: 'restore latest --only files --to-dir new-files', check: () => assertRightFiles(inFolder('new-files')) },
    { line: `restore ${ids[0]} --only files --to-dir new-old`, check: () => assertRightFiles(inFolder('new-old')) },
    { line: `restore ${ids[2]} --only database` },
    { line: 'restore latest --only files --into-live --confirm main' },
    { line: `export ${ids[3]} out-plain` },
    { line: 'pitr --to latest --check' },
    { line: 'pitr --to latest --dry-run' },
    { line: 'pitr --to latest --data-dir data-recovered' },
    { line: 'create-restore-point here' },
    { line: `wal push ${join(lab.server.dataDir, 'pg_wal', segment)}` },
    { line: `wal fetch ${segment} seg-fetched`, codes: [1, 126, 127, 128, 200] },
    { line: 'wal status' },
    { line: 'wal stream --interval 0.5s', endAfterMs: 4000 },
    { line: 'validate' },
    { line: 'validate --quick --all' },
    { line: 'validate --deep --all' },
    { line: 'validate --sample 50 --all' },
    { line: 'integrity' },
    { line: 'integrity --drill' },
    { line: 'integrity --drill --pitr' },
    { line: 'status' },
    { line: 'acknowledge no-such-warning' },
    { line: 'cleanup' },
    { line: 'cleanup --dry-run' },
    { line: 'cleanup --adopt-trash all' },
    { line: `undelete ${ids[0]}` },
    { line: `hold ${ids[0]}` },
    { line: 'release latest' },
    { line: 'emergency-restore status' },
    { line: `emergency-restore validate ${ids[3]}` },
    { line: 'emergency-restore restore --dry-run' },
    { line: 'emergency-restore restore --confirm main' },
    { line: 'runbook' },
    { line: 'runbook --from latest' },
    { line: 'keys list' },
    { line: 'keys add --key-env OTHER_KEY' },
    { line: 'keys rotate' },
    { line: 'unlock' },
    { line: 'doctor' },
    { line: 'audit' },
    { line: 'init' },
    { line: 'init --rescue-script' },
  ];
}

async function runBounded(home: Home, { line, endAfterMs, needsLog = false }: Command): Promise<CommandResult> {
  const receiver = needsLog ? await home.lab.bench.start('wal stream --interval 0.5s') : undefined;
  const command = await home.lab.bench.start(line, { env: { OTHER_KEY: 'ef'.repeat(32) } });
  if (endAfterMs !== undefined) void sleep(endAfterMs).then(() => command.kill('SIGTERM'));
  const hang = AbortSignal.timeout(waitMs);
  hang.addEventListener('abort', () => command.kill('SIGKILL'));
  const result = await command.result;
  receiver?.kill('SIGTERM');
  await receiver?.result;
  assert.equal(hang.aborted, false, `${line} hangs: ${result.stderr}`);
  return result;
}

const operatorsCodes = [0, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

function assertTold({ line, codes = [] }: Command, { exitCode, stdout, stderr }: CommandResult, done: string[]): void {
  const all = `lifeboat ${line}: ${exitCode}\n${stdout}${stderr}\nafter\n${done.join('\n')}`;
  assert.ok([...operatorsCodes, ...codes].includes(exitCode), all);
  assert.doesNotMatch(stderr, /unknown option|unknown command|too many arguments/, all);
  assert.doesNotMatch(stderr, /bug in lifeboat|^\s+at .*:\d+:\d+\)?$/m, all);
  assert.equal(`${stdout}${stderr}`.includes(foreignWords), false, all);
  // A failure has one message.
  if (![0, 3].includes(exitCode)) assert.match(`${stdout}${stderr}`, /\S/, all);
}

const seedOf = (text: string): number => Buffer.from(text).reduce((sum, byte) => (sum * 31 + byte) | 0, 7);

/** Each command: every other one while the intruder works, the rest after he has been there. */
async function everyCommand(home: Home, what: string): Promise<void> {
  for (const [n, command] of commandsFor(home).entries()) {
    await home.putBack();
    const intruder = { ...home.intruder, seed: seedOf(`${what} ${command.line}`) };
    const before = (n + what.length) % 2 === 0 ? await intrude(intruder, 4) : [];
    const running = before.length === 0 ? startBucketIntruder(intruder, 150) : undefined;
    const result = await runBounded(home, command);
    const done = [...before, ...((await running?.stop()) ?? [])];
    assertTold(command, result, done);
    if ([0, 3].includes(result.exitCode)) await command.check?.(home);
  }
}

async function restored(home: Home, id: string, folder: string): Promise<CommandResult> {
  return runBounded(home, { line: `restore ${id} --only files --to-dir ${folder}` });
}

/** What validate and a drill say of a backup after some acts, and whether it restores. */
async function verdicts(home: Home, what: string): Promise<void> {
  const id = home.ids[3] ?? '';
  for (let round = 0; round < 8; round++) {
    await home.putBack();
    const done = await intrude({ ...home.intruder, seed: seedOf(`${what} verdict ${round}`) }, 1 + (round % 6));
    const line = round % 3 === 0 ? `integrity --drill ${id}` : `validate --deep ${id}`;
    const verdict = await runBounded(home, { line });
    assertTold({ line }, verdict, done);
    const result = await restored(home, id, `new-${round}`);
    assertTold({ line: `restore ${id}` }, result, done);
    const all = `${line}: ${verdict.exitCode}\n${verdict.stderr}\n${result.stderr}\nafter\n${done.join('\n')}`;
    if ([0, 3].includes(verdict.exitCode)) assert.ok([0, 3].includes(result.exitCode), all);
    if ([0, 3].includes(result.exitCode)) assertRightFiles(join(home.lab.bench.folder, `new-${round}`));
  }
}

const buckets: readonly (readonly [what: string, bucket: Bucket])[] = [
  ['versions that he cannot delete', { versions: true, objectLock: false, deleteVersions: false }],
  ['object lock', { versions: true, objectLock: true, deleteVersions: true }],
  ['no versions', { versions: false, objectLock: false, deleteVersions: false }],
];

for (const [what, bucket] of buckets) {
  test(`a bucket with ${what}`, async () => {
    await withHome(bucket, async (home) => {
      await everyCommand(home, what);
      await verdicts(home, what);
    });
  });
}
