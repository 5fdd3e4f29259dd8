import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settled } from '../../../src/operations/wal-settled.ts';

test('a hole is looked at again while a push may be under way, and at once believed where nothing came for a minute', async () => {
  const looked = async (ageMs: number, seen: string[]): Promise<{ result: string; times: number }> => {
    let times = 0;
    const result = await settled(async () => ({ seen: seen[times++] ?? '', newestMs: Date.now() - ageMs }), (each) => each === 'hole');
    return { result, times };
  };
  assert.deepEqual(await looked(5000, ['hole', 'whole']), { result: 'whole', times: 2 });
  assert.deepEqual(await looked(-300_000, ['hole', 'hole']), { result: 'hole', times: 2 }, 'the storage has a clock of its own');
  assert.deepEqual(await looked(90_000, ['hole']), { result: 'hole', times: 1 });
  assert.deepEqual(await looked(5000, ['whole']), { result: 'whole', times: 1 });
});
