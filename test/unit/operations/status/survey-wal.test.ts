/** What status makes of archived log: windows over gaps and promotions, and the reasons, each edge on both sides. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judgeWal } from '../../../../src/operations/status/judge-wal.ts';
import type { SurveyedServer, SurveyedWal } from '../../../../src/operations/status/survey-wal.ts';
import { mergeWindows, reachOf, type BaseReach } from '../../../../src/operations/status/wal-window.ts';
import type { KnownBase } from '../../../../src/operations/wal/bases.ts';
import { HeldTimelines, type HeldLog } from '../../../../src/operations/wal/gaps.ts';
import type { WalGap, WalTimeline } from '../../../../src/operations/wal/request.ts';
import { formatLsn } from '../../../../src/source/postgres/wal/lsn.ts';
import { segmentName, segmentNumber } from '../../../../src/source/postgres/wal/file-name.ts';

const mib = 1 << 20;
const name = (timeline: number, number: number): string => segmentName(timeline, BigInt(number), mib);
const lsn = (number: number): bigint => BigInt(number * mib);
const timeline = (number: number, first: number, last: number): WalTimeline => ({
  timeline: number,
  first: name(number, first),
  last: name(number, last),
  segments: last - first + 1,
  storedBytes: 1,
});
const gap = (on: number, first: number, last: number): WalGap => ({
  first: name(on, first),
  last: name(on, last),
  segments: last - first + 1,
});

function base(on: number, start: number, stop = start, stoppedAt = '2026-03-01T00:00:00Z'): KnownBase {
  const facts = {
    timeline: on,
    startLsn: formatLsn(lsn(start)),
    stopLsn: formatLsn(lsn(stop) + 100n),
    walSegmentBytes: mib,
    stoppedAt,
  } as KnownBase['facts'];
  return { id: 'b', target: 'main', facts };
}

/** What is held between the ends of timelines but for the gaps. */
function held(timelines: readonly WalTimeline[], gaps: readonly WalGap[], histories: HeldLog['histories']): HeldLog {
  const found = new HeldTimelines(mib);
  for (const { timeline: on, first, last } of timelines) {
    for (let number = segmentNumber(first, mib); number <= segmentNumber(last, mib); number++) {
      const segment = segmentName(on, number, mib);
      const isMissing = gaps.some((each) => each.first <= segment && segment <= each.last);
      if (!isMissing) found.add({ kind: 'segment', timeline: on, segment });
    }
  }
  return { segmentBytes: mib, timelines: found.timelines, histories };
}

