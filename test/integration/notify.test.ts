/**
 * Notifications by real commands to real receivers: what is wrong is told once, whatever the receiver does meanwhile,
 * and so is its end; nothing of it makes a run fail, and no message holds a secret.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { NotifyFlushResult, NotifyListResult, NotifyTestResult } from '../../src/operations/notify/request.ts';
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
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ notifications }));
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
  receiver.behave({ status: 404, text: 'who?' });
  const bad = await bench.json<NotifyTestResult>('notify test hook', { exitCode: 20 });
  assert.deepEqual([bad.channels[0]?.arrived, bad.channels[0]?.problem], [false, 'it was answered with 404: who?']);
  const wrong = await bench.run('notify test hok');
  assert.deepEqual([wrong.exitCode, /did you mean "hook"/.test(wrong.stderr)], [2, true]);
  receiver.behave({ status: 200 });
});
