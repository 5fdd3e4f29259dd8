import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../src/lib/errors.ts';
import { formatMicroseconds, parseTarget } from '../../../../src/operations/pitr/moment.ts';

const isUsage = (error: unknown): boolean => error instanceof LifeboatError && error.code === 'usage';

test('moments as operators write them', () => {
  const at = (text: string): string => {
    const target = parseTarget(text, Date.parse('2026-01-02T03:04:05Z'));
    assert.ok(target.kind === 'time');
    return formatMicroseconds(target.atUs);
  };
  assert.equal(at('2026-01-02T03:04:05.123456Z'), '2026-01-02T03:04:05.123456Z');
  assert.equal(at('2026-01-02 04:04:05.5+01'), '2026-01-02T03:04:05.500000Z');
  assert.equal(at('2026-01-01 22:34:05-0430'), '2026-01-02T03:04:05.000000Z');
  assert.equal(at('2026-01-02 03:04 UTC'), '2026-01-02T03:04:00.000000Z');
  assert.equal(at('15m ago'), '2026-01-02T02:49:05.000000Z');
  assert.equal(at('now-1h'), '2026-01-02T02:04:05.000000Z');
  assert.equal(at('2028-02-29T00:00:00Z'), '2028-02-29T00:00:00.000000Z');
  assert.deepEqual(parseTarget('lsn:16/B374D848'), { kind: 'lsn', lsn: 0x16b374d848n, text: '16/B374D848' });
  assert.deepEqual(parseTarget('name:xid:7'), { kind: 'name', name: 'xid:7', text: 'xid:7' });
});

test('what is no moment, or another one elsewhere, is refused', () => {
  for (const text of [
    '',
    'yesterday',
    '2026-01-02',
    '2026-01-02T03:04:05',
    '2026-13-02T03:04:05Z',
    '2026-11-31T00:00:00Z',
    '2026-02-29 12:00 UTC',
    '2026-06-31 23:00:00+14',
    '2026-00-10T00:00:00Z',
    '2026-01-02T25:00:00Z',
    'xid:0',
    'xid:a',
    'lsn:7',
    `name:${'x'.repeat(64)}`,
    'name:',
  ]) {
    assert.throws(() => parseTarget(text), isUsage, text);
  }
});
