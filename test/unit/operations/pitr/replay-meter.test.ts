/** What the replay of log tells of itself: positions never go back, plain lines come seldom. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LifeboatEvent } from '../../../../src/lib/events.ts';
import { replayMeter } from '../../../../src/operations/pitr/replay-meter.ts';

test(
  'totals at each step forward, a line with percent, rate and ' +
    'time left after five seconds and a twentieth of the way',
  () => {
    const events: LifeboatEvent[] = [];
    let nowMs = 0;
    const mib = 2n ** 20n;
    const meter = replayMeter(100n * mib, 300n * mib, { emit: (event) => void events.push(event) }, () => nowMs);
    meter.at(110n * mib);
    meter.at(105n * mib);
    nowMs = 4000;
    meter.at(150n * mib);
    nowMs = 10_000;
    meter.at(200n * mib);
    nowMs = 16_000;
    meter.at(201n * mib);
    meter.at(400n * mib);
    const read = events.flatMap((event) =>
      event.type === 'progress'
        ? [[event.component, event.readBytes / 2 ** 20, (event.totalBytes ?? 0) / 2 ** 20]]
        : [],
    );
    assert.deepEqual(read, [
      ['log', 10, 200],
      ['log', 50, 200],
      ['log', 100, 200],
      ['log', 101, 200],
      ['log', 200, 200],
    ]);
    const lines = events.flatMap((event) => (event.type === 'step' ? [event.message] : []));
    assert.deepEqual(lines, [
      'replayed 50 % of the log, up to 0/C800000, 10.0 MiB/s, at most about 10.0 s left',
      'replayed 100 % of the log, up to 0/12C00000, 12.5 MiB/s, at most about 0 ms left',
    ]);
  },
);
