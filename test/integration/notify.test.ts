/**
 * Notifications by real commands to real receivers: what is wrong is told once, whatever the receiver does meanwhile,
 * and so is its end; nothing of it makes a run fail, and no message holds a secret.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { NotifyFlushResult, NotifyListResult, NotifyTestResult } from '../../src/operations/notify/request.ts';
import { ownIdentity } from '../../src/lib/process-identity.ts';
import type { StatusResult } from '../../src/operations/status/request.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startHttpReceiver, type HttpReceiver } from '../helpers/notify/http-receiver.ts';

let bench: Bench;
let receiver: HttpReceiver;
let files: string;
const key = Buffer.alloc(32, 7).toString('base64');

before(async () => {
  bench = makeBench();
  receiver = await startHttpReceiver();
  files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: files, HOOK: `${receiver.url}/hook/s3cret`, HOOK_KEY: `whsec_${key}` };
  configure({ channels: { hook: { type: 'webhook', url: { env: 'HOOK' }, secret: { env: 'HOOK_KEY' } } } });
  await bench.json('init');
});
after(async () => {
  await receiver?.[Symbol.asyncDispose]();
  await bench?.[Symbol.asyncDispose]();
});

function configure(notifications: object): void {
  writeFileSync(
    join(bench.folder, 'lifeboat.config.json'),
    JSON.stringify({ notifications, monitoring: { storagePercent: 100, failureRatePercent: 100 } }),
  );
}

interface Told {
  readonly type: string;
  readonly data: {
    readonly outcome: string;
    readonly severity: string;
    readonly title: string;
    readonly text: string;
    readonly incident?: { readonly id: string; readonly count: number };
  };
}

const told = (): Told[] => receiver.calls.map(({ text }) => JSON.parse(text) as Told);
const types = (): string[] => told().map(({ type }) => type);

/** The source is gone for as long. */
async function withoutFiles(work: () => Promise<void>): Promise<void> {
  renameSync(files, `${files}.away`);
  await work().finally(() => renameSync(`${files}.away`, files));
}

test('a backup that fails is told once, counted, and its end is told; a good one is not', async () => {
  await bench.backup();
  assert.deepEqual(receiver.calls, []);
  await withoutFiles(async () => {
    assert.equal((await bench.run('backup')).exitCode, 13);
    assert.equal((await bench.run('backup')).exitCode, 13);
  });
  const open = await bench.json<NotifyListResult>('notify list');
  documents['notify-list'].parse(open);
  assert.deepEqual(
    open.incidents.map(({ key: name, count }) => [name, count]),
    [['backup:failed:main', 2]],
  );
  await bench.backup();
  assert.deepEqual(types(), ['backup.failed', 'backup.recovered']);
  const [failed, recovered] = told();
  assert.deepEqual([failed?.data.severity, recovered?.data.severity], ['critical', 'critical']);
  assert.equal(recovered?.data.incident?.id, failed?.data.incident?.id);
  assert.equal(recovered?.data.incident?.count, 2);
  assert.deepEqual((await bench.json<NotifyListResult>('notify list')).incidents, []);
});

