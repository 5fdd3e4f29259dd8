/** Which log stays, against tables: by base backups, timelines, days; partial segments and histories. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type WalObject } from '../../../../src/repository/wal/archive.ts';
import { needWalName, walKey } from '../../../../src/repository/wal/names.ts';
import { earliestMoment, WalJudge, type WalBase, type WalRules } from '../../../../src/repository/wal/retention.ts';
import { type HistoryLine, parseHistory } from '../../../../src/source/postgres/wal/history.ts';
import { parseLsn } from '../../../../src/source/postgres/wal/lsn.ts';

const now = Date.parse('2026-07-01T12:00:00Z');
const dayMs = 86_400_000;

/** Segments of 16 MB: number 5 begins at 0/5000000. */
function base(timeline: number, startLsn: string, given: Partial<WalBase> = {}): WalBase {
  return {
    backupId: 'x',
    target: 'main',
    systemId: '7',
    timeline,
    segmentBytes: 16 * 1024 * 1024,
    startLsn: parseLsn(startLsn),
    stopLsn: parseLsn(startLsn) + 100n,
    stoppedAt: '2026-06-01T00:00:00Z',
    state: 'live',
    ...given,
  };
}

function object(name: string, ageDays: number): WalObject {
  const file = needWalName(name);
  return { key: walKey('7', file), systemId: '7', file, sizeBytes: 100, modifiedMs: now - ageDays * dayMs };
}

/** A segment by timeline and number: `1/5`. */
function segment(short: string): string {
  const [timeline = '', number = ''] = short.split('/');
  return `${timeline.padStart(8, '0')}00000000${number.padStart(8, '0')}`;
}

interface Table {
  readonly bases: readonly WalBase[];
  readonly histories?: Readonly<Record<number, string | undefined>>;
  readonly keepDays?: number;
  readonly ageDays?: number;
}

/**
 * What becomes of each, segments given short or by their whole name, those of one segment together as a listing has
 * them.
 */
function judge({ bases, histories = {}, keepDays, ageDays = 40 }: Table, names: readonly string[]): string[] {
  const read = new Map<number, readonly HistoryLine[] | undefined>([[1, []]]);
  for (const [timeline, text] of Object.entries(histories)) {
    read.set(Number(timeline), text === undefined ? undefined : parseHistory(text, timeline));
  }
  const rules: WalRules = {
    bases,
    histories: read,
    keepSinceMs: keepDays === undefined ? Infinity : now - keepDays * dayMs,
    beforeMs: now - dayMs,
  };
  const judged = new WalJudge(rules);
  const objects = names.map((name) => [name, object(name.includes('/') ? segment(name) : name, ageDays)] as const);
  const verdicts = new Map<string, string>();
  const isPlain = ([, { file }]: (typeof objects)[number]): boolean => !['history', 'backup'].includes(file.kind);
  for (const group of Map.groupBy(objects.filter(isPlain), ([, { file }]) => file.segment ?? '').values()) {
    const found = judged.judgeSegment(group.map(([, each]) => each));
    for (const [n, [name]] of group.entries()) verdicts.set(name, found[n] ?? '');
  }
  for (const [name, each] of objects) if (each.file.kind === 'backup') verdicts.set(name, judged.judgeOne(each));
  for (const [name, each] of objects) if (each.file.kind === 'history') verdicts.set(name, judged.judgeHistory(each));
  return names.map((name) => `${name} ${verdicts.get(name)}`);
}

test('one timeline: from the segment in which the oldest base backup begins everything stays', () => {
  const bases = [base(1, '0/5000028'), base(1, '0/9000028')];
  assert.deepEqual(judge({ bases }, ['1/1', '1/4', '1/5', '1/6', '1/9', '1/FF']), [
    '1/1 goes',
    '1/4 goes',
    '1/5 stays',
    '1/6 stays',
    '1/9 stays',
    '1/FF stays',
  ]);
});

