/** What is told of what was seen: once, with its end, to whom the routes name. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Channel, NotificationRoute, Notifications } from '../../../../src/config/config.ts';
import { LaterSecret } from '../../../../src/config/secrets.ts';
import { AbortedError, LifeboatError } from '../../../../src/lib/errors.ts';
import { digestOf } from '../../../../src/operations/notify/digest.ts';
import { judgeSightings, type Incident, type Sighting } from '../../../../src/operations/notify/incidents.ts';
import { noticeOf } from '../../../../src/operations/notify/notice.ts';
import { channelsFor, isQuiet } from '../../../../src/operations/notify/routing.ts';
import { sightingsOf, type EndedRun } from '../../../../src/operations/notify/run-sightings.ts';
import { sightingsOfStatus, type FoundReason } from '../../../../src/operations/notify/status-sightings.ts';
import { withoutSecrets } from '../../../../src/operations/notify/words.ts';

const nowMs = Date.parse('2026-03-04T05:06:07Z');

/** What is told, step by step, and what is open at the end. */
function follow(steps: readonly (readonly Sighting[])[], reminderMs?: number) {
  let open: readonly Incident[] = [];
  const told = steps.map((sightings, n) => {
    const judged = judgeSightings(open, sightings, nowMs + n * 3_600_000, reminderMs);
    ({ open } = judged);
    return judged.notices.filter(({ outcome }) => outcome !== 'success').map(({ event }) => event);
  });
  return { told, open: open.map(({ key, count }) => `${key} ${count}`) };
}

const run = (end: EndedRun['end'], parts: readonly string[] = [], command = 'backup'): Sighting[] =>
  sightingsOf({ command, target: 'main', parts, durationMs: 1000, end });
const failed = (error: unknown = new LifeboatError('source', 'no server')): EndedRun['end'] => ({
  kind: 'rejected',
  error,
});
const ended = (exitCode: number): EndedRun['end'] => ({ kind: 'resolved', exitCode, backup: undefined, warnings: [] });

describe('runs', () => {
  test('are told of once, and when they are well again', () => {
    const { told, open } = follow([run(ended(0)), run(failed()), run(failed()), run(ended(0)), run(ended(0))]);
    assert.deepEqual([told, open], [[[], ['backup.failed'], [], ['backup.recovered'], []], []]);
  });

  test('what lasts is told again only where reminders are wanted, and what becomes worse always', () => {
    const hours = [run(failed()), run(failed()), run(failed())];
    assert.deepEqual(follow(hours, 2 * 3_600_000).told, [['backup.failed'], [], ['backup.failed']]);
    const locked = failed(new LifeboatError('locked', 'another one'));
    assert.deepEqual(follow([run(locked), run(failed()), run(locked)]).told, [
      ['backup.failed'],
      ['backup.failed'],
      [],
    ]);
  });

  test('a good run of a part ends what that part has, a good run of all ends everything', () => {
    const begin = [run(failed(), ['redis']), run(failed(), ['database', 'files']), run(failed())];
    assert.deepEqual(follow([...begin, run(ended(0), ['redis'])]).open, [
      'backup:failed:main:database+files 1',
      'backup:failed:main 1',
    ]);
    assert.deepEqual(follow([...begin, run(ended(0))]).open, []);
    assert.deepEqual(follow([...begin, run(ended(0), [], 'validate')]).open.length, 3);
  });

  test('warnings and findings are incidents of their own kind', () => {
    assert.deepEqual(follow([run(failed()), run(ended(3)), run(ended(3)), run(ended(0))]).told, [
      ['backup.failed'],
      ['backup.recovered', 'backup.warned'],
      [],
      ['backup.recovered'],
    ]);
    const [damage] = judgeSightings([], run(ended(14), ['id'], 'validate'), nowMs).notices;
    assert.deepEqual([damage?.event, damage?.severity], ['validate.failed', 'critical']);
  });

  test('who has pressed Ctrl-C, or did not confirm, knows; a hung run is called so', () => {
    assert.deepEqual(run(failed(new AbortedError('SIGINT'))), []);
    assert.deepEqual(run(failed(new LifeboatError('confirmation', 'no'))), []);
    assert.deepEqual(follow([run(failed(new LifeboatError('source', 'hung: no byte moved')))]).told, [['backup.hung']]);
    assert.deepEqual(follow([run(failed(new AbortedError('SIGTERM')))]).told, [['backup.failed']]);
  });
});

describe('findings of status', () => {
  const reason = (id: string, more: Partial<FoundReason> = {}): FoundReason => ({
    id,
    weight: 'degraded',
    message: id,
    next: 'lifeboat status',
    ...more,
  });

  test('are raised once and cleared once, though the moment or share in their name changes', () => {
    const looks = [
      [reason('storage:85'), reason('wal-gap:1:2')],
      [reason('storage:90'), reason('wal-gap:1:2')],
      [reason('wal-gap:1:2', { acknowledged: {} })],
      [],
    ];
    assert.deepEqual(follow(looks.map((each) => sightingsOfStatus(each, undefined))).told, [
      ['status.storage.raised', 'status.wal-gap.raised'],
      [],
      ['status.storage.cleared'],
      ['status.wal-gap.cleared'],
    ]);
  });

  test('a look at one target clears nothing of another; failed runs have told of themselves', () => {
    const both = [reason('late:a', { target: 'a' }), reason('late:b', { target: 'b' })];
    const { open } = follow([sightingsOfStatus(both, undefined), sightingsOfStatus([], 'a')]);
    assert.deepEqual(open, ['status:late:b 1']);
    assert.deepEqual(follow([sightingsOfStatus([reason('last-run:a:2026-01-01T00:00:00Z')], undefined)]).told, [[]]);
  });
});

