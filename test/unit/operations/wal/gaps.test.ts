/**
 * What is a gap in the log: within a timeline, at its end, where one timeline came from another; for 1 MB and 16 MB.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  closingBefore,
  gapsIn,
  hasGapAtEnd,
  HeldTimelines,
  holdsWhole,
  missingHistories,
  namesOnWay,
  reachOfLog,
  type HeldLog,
} from '../../../../src/operations/wal/gaps.ts';
import { needWalName, unfinishedName } from '../../../../src/repository/wal/names.ts';
import { segmentName } from '../../../../src/source/postgres/wal/file-name.ts';

const mib = 1024 * 1024;

for (const size of [mib, 16 * mib]) {
  describe(`segments of ${size / mib} MB`, () => {
    // The last segment of a log, so that names do not simply count up.
    const start = 2n ** 32n / BigInt(size) - 5n;
    const name = (timeline: number, number: number): string => segmentName(timeline, start + BigInt(number), size);
    const lsn = (number: number, bytes = 0): bigint => (start + BigInt(number)) * BigInt(size) + BigInt(bytes);
    /** Whole segments by timeline; `more`: other names, after the whole ones. */
    const log = (
      whole: Readonly<Record<number, readonly number[]>>,
      histories: readonly [number, readonly [number, bigint][]][] = [],
      more: readonly string[] = [],
    ): HeldLog => {
      const held = new HeldTimelines(size);
      for (const [timeline, numbers] of Object.entries(whole)) {
        for (const number of numbers) held.add(needWalName(name(Number(timeline), number)));
      }
      for (const each of more) held.add(needWalName(each));
      const lines = histories.map(
        ([timeline, from]) =>
          [timeline, from.map(([ancestor, switchLsn]) => ({ timeline: ancestor, switchLsn }))] as const,
      );
      return { segmentBytes: size, timelines: held.timelines, histories: new Map(lines) };
    };
    const gap = (timeline: number, first: number, last = first): object => ({
      first: name(timeline, first),
      last: name(timeline, last),
      segments: last - first + 1,
    });
    const reach = (of: HeldLog, from: number, first: number, along: number): unknown => {
      const { last, lastTimeline, next, endsUnfinished, isCut } = reachOfLog(of, from, start + BigInt(first), along);
      return [Number(last - start), lastTimeline, next, endsUnfinished ? 'unfinished' : isCut ? 'cut' : 'end'];
    };

    test('within a timeline', () => {
      const whole = log({ 1: [0, 1, 2, 3, 4, 5, 6, 7] });
      assert.deepEqual(gapsIn(whole), [], 'over the end of a log');
      assert.deepEqual(reach(whole, 1, 0, 1), [7, 1, name(1, 8), 'end']);
      const cut = log({ 1: [0, 1, 4, 6, 7] });
      assert.deepEqual(gapsIn(cut), [gap(1, 2, 3), gap(1, 5)]);
      assert.deepEqual(reach(cut, 1, 0, 1), [1, 1, name(1, 2), 'cut']);
      assert.deepEqual(reach(cut, 1, 6, 1), [7, 1, name(1, 8), 'end']);
      assert.deepEqual(reach(cut, 1, 5, 1), [4, 1, name(1, 5), 'cut'], 'the first one is missing');
      assert.deepEqual(reach(cut, 1, 20, 1), [19, 1, name(1, 20), 'end'], 'nothing from there on');
      assert.ok(holdsWhole(cut, name(1, 4)) && !holdsWhole(cut, name(1, 5)) && !holdsWhole(cut, name(2, 4)));
      assert.deepEqual(gapsIn(log({})), []);
    });

    test('at the end: what is only begun ends the log, and is a gap with anything missing before it', () => {
      const begun = (number: number): string => unfinishedName(name(1, number), lsn(number, 1000));
      const next = log({ 1: [0, 1] }, [], [begun(2)]);
      assert.deepEqual(gapsIn(next), []);
      assert.deepEqual(reach(next, 1, 0, 1), [1, 1, name(1, 2), 'unfinished']);
      assert.ok(!holdsWhole(next, name(1, 2)));
      const far = log({ 1: [0, 1] }, [], [begun(4)]);
      assert.deepEqual(gapsIn(far), [gap(1, 2, 3)]);
      assert.deepEqual(reach(far, 1, 0, 1), [1, 1, name(1, 2), 'cut']);
      const only = log({}, [], [begun(2)]);
      assert.deepEqual(gapsIn(only), []);
      assert.deepEqual(reach(only, 1, 2, 1), [1, 1, name(1, 2), 'unfinished']);
      const overtaken = log({}, [], [name(1, 0), begun(1), name(1, 1), name(1, 2)]);
      assert.deepEqual(gapsIn(overtaken), [], 'a beginning whose segment came later');
      assert.deepEqual(reach(overtaken, 1, 0, 1), [2, 1, name(1, 3), 'end']);
    });

    test('near the end a push under way may close it', () => {
      const from = (first: number, last: number): number[] =>
        Array.from({ length: last - first + 1 }, (_, n) => first + n);
      assert.ok(!hasGapAtEnd(log({ 1: from(0, 30) })));
      assert.ok(hasGapAtEnd(log({ 1: [0, ...from(2, 17)] })), '16 behind it');
      assert.ok(!hasGapAtEnd(log({ 1: [0, ...from(2, 18)] })), '17 behind it');
      assert.ok(hasGapAtEnd(log({ 1: [0] }, [], [unfinishedName(name(1, 2), lsn(2, 8))])));
      assert.ok(hasGapAtEnd(log({ 1: [0, 2], 2: from(3, 30) }, [[2, [[1, lsn(3, 5)]]]])), 'on an earlier timeline');
    });

    test('at a switch: the new timeline begins with the segment that the old one ended in', () => {
      const left: [number, [number, bigint][]][] = [[2, [[1, lsn(4, 100)]]]];
      const whole = log({ 1: [0, 1, 2, 3], 2: [4, 5] }, left);
      assert.deepEqual(gapsIn(whole), []);
      assert.deepEqual(reach(whole, 1, 0, 2), [5, 2, name(2, 6), 'end']);
      assert.deepEqual(namesOnWay(whole, 1, 2, { first: start + 2n, last: start + 5n }), [
        name(1, 2),
        name(1, 3),
        name(2, 4),
        name(2, 5),
      ]);
      const partial = log({ 1: [0, 1, 2, 3], 2: [4] }, left, [`${name(1, 4)}.partial`]);
      assert.deepEqual(gapsIn(partial), [], 'what the promotion left of the old one is not needed');
      const parted = log({ 1: [0, 1, 2, 3, 4, 5, 6], 2: [5] }, left);
      assert.deepEqual(gapsIn(parted), [gap(2, 4)]);
      assert.deepEqual(reach(parted, 1, 0, 2), [3, 1, name(2, 4), 'cut'], "the old one's own goes elsewhere");
      assert.deepEqual(reach(parted, 1, 0, 1), [6, 1, name(1, 7), 'end']);
      const short = log({ 1: [0, 1], 2: [4] }, left);
      assert.deepEqual(gapsIn(short), [gap(1, 2, 3)]);
      assert.deepEqual(reach(short, 1, 0, 2), [1, 1, name(1, 2), 'cut']);
      const exact = log({ 1: [0, 1, 2, 3], 2: [4] }, [[2, [[1, lsn(4)]]]]);
      assert.deepEqual(gapsIn(exact), [], 'at the first byte of a segment');
    });

    test('a history that is missing', () => {
      const orphan = log({ 1: [0, 1], 2: [5, 6], 3: [7] }, [
        [
          3,
          [
            [1, lsn(2, 8)],
            [2, lsn(7, 8)],
          ],
        ],
      ]);
      assert.deepEqual(missingHistories(orphan), ['00000002.history']);
      assert.deepEqual(gapsIn(orphan), [], 'where a timeline begins is not known without its history');
      assert.deepEqual(reach(orphan, 2, 5, 3), [7, 3, name(3, 8), 'end']);
      assert.deepEqual(missingHistories(log({ 1: [0] })), [], 'the first one has none');
    });

    test('several timelines: what branched off is not on the way', () => {
      const lines: [number, [number, bigint][]][] = [
        [2, [[1, lsn(2, 9)]]],
        [3, [[1, lsn(4, 9)]]],
        [
          4,
          [
            [1, lsn(4, 9)],
            [3, lsn(4, 20)],
          ],
        ],
      ];
      const all = log({ 1: [0, 1, 2, 3], 2: [2, 3, 4, 5, 6], 3: [4], 4: [4, 5] }, lines);
      assert.deepEqual(gapsIn(all), []);
      assert.deepEqual(reach(all, 1, 0, 2), [6, 2, name(2, 7), 'end']);
      assert.deepEqual(reach(all, 1, 0, 4), [5, 4, name(4, 6), 'end'], 'two switches in one segment');
      assert.deepEqual(reach(all, 1, 0, 1), [3, 1, name(1, 4), 'end']);
    });

    test('before a stream that begins', () => {
      assert.deepEqual(closingBefore(name(3, 5), size), [name(3, 5), name(3, 4), name(2, 4), name(1, 4)]);
      assert.equal(closingBefore(name(40, 5), size).length, 11);
      assert.deepEqual(closingBefore(segmentName(1, 0n, size), size), [segmentName(1, 0n, size)]);
    });
  });
}