test('what only base backups in trash need goes later', () => {
  const bases = [
    base(1, '0/3000028', { state: 'trash' }),
    base(1, '0/5000028', { state: 'left' }),
    base(1, '0/7000028'),
  ];
  assert.deepEqual(judge({ bases }, ['1/2', '1/3', '1/5', '1/6', '1/7', '1/8']), [
    '1/2 goes',
    '1/3 later',
    '1/5 later',
    '1/6 later',
    '1/7 stays',
    '1/8 stays',
  ]);
});

test('days: what was stored since then stays, and what rests within the grace time', () => {
  const bases = [base(1, '0/5000028')];
  assert.deepEqual(judge({ bases, keepDays: 41 }, ['1/1', '1/4', '1/5']), ['1/1 stays', '1/4 stays', '1/5 stays']);
  assert.deepEqual(judge({ bases, keepDays: 40 }, ['1/1', '1/5']), ['1/1 stays', '1/5 stays']);
  assert.deepEqual(judge({ bases, keepDays: 39 }, ['1/1', '1/5']), ['1/1 goes', '1/5 stays']);
  assert.deepEqual(judge({ bases, ageDays: 1.1 }, ['1/1', '1/5']), ['1/1 goes', '1/5 stays']);
  assert.deepEqual(judge({ bases, ageDays: 1 }, ['1/1', '1/5']), ['1/1 stays', '1/5 stays']);
  assert.deepEqual(
    judge({ bases: [], keepDays: 39 }, ['1/1', '00000002.history']),
    ['1/1 goes', '00000002.history stays'],
    'a history that cannot be read',
  );
  assert.deepEqual(
    judge({ bases: [], keepDays: 39, histories: { 2: '1\t0/3000000\tx' } }, ['1/1', '00000002.history']),
    ['1/1 goes', '00000002.history goes'],
  );
});

test('timelines: a base backup reaches those that left its own after it, and ancestors where it begins', () => {
  // 1 was left for 2 in segment 6, and this for 3 in segment 9; 4 left 1 in segment 3.
  const histories = { 2: '1\t0/6800000\tx', 3: '1\t0/6800000\tx\n2\t0/9000100\tx', 4: '1\t0/3000000\tx' };
  const names = ['1/4', '1/5', '1/6', '1/8', '2/6', '2/8', '2/9', '2/A', '3/9', '3/C', '4/3', '4/C'];
  assert.deepEqual(judge({ bases: [base(1, '0/5000028')], histories }, names), [
    '1/4 goes',
    '1/5 stays',
    '1/6 stays',
    '1/8 stays',
    '2/6 stays',
    '2/8 stays',
    '2/9 stays',
    '2/A stays',
    '3/9 stays',
    '3/C stays',
    '4/3 goes',
    '4/C goes',
  ]);
  assert.deepEqual(judge({ bases: [base(2, '0/8000028')], histories }, names), [
    '1/4 goes',
    '1/5 goes',
    '1/6 goes',
    '1/8 goes',
    '2/6 goes',
    '2/8 stays',
    '2/9 stays',
    '2/A stays',
    '3/9 stays',
    '3/C stays',
    '4/3 goes',
    '4/C goes',
  ]);
  // It begins in the very segment in which its timeline does: the old one's copy of it stays too.
  assert.deepEqual(judge({ bases: [base(2, '0/6900028')], histories }, ['1/5', '1/6', '1/7', '2/6']), [
    '1/5 goes',
    '1/6 stays',
    '1/7 goes',
    '2/6 stays',
  ]);
  assert.deepEqual(judge({ bases: [base(3, '0/B000028')], histories }, ['1/6', '2/A', '2/B', '3/A', '3/B', '4/C']), [
    '1/6 goes',
    '2/A goes',
    '2/B goes',
    '3/A goes',
    '3/B stays',
    '4/C goes',
  ]);
});

