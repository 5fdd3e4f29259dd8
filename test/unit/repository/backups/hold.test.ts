/** A hold counts until it is released, or until the time that it names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdOf, type Note } from '../../../../src/repository/backups/notes.ts';

const note = (hold: Note['hold']): Note => ({
  object: 'notes/x',
  at: '2026-01-01T00:00:00.000Z',
  host: 'h',
  user: 'u',
  ...(hold === undefined ? {} : { hold }),
  tags: [],
  acknowledged: false,
});

test('a hold that runs out', () => {
  const since = '2026-01-01T00:00:00.000Z';
  const until = '2026-01-15T00:00:00.000Z';
  const untilMs = Date.parse(until);
  assert.equal(holdOf(note({ since, reason: 'why', until }), untilMs - 1)?.reason, 'why');
  assert.equal(holdOf(note({ since, reason: 'why', until }), untilMs), undefined);
  assert.equal(holdOf(note({ since, reason: 'why' }), untilMs * 2)?.reason, 'why');
  assert.equal(holdOf(note(undefined), untilMs), undefined);
  assert.equal(holdOf(undefined, untilMs), undefined);
});