describe('how far a base backup reaches', () => {
  const reach = (
    of: KnownBase,
    timelines: WalTimeline[],
    gaps: WalGap[] = [],
    histories: [number, { timeline: number; switchLsn: bigint }[]][] = [],
  ): unknown => {
    const {
      timeline: along,
      last,
      lastTimeline,
      isBroken,
      isCut,
    } = reachOf(of, held(timelines, gaps, new Map(histories)));
    return [along, Number(last), lastTimeline, isBroken ? 'broken' : isCut ? 'cut' : 'whole'];
  };
  test('to the end, to a gap, not at all', () => {
    assert.deepEqual(reach(base(1, 5), [timeline(1, 3, 20)]), [1, 20, 1, 'whole']);
    assert.deepEqual(reach(base(1, 5), [timeline(1, 3, 20)], [gap(1, 10, 11)]), [1, 9, 1, 'cut']);
    assert.deepEqual(reach(base(1, 12), [timeline(1, 3, 20)], [gap(1, 10, 11)]), [1, 20, 1, 'whole']);
    assert.deepEqual(reach(base(1, 5), [timeline(1, 3, 20)], [gap(1, 4, 4)]), [1, 20, 1, 'whole']);
    assert.deepEqual(reach(base(1, 5, 7), [timeline(1, 3, 20)], [gap(1, 6, 6)]), [1, 5, 1, 'broken']);
    assert.deepEqual(reach(base(1, 30), [timeline(1, 3, 20)]), [1, 29, 1, 'broken']);
    assert.deepEqual(reach(base(1, 5), [timeline(1, 3, 20)], [gap(1, 8, 9), gap(1, 6, 6)]), [1, 5, 1, 'cut']);
    const { timelines } = held([timeline(1, 3, 20)], [], new Map());
    const begun = new Map([[1, { ranges: timelines.get(1)?.ranges ?? [], unfinished: 22n }]]);
    const { isCut } = reachOf(base(1, 5), { segmentBytes: mib, timelines: begun, histories: new Map() });
    assert.ok(isCut, 'before what a stream has of a later segment, too');
  });
  test('over promotions, along the newest timeline that comes from it', () => {
    const promoted: [number, { timeline: number; switchLsn: bigint }[]][] = [
      [2, [{ timeline: 1, switchLsn: lsn(10) + 5n }]],
    ];
    assert.deepEqual(reach(base(1, 5), [timeline(1, 3, 9), timeline(2, 10, 15)], [], promoted), [2, 15, 2, 'whole']);
    assert.deepEqual(
      reach(base(1, 5), [timeline(1, 3, 14), timeline(2, 10, 12)], [], promoted),
      [2, 12, 2, 'whole'],
      'what the old one wrote after the switch is no part of it',
    );
    assert.deepEqual(
      reach(base(1, 5), [timeline(1, 3, 8), timeline(2, 11, 15)], [gap(1, 9, 9), gap(2, 10, 10)], promoted),
      [2, 8, 1, 'cut'],
    );
    assert.deepEqual(
      reach(base(1, 12), [timeline(1, 3, 14), timeline(2, 10, 15)], [], promoted),
      [1, 14, 1, 'whole'],
      'taken after the switch on the old one',
    );
    assert.deepEqual(
      reach(base(1, 5), [timeline(1, 3, 9), timeline(2, 10, 15)]),
      [1, 9, 1, 'whole'],
      'without the history',
    );
    assert.deepEqual(reach(base(2, 11), [timeline(1, 3, 9), timeline(2, 10, 15)], [], promoted), [2, 15, 2, 'whole']);
  });
  test('windows that touch are one', () => {
    const window = (from: number, to: number) => ({
      from: new Date(from * 1000).toISOString(),
      to: new Date(to * 1000).toISOString(),
    });
    assert.deepEqual(mergeWindows([window(50, 60), window(0, 10), window(10, 20), window(5, 8)]), [
      window(0, 20),
      window(50, 60),
    ]);
    assert.deepEqual(mergeWindows([]), []);
  });
});