test('a history that is missing or cannot be read: whatever may hang together stays', () => {
  const names = ['1/4', '1/8', '2/6', '2/8', '3/7', '3/9'];
  assert.deepEqual(judge({ bases: [base(2, '0/8000028')], histories: { 2: undefined } }, names), [
    '1/4 goes',
    '1/8 stays',
    '2/6 goes',
    '2/8 stays',
    '3/7 goes',
    '3/9 stays',
  ]);
  assert.deepEqual(judge({ bases: [base(1, '0/8000028')] }, names), [
    '1/4 goes',
    '1/8 stays',
    '2/6 goes',
    '2/8 stays',
    '3/7 goes',
    '3/9 stays',
  ]);
});

test('histories stay while a timeline that stays comes from them, or they from one', () => {
  const histories = { 2: '1\t0/6800000\tx', 3: '1\t0/6800000\tx\n2\t0/9000100\tx', 4: '1\t0/3000000\tx', 5: undefined };
  const names = [
    '1/6',
    '2/8',
    '3/B',
    '4/3',
    '00000002.history',
    '00000003.history',
    '00000004.history',
    '00000005.history',
  ];
  assert.deepEqual(judge({ bases: [base(3, '0/B000028')], histories }, names), [
    '1/6 goes',
    '2/8 goes',
    '3/B stays',
    '4/3 goes',
    '00000002.history stays',
    '00000003.history stays',
    '00000004.history goes',
    '00000005.history stays',
  ]);
  // A new timeline has a history before it has a segment.
  assert.deepEqual(
    judge({ bases: [base(1, '0/5000028')], histories }, ['1/6', '00000002.history', '00000003.history']),
    ['1/6 stays', '00000002.history stays', '00000003.history stays'],
  );
});

test(
  'partial segments: beside the whole one they go, and unfinished ' +
    'ones beside a longer one; labels go with their segment',
  () => {
    const unfinished = (short: string, lsn: string): string => `${segment(short)}.${lsn.padStart(16, '0')}.partial`;
    const bases = [base(1, '0/5000028')];
    const names = [
      unfinished('1/6', '6000100'),
      `${segment('1/6')}.partial`,
      '1/6',
      unfinished('1/7', '7000100'),
      unfinished('1/7', '7000200'),
      `${segment('1/8')}.partial`,
      `${segment('1/4')}.partial`,
    ];
    assert.deepEqual(
      judge({ bases }, names).map((each) => each.split(' ')[1]),
      ['goes', 'goes', 'stays', 'goes', 'stays', 'stays', 'goes'],
    );
    assert.deepEqual(
      judge({ bases, ageDays: 0.5 }, names).map((each) => each.split(' ')[1]),
      Array(7).fill('stays'),
    );
    assert.deepEqual(
      judge({ bases }, [`${segment('1/4')}.00000028.backup`, `${segment('1/5')}.00000028.backup`]).map(
        (each) => each.split(' ')[1],
      ),
      ['goes', 'stays'],
    );
  },
);

test('where all is to stay, all stays', () => {
  const rules: WalRules = {
    bases: [base(1, '0/5000028')],
    histories: new Map(),
    keepSinceMs: -Infinity,
    beforeMs: now,
  };
  const group = [object(`${segment('1/1')}.partial`, 40), object(segment('1/1'), 40)];
  assert.deepEqual(new WalJudge(rules).judgeSegment(group), ['stays', 'stays']);
});

test('the window begins where the first base backup ends', () => {
  const bases = [
    base(1, '0/5000028', { stoppedAt: '2026-06-03T00:00:00.1Z' }),
    base(1, '0/3000028', { stoppedAt: '2026-06-01T00:00:00Z', state: 'left' }),
    base(1, '0/1000028', { stoppedAt: '2026-05-01T00:00:00Z', state: 'trash' }),
  ];
  assert.equal(earliestMoment(bases, ['live', 'left']), '2026-06-01T00:00:00Z');
  assert.equal(earliestMoment(bases, ['live']), '2026-06-03T00:00:00.1Z');
  assert.equal(earliestMoment([], ['live']), undefined);
});
