/** What status makes of what it found: a table of one thing wrong at a time, each edge on both sides. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mayBeAcknowledged } from '../../../../src/operations/status/status.ts';
import { analyse } from '../../../../src/operations/status/analytics.ts';
import { judge } from '../../../../src/operations/status/judge.ts';
import type { Limits } from '../../../../src/operations/status/limits.ts';
import type { SurveyedBackup, SurveyedTarget } from '../../../../src/operations/status/survey-target.ts';
import type { StatusSchedule } from '../../../../src/operations/status/request.ts';
import type { SurveyedWal } from '../../../../src/operations/status/survey-wal.ts';
import type { Survey } from '../../../../src/operations/status/survey.ts';

const hourMs = 3_600_000;
const nowMs = Date.parse('2026-03-01T12:00:00Z');
const ago = (ms: number): string => new Date(nowMs - ms).toISOString();
const limits: Limits = {
  backupDelayMs: 25 * hourMs,
  provenDelayMs: 35 * 24 * hourMs,
  failureRate: 0.1,
  storageShare: 0.85,
  storageBudgetBytes: undefined,
  maxAgeMs: undefined,
  days: 30,
};

function backup(ageMs: number, more: Partial<SurveyedBackup> = {}): SurveyedBackup {
  return {
    id: `b-${ageMs / hourMs}`,
    type: 'full',
    startedAt: ago(ageMs),
    finishedAt: ago(ageMs - 60_000),
    durationMs: 60_000,
    components: ['database'],
    readBytes: 1_000_000,
    storedBytes: 100_000,
    flaws: new Map(),
    ...more,
  };
}

const daily = (count: number): SurveyedBackup[] =>
  Array.from({ length: count }, (_, n) => backup((2 + 24 * n) * hourMs));

function target(more: Partial<SurveyedTarget> = {}): SurveyedTarget {
  return {
    name: 'main',
    configured: ['database'],
    backups: daily(8),
    proof: { id: 'b-26', at: ago(48 * hourMs), restoreMs: 5000, steps: [], readBytes: 1_000_000 },
    recovery: undefined,
    runs: [],
    isSizeAcknowledged: false,
    due: new Map(),
    isBackingUp: false,
    ...more,
  };
}

function survey(more: Partial<Survey> = {}, of: Partial<SurveyedTarget> = {}): Survey {
  return {
    nowMs,
    targets: [target(of)],
    damaged: [],
    untrusted: [],
    unchecked: [],
    hidden: [],
    past: [],
    keys: [],
    running: [],
    schedules: [],
    storage: { storedBytes: 1e9, freeBytes: 50, capacityBytes: 100, packs: undefined },
    wal: [],
    certificates: [],
    ...more,
  };
}

const names = (found: Survey, over: Partial<Limits> = {}): string[] =>
  judge(found, { ...limits, ...over }).map(({ id, weight }) => `${weight} ${id}`);

const run = (ageMs: number, outcome: 'ok' | 'failed' | 'aborted') => ({
  repository: 'r',
  target: 'main',
  startedAt: ago(ageMs),
  finishedAt: ago(ageMs),
  outcome,
  exitCode: outcome === 'ok' ? 0 : 13,
  ...(outcome === 'ok' ? {} : { message: 'cannot connect' }),
});
const runs = (failed: number, all: number) =>
  Array.from({ length: all }, (_, n) => run((all - n) * hourMs, n < failed ? 'failed' : 'ok'));

test('nothing wrong: healthy', () => assert.deepEqual(names(survey()), []));

describe('age', () => {
  test('of each configured component, against the delay', () => {
    assert.deepEqual(names(survey({}, { backups: [backup(25 * hourMs)] })), []);
    assert.deepEqual(names(survey({}, { backups: [backup(25 * hourMs + 1)] })), [
      `unhealthy stale:main:database:b-${25 + 1 / hourMs}`,
    ]);
    const mixed = [
      backup(hourMs, { components: ['redis'] }),
      backup(30 * hourMs, { components: ['database', 'redis'] }),
    ];
    assert.deepEqual(names(survey({}, { configured: ['database', 'redis'], backups: mixed })), [
      'unhealthy stale:main:database:b-30',
    ]);
    assert.deepEqual(names(survey({}, { configured: ['database', 'files'] })), ['unhealthy no-backup:main:files']);
  });

  test('--max-age is stricter, never laxer; a target that is not configured has no age', () => {
    assert.deepEqual(names(survey(), { maxAgeMs: hourMs }), ['unhealthy stale:main:database:b-2']);
    assert.deepEqual(names(survey({}, { backups: [backup(30 * hourMs)] }), { maxAgeMs: 99 * hourMs }), [
      'unhealthy stale:main:database:b-30',
    ]);
    assert.deepEqual(names(survey({}, { configured: [], backups: [backup(999 * hourMs)] })), []);
  });

  describe('against a schedule', () => {
    const due = (ageMs: number): Partial<SurveyedTarget> => ({
      due: new Map([['database', { schedules: ['weekly'], dueMs: nowMs - ageMs, nextMs: nowMs + hourMs }]]),
    });
    const old = (ageMs: number, more: Partial<SurveyedTarget>): string[] =>
      names(survey({}, { backups: [backup(ageMs)], ...more }));
    test('an old backup is young enough until the next one is due', () => {
      assert.deepEqual(old(160 * hourMs, due(160 * hourMs)), []);
      assert.deepEqual(
        old(160 * hourMs, { due: new Map([['database', { schedules: ['new'], dueMs: undefined, nextMs: nowMs }]]) }),
        [],
      );
      assert.deepEqual(
        old(160 * hourMs, { due: new Map([['redis', { schedules: ['other'], dueMs: nowMs, nextMs: nowMs }]]) }),
        ['unhealthy stale:main:database:b-160'],
        'that of another component says nothing',
      );
    });
    test('a missed one is told; once the general delay has passed too it is stale', () => {
      assert.deepEqual(old(3 * hourMs, due(2 * hourMs)), [`degraded missed:main:database:${ago(2 * hourMs)}`]);
      assert.deepEqual(old(26 * hourMs, due(2 * hourMs)), ['unhealthy stale:main:database:b-26']);
      assert.match(
        judge(survey({}, { backups: [backup(26 * hourMs)], ...due(2 * hourMs) }), limits)[0]?.message ?? '',
        /26 h 00 min old, over 25 h 00 min, and schedule "weekly" was due at 2026-03-01T10:00/,
      );
    });
    test('a backup by hand just before it will do, and one at work', () => {
      assert.deepEqual(old(2 * hourMs + 300_000, due(2 * hourMs)), []);
      assert.deepEqual(old(2 * hourMs + 300_001, due(2 * hourMs)), [
        `degraded missed:main:database:${ago(2 * hourMs)}`,
      ]);
      assert.deepEqual(old(26 * hourMs, { ...due(2 * hourMs), isBackingUp: true }), []);
    });
    test('--max-age counts all the same', () => {
      assert.deepEqual(
        names(survey({}, { backups: [backup(160 * hourMs)], ...due(160 * hourMs) }), { maxAgeMs: 100 * hourMs }),
        ['unhealthy stale:main:database:b-160'],
      );
    });
  });

  test('a date in the future is not taken for young', () => {
    assert.deepEqual(names(survey({}, { backups: [backup(-2 * hourMs)] })), ['degraded future:b--2']);
  });
});

describe('runs', () => {
  test('a tenth failed is too much, less is not; aborted ones and old ones do not count', () => {
    assert.deepEqual(names(survey({}, { runs: runs(1, 11) })), []);
    assert.deepEqual(names(survey({}, { runs: runs(1, 10) })), [`degraded failure-rate:main:${ago(10 * hourMs)}`]);
    assert.deepEqual(names(survey({}, { runs: [run(31 * 24 * hourMs, 'failed'), run(hourMs, 'ok')] })), []);
    assert.deepEqual(names(survey({}, { runs: [run(2 * hourMs, 'aborted'), run(hourMs, 'ok')] })), []);
  });

  test('the last one failed', () => {
    const found = judge(survey({}, { runs: [...runs(0, 20), run(60_000, 'failed')] }), limits);
    assert.deepEqual(
      found.map(({ id }) => id),
      [`last-run:main:${ago(60_000)}`],
    );
    assert.match(found[0]?.message ?? '', /exit code 13\): cannot connect/);
  });
});

describe('proof', () => {
  const failing = {
    state: 'stored',
    failing: true,
    lastFailure: { at: ago(hourMs), durationMs: 1, level: 'drill', object: 'x' },
  } as const;
  test('never, or too long ago', () => {
    assert.deepEqual(names(survey({}, { proof: undefined })), ['degraded unproven:main']);
    const at = (ms: number) => ({ id: 'b-26', at: ago(ms), restoreMs: 1, steps: [], readBytes: 1 });
    assert.deepEqual(names(survey({}, { proof: at(35 * 24 * hourMs) })), []);
    assert.deepEqual(names(survey({}, { proof: at(35 * 24 * hourMs + 1) })), ['degraded proof-old:main:b-26']);
  });

  test('a newest backup of a damaged source is told of, and counts for none', () => {
    const [newest, ...others] = daily(8);
    assert.ok(newest !== undefined);
    const flawed = { ...newest, flaws: new Map([['database', 'the rows of 1 table are not in it']]) };
    assert.deepEqual(names(survey({}, { backups: [flawed, ...others] }), { backupDelayMs: 20 * hourMs }), [
      'unhealthy stale:main:database:b-26',
      'unhealthy damaged-source:b-2:database',
    ]);
    assert.deepEqual(names(survey({}, { backups: [flawed] })), [
      'unhealthy no-backup:main:database',
      'unhealthy damaged-source:b-2:database',
    ]);
  });

  test('a failed newest backup is worse than a failed older one', () => {
    const [newest, second, ...others] = daily(8);
    assert.ok(newest !== undefined && second !== undefined);
    assert.deepEqual(names(survey({}, { backups: [{ ...newest, standing: failing }, second, ...others] })), [
      `unhealthy failed:b-2:${ago(hourMs)}`,
    ]);
    assert.deepEqual(names(survey({}, { backups: [newest, { ...second, standing: failing }, ...others] })), [
      `degraded failed:b-26:${ago(hourMs)}`,
    ]);
  });
});

describe('trend', () => {
  const newest = (more: Partial<SurveyedBackup>, others = 7): Partial<SurveyedTarget> => ({
    backups: [backup(hourMs, more), ...daily(others)],
  });
  test('less than half of what the last ones held, unless that is meant to be', () => {
    assert.deepEqual(names(survey({}, newest({ readBytes: 500_000 }))), []);
    assert.deepEqual(names(survey({}, newest({ readBytes: 499_999 }))), ['degraded size:b-1']);
    assert.deepEqual(names(survey({}, { ...newest({ readBytes: 0 }), isSizeAcknowledged: true })), []);
    assert.deepEqual(names(survey({}, newest({ readBytes: 0 }, 3))), [], 'three say nothing');
    assert.deepEqual(
      names(survey({}, newest({ readBytes: 0, type: 'redis', components: ['redis'] }))),
      [],
      'another kind is not compared',
    );
  });

  test('twice the time or the size counts only where it is much', () => {
    assert.deepEqual(names(survey({}, newest({ durationMs: 179_000 }))), []);
    assert.deepEqual(names(survey({}, newest({ durationMs: 181_000 }))), ['degraded duration:b-1']);
    assert.deepEqual(names(survey({}, newest({ readBytes: 90_000_000 }))), []);
    assert.deepEqual(names(survey({}, newest({ readBytes: 900_000_000 }))), ['degraded size:b-1']);
  });

  test('what differs from night to night must be far off; where nothing does, a fifth tells', () => {
    const nights = (...of: Partial<SurveyedBackup>[]): Survey =>
      survey({}, { backups: of.map((more, n) => backup(hourMs + n * 24 * hourMs, more)) });
    const restless = Array.from({ length: 12 }, (_, n) => ({ durationMs: n % 2 === 0 ? 60_000 : 600_000 }));
    assert.deepEqual(names(nights({ durationMs: 1_000_000 }, ...restless)), []);
    assert.deepEqual(names(nights({ durationMs: 9_000_000 }, ...restless)), ['degraded duration:b-1']);
    const steady = Array.from({ length: 12 }, () => ({ readBytes: 1e9 }));
    assert.deepEqual(names(nights({ readBytes: 1.19e9 }, ...steady)), []);
    for (const readBytes of [1.21e9, 0.79e9]) {
      assert.deepEqual(names(nights({ readBytes }, ...steady)), ['degraded size:b-1']);
    }
    assert.deepEqual(names(nights({ readBytes: 1.21e9 }, ...steady.slice(4))), [], 'eight do not show it');
  });
});

test('a certificate that ends within three weeks, or has ended', () => {
  const ending = (ms: number): Survey =>
    survey({ certificates: [{ target: 'main', path: '/etc/client.pem', endsMs: nowMs + ms }] });
  assert.deepEqual(names(ending(22 * 24 * hourMs)), []);
  assert.deepEqual(names(ending(20 * 24 * hourMs)), ['degraded certificate:main:/etc/client.pem']);
  assert.deepEqual(names(ending(1)), ['degraded certificate:main:/etc/client.pem']);
  assert.deepEqual(names(ending(0)), ['unhealthy certificate:main:/etc/client.pem']);
});

describe('storage', () => {
  const of = (freeBytes: number | undefined): Survey =>
    survey({
      storage: {
        storedBytes: 900,
        freeBytes,
        capacityBytes: freeBytes === undefined ? undefined : 1000,
        packs: undefined,
      },
    });
  test('the file system at 85 %, and nearly full; the budget', () => {
    assert.deepEqual(names(of(151)), []);
    assert.deepEqual(names(of(150)), ['degraded storage:85']);
    assert.deepEqual(names(of(20)), ['unhealthy storage:95']);
    assert.deepEqual(names(of(undefined)), []);
    assert.deepEqual(names(of(undefined), { storageBudgetBytes: 1000 }), ['degraded budget:90']);
    assert.deepEqual(names(of(undefined), { storageBudgetBytes: 2000 }), []);
  });
});

test('the repository: damage and a changed past are unhealthy and come first; the rest is degraded', () => {
  const running = { scope: 'backup-main', command: 'backup', host: 'h', user: 'u', since: ago(hourMs), isAlive: false };
  const found = survey({
    damaged: [{ id: 'x', object: 'manifests/x.json', reason: 'its seal does not hold' }],
    untrusted: ['u'],
    unchecked: ['c'],
    hidden: [{ id: 'h', by: 'marker', hiddenMs: nowMs }],
    past: ['y', 'h'].map((id) => ({
      kind: 'rollback',
      weight: 'fault',
      object: `manifests/${id}.json`,
      problem: 'this host has seen it',
      backups: [],
    })),
    keys: [{ id: 'k', problem: 'is wrapped for others' }],
    running: [running, { ...running, scope: 'read', isAlive: true }],
  });
  assert.deepEqual(names(found), [
    'unhealthy damaged:x',
    'unhealthy hidden:h',
    'unhealthy rollback:manifests/y.json',
    'degraded unchecked',
    'degraded untrusted:u',
    'degraded key:k',
    `degraded stale-lease:backup-main:${ago(hourMs)}`,
  ]);
  assert.deepEqual(judge(found, limits).filter(mayBeAcknowledged).length, 6);
  assert.equal(mayBeAcknowledged({ id: 'stale:main:database:x', weight: 'unhealthy' }), false);
  assert.deepEqual(names(survey({ targets: [] })), ['unhealthy no-target']);
});

test('analytics: rates, averages and the ratio', () => {
  const backups = [
    backup(hourMs),
    backup(2 * hourMs, { readBytes: 3_000_000, storedBytes: 300_000, durationMs: 180_000 }),
    backup(999 * hourMs, { readBytes: 0, storedBytes: 0 }),
  ];
  assert.deepEqual(
    analyse({ backups, runs: [run(3 * hourMs, 'failed'), run(hourMs, 'ok'), run(999 * hourMs, 'failed')] }, nowMs, 30),
    {
      days: 30,
      successes: 2,
      failures: 1,
      successRate: 2 / 3,
      averageReadBytes: 2_000_000,
      averageStoredBytes: 200_000,
      averageDurationMs: 120_000,
      backups: 3,
      readBytes: 4_000_000,
      storedBytes: 400_000,
      ratio: 10,
    },
  );
  assert.equal(analyse({ backups: [], runs: [] }, nowMs, 30).successRate, undefined);
});

test('a slot that never ran is to be looked at, two in a row are a schedule that nobody runs', () => {
  const schedule = (more: Partial<StatusSchedule>): StatusSchedule => ({
    target: 'main',
    id: 'nightly',
    name: 'every night',
    type: 'full',
    host: 'web-1',
    cronExpression: '15 2 * * *',
    timezone: 'UTC',
    missed: [],
    isRunning: false,
    ...more,
  });
  const reasons = (more: Partial<StatusSchedule>): string[] =>
    judge(survey({ schedules: [schedule(more)] }), limits).map(
      ({ weight, id, message }) => `${weight} ${id} ${message}`,
    );
  const [first, second] = [{ due: '2026-02-28T02:15:00.000Z' }, { due: '2026-03-01T02:15:00.000Z' }];
  assert.deepEqual(reasons({}), []);
  assert.deepEqual(reasons({ missed: [second] }), [
    'degraded slot:main/nightly:2026-03-01T02:15:00.000Z schedule "every night" (full of main, of web-1) never ran ' +
      'at 2026-03-01T02:15:00.000Z',
  ]);
  assert.deepEqual(reasons({ missed: [second], isRunning: true }), [], 'it is at it');
  const failed = { ...second, outcome: 'failed', code: 'source' };
  assert.deepEqual(reasons({ missed: [first, failed], isRunning: true }), [
    'unhealthy slot:main/nightly:2026-02-28T02:15:00.000Z schedule "every night" (full of main, of web-1) failed ' +
      '(source) at 2026-03-01T02:15:00.000Z, nor did 1 moment before it come to a good end',
  ]);
});

test('a password that is valid for less than three weeks, or no longer', () => {
  const wal: SurveyedWal = {
    systemId: '7',
    segmentBytes: 16_777_216,
    timelines: [],
    gaps: [],
    missingHistories: [],
    damaged: [],
    targets: ['main'],
    isCurrent: true,
    bases: 1,
    windows: [{ from: new Date(nowMs).toISOString(), to: new Date(nowMs).toISOString() }],
    newest: undefined,
    harmfulGaps: [],
    archived: { lsn: '0/1', at: new Date(nowMs).toISOString() },
    server: undefined,
  };
  const server = {
    currentLsn: '0/1',
    archiveMode: 'on',
    failures: 0,
    lastFailed: undefined,
    lastFailedAt: undefined,
    isFailing: false,
    behindBytes: 0,
    behindSegments: 0,
  };
  const ending = (ms: number): string[] => {
    const passwordEnd = { role: 'backup', endsMs: nowMs + ms };
    const found = names(survey({ wal: [{ ...wal, server: { ...server, passwordEnd } }] }));
    return found.filter((name) => name.includes('password'));
  };
  assert.deepEqual(ending(21 * 24 * hourMs), []);
  assert.deepEqual(ending(20 * 24 * hourMs), ['degraded password:main:backup']);
  assert.deepEqual(ending(0), ['unhealthy password:main:backup']);
});