test('each call is signed as Standard Webhooks has it', () => {
  for (const { headers, text } of receiver.calls) {
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${text}`;
    const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(signed).digest('base64');
    assert.equal(headers['webhook-signature'], `v1,${signature}`);
    assert.match(String(headers['webhook-id']), /^msg_[0-9a-f-]{36}$/);
    assert.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000) < 600);
  }
});

test('after 500, 200 with an error, or a redirect elsewhere it arrives later, once and in order', async () => {
  await using elsewhere = await startHttpReceiver();
  const bad = [
    { status: 500, text: 'down' },
    { status: 200, text: '{"ok": false, "error": "no"}' },
    { status: 307, headers: { location: `${elsewhere.url}/` } },
  ];
  const before = receiver.calls.length;
  receiver.behave(bad[0]);
  await withoutFiles(async () => assert.equal((await bench.run('backup')).exitCode, 13));
  const again = await bench.run('backup');
  assert.equal(again.exitCode, 0);
  for (const behaviour of bad) {
    receiver.behave(behaviour);
    const flushed = await bench.json<NotifyFlushResult>('notify flush', { exitCode: 20 });
    documents['notify-flush'].parse(flushed);
    assert.deepEqual(
      flushed.channels.map(({ sent, waiting }) => [sent, waiting]),
      [[0, 2]],
    );
  }
  const facts = (await bench.json<NotifyListResult>('notify list')).channels[0];
  assert.deepEqual([facts?.waiting, facts?.failingSince !== undefined], [2, true]);
  receiver.behave({ status: 200 });
  const tried = receiver.calls.length;
  await bench.json('notify flush');
  assert.deepEqual(types().slice(tried), ['backup.failed', 'backup.recovered']);
  assert.deepEqual(elsewhere.calls, []);
  const ids = new Set(receiver.calls.slice(before).map(({ headers }) => headers['webhook-id']));
  assert.equal(ids.size, 2);
});

test('a receiver that never answers, or is not there, fails no run and keeps none waiting for long', async () => {
  receiver.behave(undefined);
  await withoutFiles(async () => {
    const run = await bench.run('backup');
    assert.equal(run.exitCode, 13);
    assert.match(run.stderr, /the notification channel hook has failed: it took longer than it may/);
    assert.doesNotMatch(run.stderr + run.stdout, /s3cret/);
  });
  const url = new URL(receiver.url);
  await receiver[Symbol.asyncDispose]();
  const refused = await bench.json<NotifyFlushResult>('notify flush', { exitCode: 20 });
  assert.equal(refused.channels[0]?.problem, 'the connection was refused');
  const calls = receiver.calls.length;
  receiver = await startHttpReceiver(Number(url.port));
  await bench.backup();
  await bench.json('notify flush');
  assert.ok(calls > 0);
  assert.deepEqual(types(), ['backup.failed', 'backup.recovered']);
});

test('notify test sends by each channel, whatever waits, and says what did not arrive', async () => {
  const good = await bench.json<NotifyTestResult>('notify test');
  documents['notify-test'].parse(good);
  assert.deepEqual(good.channels, [{ name: 'hook', type: 'webhook', arrived: true }]);
  assert.deepEqual(types().slice(-2), ['test.failed', 'test.recovered']);
  const before = types().length;
  await bench.json('notify test hook --each-event');
  const each = types().slice(before);
  assert.equal(new Set(each).size, each.length);
  for (const event of ['backup.hung', 'cleanup.failed', 'status.wal-stopped.raised', 'status.storage.cleared']) {
    assert.ok(each.includes(event), event);
  }
  assert.ok(
    told()
      .slice(before)
      .every(({ data }) => data.title.startsWith('TEST:')),
  );
  receiver.behave({ status: 404, text: 'who?' });
  const bad = await bench.json<NotifyTestResult>('notify test hook', { exitCode: 20 });
  assert.deepEqual([bad.channels[0]?.arrived, bad.channels[0]?.problem], [false, 'it was answered with 404: who?']);
  const wrong = await bench.run('notify test hok');
  assert.deepEqual([wrong.exitCode, /did you mean "hook"/.test(wrong.stderr)], [2, true]);
  receiver.behave({ status: 200 });
});

test('a run that cannot even begin is told of, and ended by one that does', async () => {
  const start = receiver.calls.length;
  const run = await bench.run('backup', {
    env: { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_ENCRYPTION_KEY_FILE: '/no' },
  });
  assert.equal(run.exitCode, 2);
  await bench.backup();
  assert.deepEqual(types().slice(start), ['backup.failed', 'backup.recovered']);
  assert.match(told()[start]?.data.text ?? '', /BACKUP_ENCRYPTION_KEY_FILE/);
});

test('status --notify tells what is new and what is over, and a channel that fails is a reason of it', async () => {
  const start = receiver.calls.length;
  await bench.json<StatusResult>('status --notify', { exitCode: 3 });
  await bench.json<StatusResult>('status --notify', { exitCode: 3 });
  assert.deepEqual(types().slice(start), ['status.unproven.raised']);
  await bench.json('integrity --drill');
  const state = channelState();
  const failingSince = '2026-01-02T03:04:05.000Z';
  writeFileSync(state, JSON.stringify({ failures: 9, failingSince, lastError: 'down', dropped: 0 }));
  const { reasons } = await bench.json<StatusResult>('status --notify', { exitCode: 3 });
  assert.deepEqual(
    reasons.map(({ id, next }) => [id, next]),
    [['channel:hook', 'lifeboat notify test hook']],
  );
  assert.deepEqual(types().slice(start), ['status.unproven.raised', 'status.unproven.cleared']);
  await bench.json<StatusResult>('status --notify');
});

test('an incident that nobody acknowledges is told to somebody else, once; what is acknowledged is not', async () => {
  await using other = await startHttpReceiver();
  const channels = {
    hook: { type: 'webhook', url: { env: 'HOOK' } },
    boss: { type: 'webhook', url: `${other.url}/boss` },
  };
  const routes = [{ channels: ['hook'] }];
  const escalation = { afterMinutes: 30, channels: ['boss'] };
  configure({ channels, routes, escalation });
  const elapse = (minutes: number): void => {
    const since = new Date(Date.now() - minutes * 60_000).toISOString();
    const file = join(stateFolder(), 'incidents.json');
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/"since": ".*?"/g, `"since": "${since}"`));
  };
  await withoutFiles(async () => assert.equal((await bench.run('backup')).exitCode, 13));
  elapse(20);
  await bench.json('notify flush');
  assert.equal(other.calls.length, 0);
  elapse(40);
  for (let n = 0; n < 2; n++) await bench.json('notify flush');
  assert.deepEqual(
    other.calls.map(({ text }) => (JSON.parse(text) as Told).type),
    ['backup.failed.escalated'],
  );
  await bench.backup();
  assert.equal((JSON.parse(other.calls[1]?.text ?? '{}') as Told).type, 'backup.recovered');

  await withoutFiles(async () => assert.equal((await bench.run('backup')).exitCode, 13));
  await bench.json('acknowledge backup:failed:main');
  elapse(40);
  await bench.json('notify flush');
  assert.equal(other.calls.length, 2);
  await bench.backup();
});

test('a check is pinged when a backup begins, ends well or badly, with the end of its log', async () => {
  await using check = await startHttpReceiver();
  configure({ channels: { check: { type: 'ping', url: `${check.url}/uuid` } } });
  await bench.backup();
  await withoutFiles(async () => assert.equal((await bench.run('backup')).exitCode, 13));
  await bench.json('validate --quick');
  const paths = check.calls.map(({ path }) => path.replace(/\?rid=.*/, ''));
  assert.deepEqual(paths, ['/uuid/start', '/uuid', '/uuid/start', '/uuid/13']);
  const runs = check.calls.map(({ path }) => path.split('rid=')[1]);
  assert.deepEqual([runs[0] === runs[1], runs[2] === runs[3], runs[0] === runs[2]], [true, true, false]);
  assert.match(check.calls[3]?.text ?? '', /error: /);
  await bench.backup();
});

test('a daemon sends what a command could not, and what died while it sent is no obstacle', async () => {
  configure({ channels: { hook: { type: 'webhook', url: { env: 'HOOK' } } } });
  const port = Number(new URL(receiver.url).port);
  await receiver[Symbol.asyncDispose]();
  await withoutFiles(async () => assert.equal((await bench.run('backup')).exitCode, 13));
  rmSync(channelState());
  // As a process leaves it that is killed under it: of this host, and gone.
  const dead = { ...ownIdentity(), processStart: '1', nonce: 'x' };
  writeFileSync(channelState().replace('.json', '.lock'), JSON.stringify(dead));
  receiver = await startHttpReceiver(port);
  const daemon = await bench.start('daemon');
  await receiver.has(1);
  daemon.kill('SIGTERM');
  assert.equal((await daemon.result).exitCode, 0);
  assert.equal(types()[0], 'backup.failed');
});

test('nothing that is kept or told holds a secret', () => {
  const kept = readdirSync(stateFolder(), { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
  assert.ok(kept.length > 0);
  assert.doesNotMatch(kept.join(''), /s3cret|whsec_|127\.0\.0\.1/);
});

/** The one of this repository. */
function stateFolder(): string {
  const above = join(bench.stateDir, 'notifications');
  return join(above, readdirSync(above)[0] ?? '');
}

function channelState(): string {
  return join(stateFolder(), 'channels', 'hook.json');
}
