/** Each kind of channel against a receiver on loopback: the documented shape, and what counts as not taken. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Channel } from '../../../../src/config/config.ts';
import { LaterSecret } from '../../../../src/config/secrets.ts';
import { noticeOf, type Notice } from '../../../../src/operations/notify/notice.ts';
import { send } from '../../../../src/operations/notify/send.ts';
import { isRefusal } from '../../../../src/lib/refused-error.ts';
import { startHttpReceiver, type Behaviour, type HttpReceiver } from '../../../helpers/notify/http-receiver.ts';

let receiver: HttpReceiver;
before(async () => void (receiver = await startHttpReceiver()));
after(async () => receiver?.[Symbol.asyncDispose]());
beforeEach(() => void receiver.calls.splice(0));

const secret = (text: string): LaterSecret => new LaterSecret(text, { env: {}, folder: '/' });
const any = { name: 'c', timeoutMs: 5000, digestMs: undefined };
const incident = {
  key: 'backup:failed:main',
  id: '0b9d4a3e-6a55-4c50-8d3c-bb1d6e0a1c11',
  since: '2026-01-02T03:04:05.000Z',
  count: 2,
};
const failure = noticeOf({
  event: 'backup.failed',
  outcome: 'failure',
  severity: 'critical',
  target: 'main',
  command: 'backup',
  title: 'backup of main failed',
  text: 'cannot reach postgres://app:hush@db/x; <!channel> [click](http://evil) @everyone',
  next: 'lifeboat doctor',
  exitCode: 13,
  incident,
});
const recovery: Notice = { ...failure, event: 'backup.recovered', outcome: 'recovery', title: 'backup is well again' };

async function sent(channel: Channel, notice: Notice, ...behaviours: Behaviour[]): Promise<void> {
  for (const behaviour of behaviours) receiver.behave(behaviour);
  await send(channel, notice, AbortSignal.timeout(5000));
}
const last = (): Record<string, unknown> => JSON.parse(receiver.calls.at(-1)?.text ?? '{}') as Record<string, unknown>;

interface Case {
  readonly channel: () => Channel;
  readonly good: Behaviour;
  /** With 2xx, and yet not taken. */
  readonly bad: readonly Behaviour[];
  readonly path: string;
  readonly check: (document: Record<string, unknown>) => void;
}

const json = (document: object, status = 200): Behaviour => ({ status, text: JSON.stringify(document) });