describe('reasons', () => {
  const nowMs = Date.parse('2026-03-02T12:00:00Z');
  const minuteMs = 60_000;
  const whole: BaseReach = {
    base: base(1, 5),
    timeline: 1,
    last: 20n,
    lastTimeline: 1,
    next: name(1, 21),
    isBroken: false,
    isCut: false,
  };
  const server = (more: Partial<SurveyedServer> = {}): SurveyedServer => ({
    currentLsn: '0/0',
    archiveMode: 'on',
    passwordEnd: undefined,
    failures: 0,
    lastFailed: undefined,
    lastFailedAt: undefined,
    isFailing: false,
    behindBytes: 100,
    behindSegments: 0,
    ...more,
  });
  const wal = (more: Partial<SurveyedWal> = {}, ageMs = minuteMs): SurveyedWal => ({
    systemId: '7',
    segmentBytes: mib,
    timelines: [timeline(1, 3, 20)],
    gaps: [],
    missingHistories: [],
    damaged: [],
    targets: ['main'],
    isCurrent: true,
    bases: 1,
    windows: [{ from: '2026-03-01T00:00:00Z', to: '2026-03-02T00:00:00Z' }],
    newest: whole,
    harmfulGaps: [],
    archived: { lsn: '0/1500000', at: new Date(nowMs - ageMs).toISOString() },
    server: server(),
    ...more,
  });
  const names = (of: SurveyedWal): string[] =>
    judgeWal(of, nowMs, 25 * 60 * minuteMs).map(
      ({ id, weight, next }) => `${weight} ${id.replace(/:20\d\d.*/, '')} -> ${next}`,
    );

  test('nothing', () => assert.deepEqual(names(wal()), []));
  test('stopped: nothing has come while the server went on', () => {
    const stopped = (more: Partial<SurveyedServer>, ageMs: number): string[] =>
      names(wal({ server: server(more) }, ageMs));
    assert.deepEqual(stopped({ behindSegments: 9, isFailing: true }, 15 * minuteMs), []);
    assert.deepEqual(stopped({ behindSegments: 1, isFailing: true }, 16 * minuteMs), [
      'degraded wal-stopped:7 -> lifeboat doctor --target main',
    ]);
    assert.deepEqual(stopped({ behindSegments: 1, archiveMode: 'off' }, 61 * minuteMs), [
      'unhealthy wal-stopped:7 -> lifeboat doctor --target main',
    ]);
    assert.deepEqual(stopped({ behindSegments: 2 }, 99 * minuteMs), [], 'an idle server that has just begun to write');
    assert.deepEqual(stopped({ behindSegments: 3 }, 61 * minuteMs), [
      'unhealthy wal-stopped:7 -> lifeboat doctor --target main',
    ]);
    assert.deepEqual(stopped({ behindSegments: 0, isFailing: true }, 9999 * minuteMs), [], 'nothing to archive');
    assert.deepEqual(
      names(wal({ server: server({ behindSegments: 9 }), isCurrent: false }, 9999 * minuteMs)),
      [],
      'a cluster that was replaced',
    );
  });
  test('a server that is down is given a day', () => {
    assert.deepEqual(names(wal({ server: undefined }, 25 * 60 * minuteMs)), []);
    assert.deepEqual(names(wal({ server: undefined }, 25 * 60 * minuteMs + 1)), [
      'degraded wal-quiet:7 -> lifeboat doctor --target main',
    ]);
  });
  test('gaps, histories, no base backup, damage', () => {
    assert.deepEqual(
      names(wal({ newest: { ...whole, last: 9n, next: name(1, 10), isCut: true }, harmfulGaps: [gap(1, 10, 11)] })),
      [`unhealthy wal-cut:7:${name(1, 10)} -> lifeboat backup base --target main`],
    );
    assert.deepEqual(names(wal({ newest: { ...whole, isBroken: true, last: 4n, next: name(1, 5) } })), [
      `unhealthy wal-cut:7:${name(1, 5)} -> lifeboat backup base --target main`,
    ]);
    assert.deepEqual(names(wal({ harmfulGaps: [gap(1, 3, 4)] })), [
      `degraded wal-gap:7:${name(1, 3)} -> lifeboat wal status`,
    ]);
    assert.deepEqual(names(wal({ damaged: [{ object: 'wal/7/x.wal', problem: 'it is empty' }] })), [
      'unhealthy wal-damaged:7:wal/7/x.wal -> lifeboat wal status',
    ]);
    assert.deepEqual(names(wal({ missingHistories: ['00000001.history'] })), [
      'unhealthy wal-history:7:00000001.history -> lifeboat wal push <data directory>/pg_wal/00000001.history',
    ]);
    assert.match(
      names(wal({ missingHistories: ['00000001.history'], timelines: [timeline(1, 3, 5), timeline(2, 6, 7)] }))[0] ??
        '',
      /^degraded/,
    );
    assert.deepEqual(names(wal({ bases: 0, newest: undefined, targets: [], harmfulGaps: [gap(1, 3, 4)] })), [
      'degraded wal-no-base:7 -> lifeboat backup base',
    ]);
    assert.deepEqual(names(wal({ problem: 'it is damaged', bases: 0 })), [
      'unhealthy wal-damaged:7 -> lifeboat wal status',
    ]);
  });
});
