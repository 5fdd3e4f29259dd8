import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { abortAfter, LongTimer } from '../../../src/lib/long-timer.ts';

const dayMs = 86_400_000;
const nodesLongestMs = 2 ** 31 - 1;

describe('a timer of any length', () => {
  for (const days of [0.5, 24, 25, 30, 365]) {
    test(`fires after ${days} days and not before`, (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let fired = 0;
      using _ = new LongTimer(days * dayMs, () => fired++);
      const signal = abortAfter(days * dayMs, new Error('late'));
      const check = (): void => assert.deepEqual([fired, signal.aborted], [0, false]);
      let leftMs = days * dayMs - 1;
      // A timer that is made while the mock's clock is moved counts from where it was moved to.
      for (; leftMs > nodesLongestMs; leftMs -= nodesLongestMs) {
        t.mock.timers.tick(1);
        check();
        t.mock.timers.tick(nodesLongestMs - 1);
        check();
      }
      t.mock.timers.tick(leftMs);
      check();
      t.mock.timers.tick(1);
      assert.equal(fired, 1);
      assert.equal((signal.reason as Error).message, 'late');
      t.mock.timers.tick(400 * dayMs);
      assert.equal(fired, 1);
    });
  }

  test('one that was disposed of does not fire, in its first part or a later one', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const days of [1, 40]) {
      const timer = new LongTimer(60 * dayMs, () => assert.fail('it fired'));
      t.mock.timers.tick(days * dayMs);
      timer[Symbol.dispose]();
      t.mock.timers.tick(100 * dayMs);
    }
  });
});