const cases: Readonly<Record<string, Case>> = {
  webhook: {
    channel: () => ({
      ...any,
      type: 'webhook',
      url: secret(`${receiver.url}/w`),
      token: secret('bearer-token'),
      secret: undefined,
      body: undefined,
    }),
    good: { status: 204 },
    bad: [json({ ok: false }), json({ success: false }), json({ error: 'x' }), json({ errors: ['x'] })],
    path: '/w',
    check: (document) => {
      assert.deepEqual(Object.keys(document), ['type', 'timestamp', 'data']);
      assert.equal(document['type'], 'backup.failed');
      assert.equal(receiver.calls.at(-1)?.headers['authorization'], 'Bearer bearer-token');
    },
  },
  slack: {
    channel: () => ({ ...any, type: 'slack', url: secret(`${receiver.url}/services/T/B/x`) }),
    good: { status: 200, text: 'ok' },
    bad: [{ status: 200, text: 'invalid_payload' }],
    path: '/services/T/B/x',
    check: ({ text }) => {
      assert.match(String(text), /\*backup of main failed\*/);
      assert.doesNotMatch(String(text), /</);
    },
  },
  discord: {
    channel: () => ({ ...any, type: 'discord', url: secret(`${receiver.url}/api/webhooks/1/x`) }),
    good: json({ id: '12' }),
    bad: [json({ message: 'Unknown Webhook', code: 10_015 }), { status: 204 }],
    path: '/api/webhooks/1/x?wait=true',
    check: ({ embeds, allowed_mentions }) => {
      assert.deepEqual(allowed_mentions, { parse: [] });
      const [{ title, description, timestamp }] = embeds as [Record<string, string>];
      assert.deepEqual([title, Number.isNaN(Date.parse(timestamp ?? ''))], ['backup of main failed', false]);
      assert.ok(description?.includes(String.raw`\[click\]`));
    },
  },
  teams: {
    channel: () => ({ ...any, type: 'teams', url: secret(`${receiver.url}/workflows/x`) }),
    good: { status: 202 },
    bad: [{ status: 200, text: 'Webhook message delivery failed with error: Microsoft Teams endpoint returned 404' }],
    path: '/workflows/x',
    check: ({ type, attachments }) => {
      assert.equal(type, 'message');
      const [{ contentType, content }] = attachments as [{ contentType: string; content: Record<string, unknown> }];
      assert.equal(contentType, 'application/vnd.microsoft.card.adaptive');
      assert.deepEqual([content['type'], content['version']], ['AdaptiveCard', '1.4']);
      for (const block of content['body'] as { type: string; text: string }[]) {
        assert.equal(block.type, 'TextBlock');
        assert.doesNotMatch(block.text, /(?<!\\)\[click/);
      }
    },
  },
  telegram: {
    channel: () => ({ ...any, type: 'telegram', url: secret(receiver.url), token: secret('12:ab'), chat: '-100' }),
    good: json({ ok: true, result: {} }),
    bad: [json({ ok: false, error_code: 400, description: 'chat not found' })],
    path: '/bot12:ab/sendMessage',
    check: ({ chat_id, text, parse_mode }) => {
      assert.deepEqual([chat_id, parse_mode], ['-100', undefined]);
      assert.ok(String(text).length <= 4096);
    },
  },
  ntfy: {
    channel: () => ({ ...any, type: 'ntfy', url: secret(`${receiver.url}/base/alerts`), token: secret('tk') }),
    good: json({ id: 'x', event: 'message' }),
    bad: [json({ code: 40_101, http: 401, error: 'unauthorized' })],
    path: '/base/',
    check: (document) => {
      assert.deepEqual([document['topic'], document['priority']], ['alerts', 5]);
      assert.equal(receiver.calls.at(-1)?.headers['authorization'], 'Bearer tk');
    },
  },
  pagerduty: {
    channel: () => ({ ...any, type: 'pagerduty', url: secret(receiver.url), token: secret('R0UT1NG') }),
    good: json({ status: 'success', message: 'Event processed', dedup_key: 'x' }, 202),
    bad: [json({ status: 'invalid event', message: 'Event object is invalid' })],
    path: '/v2/enqueue',
    check: ({ routing_key, event_action, dedup_key, payload }) => {
      assert.deepEqual([routing_key, event_action, dedup_key], ['R0UT1NG', 'trigger', incident.id]);
      const { summary, source, severity } = payload as Record<string, string>;
      assert.deepEqual([summary, source, severity], ['backup of main failed', failure.host, 'critical']);
    },
  },
};

for (const [name, { channel, good, bad, path, check }] of Object.entries(cases)) {
  test(`${name}: as documented; an answer of 2xx that says otherwise is a failure; no secret is told`, async () => {
    await sent(channel(), failure, good);
    assert.equal(receiver.calls.at(-1)?.path, path);
    check(last());
    assert.doesNotMatch(receiver.calls.at(-1)?.text ?? '', /hush|app:|@db/);
    for (const behaviour of bad) await assert.rejects(sent(channel(), failure, behaviour), /was (answered|not taken)/);
    for (const status of [301, 401, 404, 429, 500]) {
      const failed = await sent(channel(), failure, { status, headers: { location: '/elsewhere' } }).catch(
        (error: unknown) => error,
      );
      assert.ok(failed instanceof Error && !isRefusal(failed), `${status}`);
      assert.doesNotMatch(failed.message, /127\.0\.0\.1|services|12:ab/);
    }
    const refused = await sent(channel(), failure, { status: 400 }).catch((error: unknown) => error);
    assert.ok(isRefusal(refused));
  });
}

test('pagerduty resolves what it has triggered, and is not told of a success', async () => {
  const channel = cases['pagerduty']?.channel() as Channel;
  await sent(channel, recovery, json({ status: 'success' }, 202));
  assert.deepEqual([last()['event_action'], last()['dedup_key']], ['resolve', incident.id]);
  const { length } = receiver.calls;
  await sent(channel, { ...failure, outcome: 'success' });
  assert.equal(receiver.calls.length, length);
});

test('a document of the operator is filled in, and what is filled in stays text', async () => {
  const body = { a: '{{severity}}: {{title}}', b: [1, '{{text}}', '{{nope}}'], '{{title}}': true };
  const channel: Channel = {
    ...any,
    type: 'webhook',
    url: secret(receiver.url),
    token: undefined,
    secret: undefined,
    body,
  };
  await sent(channel, { ...failure, text: '", "x": "{{title}}' }, { status: 200 });
  assert.deepEqual(last(), {
    a: 'critical: backup of main failed',
    b: [1, '", "x": "{{title}}', '{{nope}}'],
    '{{title}}': true,
  });
});

describe('ping', () => {
  const channel = (): Channel => ({
    ...any,
    type: 'ping',
    url: secret(`${receiver.url}/ping/uuid?k=v`),
    signals: ['start', 'success', 'failure'],
    commands: ['backup'],
    target: undefined,
  });
  const run = '5c1cd74c-9c94-4f5b-9d3a-6f6a54ed2f0f';

  test('is called for start, success and exit code with the run, and for a test without a verdict', async () => {
    receiver.behave({ status: 200, text: 'OK' });
    for (const signal of ['start', 'success', 'failure'] as const) {
      await sent(channel(), { ...failure, ping: { signal, run, log: ['last line'] } });
    }
    await sent(channel(), failure);
    assert.deepEqual(
      receiver.calls.map(({ path }) => path),
      [
        `/ping/uuid/start?k=v&rid=${run}`,
        `/ping/uuid?k=v&rid=${run}`,
        `/ping/uuid/13?k=v&rid=${run}`,
        '/ping/uuid/log?k=v',
      ],
    );
    assert.match(receiver.calls[2]?.text ?? '', /last line$/);
  });

  test('"OK (not found)" is a failure', async () => {
    await assert.rejects(sent(channel(), failure, { status: 200, text: 'OK (not found)' }), /not found/);
  });
});

describe('command', () => {
  let folder: string;
  before(() => void (folder = mkdtempSync(join(tmpdir(), 'notify-'))));
  after(() => rmSync(folder, { recursive: true }));
  const channel = (...command: string[]): Channel => ({ ...any, type: 'command', command, cwd: folder });

  test('reads the document; another exit code, a missing program and one that hangs are failures', async () => {
    const script = join(folder, 'tell');
    writeFileSync(script, '#!/bin/sh\necho "$LIFEBOAT_SEVERITY" > out; cat >> out\n');
    chmodSync(script, 0o755);
    await sent(channel('./tell'), failure);
    const [severity, document = ''] = readFileSync(join(folder, 'out'), 'utf8').split('\n');
    assert.deepEqual([severity, (JSON.parse(document) as { type: string }).type], ['critical', 'backup.failed']);
    await assert.rejects(sent(channel('/bin/sh', '-c', 'exit 4'), failure), /exited with code 4/);
    await assert.rejects(sent(channel('./nothing'), failure), /not installed/);
    await assert.rejects(send(channel('/bin/sleep', '60'), failure, AbortSignal.timeout(300)));
    // One that reads nothing has heard of it all the same.
    await sent(channel('/bin/true'), failure);
  });
});

test('an answer without an end, or a redirect to another place, is not followed', async () => {
  await using elsewhere = await startHttpReceiver();
  const channel = cases['webhook']?.channel() as Channel;
  receiver.behave({ status: 200, text: 'x'.repeat(200_000) });
  await assert.rejects(send(channel, failure, AbortSignal.timeout(5000)), /has more than 64/);
  receiver.behave({ status: 307, headers: { location: `${elsewhere.url}/w` } });
  await assert.rejects(send(channel, failure, AbortSignal.timeout(5000)), /a redirect \(307\)/);
  assert.deepEqual(elsewhere.calls, []);
  receiver.behave(undefined);
  await assert.rejects(send(channel, failure, AbortSignal.timeout(300)));
});