describe('routes', () => {
  const secret = new LaterSecret('https://x', { env: {}, folder: '/' });
  const channel = (name: string): Channel => ({ name, timeoutMs: 1, digestMs: undefined, type: 'slack', url: secret });
  const route = (more: Partial<NotificationRoute>): NotificationRoute => ({
    events: undefined,
    severities: undefined,
    outcomes: ['failure', 'recovery'],
    targets: undefined,
    channels: ['a'],
    ...more,
  });
  const notifications = (...routes: NotificationRoute[]): Notifications => ({
    channels: new Map(['a', 'b'].map((name) => [name, channel(name)])),
    routes,
    quietHours: undefined,
    escalation: undefined,
    reminderMs: undefined,
  });
  const notice = noticeOf({
    event: 'backup.failed',
    outcome: 'failure',
    severity: 'warning',
    target: 'main',
    title: 't',
    text: 't',
  });

  test('choose by event, severity, target and outcome; success only where it is asked for', () => {
    const of = (more: Partial<NotificationRoute>, told = notice) => channelsFor(told, notifications(route(more)));
    assert.deepEqual(of({ events: ['backup.*'], severities: ['warning'], targets: ['main'] }), ['a']);
    assert.deepEqual(of({ events: ['*.failed'] }), ['a']);
    for (const more of [
      { events: ['status.*', 'backup', 'b*k.failed'] },
      { severities: ['critical'] as const },
      { targets: ['other'] },
      { outcomes: ['success'] as const },
    ]) {
      assert.deepEqual(of(more), [], JSON.stringify(more));
    }
    const good = { ...notice, outcome: 'success', severity: 'info' } as const;
    assert.deepEqual([of({}, good), of({ outcomes: ['success'], severities: ['critical'] }, good)], [[], ['a']]);
    assert.deepEqual(channelsFor(notice, notifications(route({}), route({ channels: ['b', 'a'] }))), ['a', 'b']);
  });

  test('that a channel fails is told by the others', () => {
    const incident = { key: 'status:channel:a', id: notice.id, since: notice.at, count: 1 };
    assert.deepEqual(channelsFor({ ...notice, incident }, notifications(route({ channels: ['a', 'b'] }))), ['b']);
  });

  test('quiet hours hold everything but what is critical, over midnight and by their own clock', () => {
    const hours = { fromMinute: 22 * 60, toMinute: 7 * 60, timezone: 'Europe/Berlin' };
    const at = (time: string, severity: 'warning' | 'critical' = 'warning') =>
      isQuiet({ ...notice, severity }, channel('a'), hours, Date.parse(`2026-07-01T${time}Z`));
    assert.deepEqual([at('19:59:00'), at('20:00:00'), at('04:59:59'), at('05:00:00')], [false, true, true, false]);
    assert.equal(at('23:00:00', 'critical'), false);
  });

  test('a digest has all of its parts, and the severity of the worst', () => {
    const digest = digestOf([notice, { ...notice, title: 'u', severity: 'critical', outcome: 'recovery' }]);
    assert.deepEqual([digest.severity, digest.outcome, digest.text.split('\n').length], ['critical', 'failure', 2]);
    assert.equal(digestOf([notice]), notice);
  });
});

test('no message holds connection strings, keys or what drives a terminal', () => {
  const text = withoutSecrets(
    'redis://:hush@h:1/0 host=db password=hush user="me" rediss://h s3://k:hush@b/x s3://bucket/p whsec_hush== ' +
      `AGE-SECRET-KEY-1HUSH ${'ab'.repeat(32)} postgresql+psycopg://hush`,
  );
  assert.doesNotMatch(text, /hush|abab{20}|"me"|=db/i);
  assert.match(text, /s3:\/\/bucket\/p/);
  const { title } = noticeOf({ event: 'e', outcome: 'failure', severity: 'info', title: 'a\n\u001b[2Jb', text: '' });
  assert.equal(title, String.raw`a \u001b[2Jb`);
});

test('one odd backup after the other is one matter; of another kind it is another', () => {
  const odd = (id: string): FoundReason[] => [{ id, weight: 'degraded', message: 'odd', next: 'look' }];
  const { told, open } = follow([
    sightingsOfStatus(odd('size:20260301T020000Z-main-full-00000001'), undefined),
    sightingsOfStatus(odd('size:20260302T020000Z-main-full-00000002'), undefined),
    sightingsOfStatus(odd('size:20260302T020000Z-main-redis-00000002'), undefined),
  ]);
  assert.deepEqual(told, [['status.size.raised'], [], ['status.size.cleared', 'status.size.raised']]);
  assert.deepEqual(open, ['status:size:main-redis 1']);
});
