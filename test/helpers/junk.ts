/** Values that stand where others should, and what no message about them may say. */
import assert from 'node:assert/strict';

/** What a damaged document, or one of another program, may hold anywhere. */
export const junk: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  '',
  'x',
  '2026-13-45T99:99:99Z',
  'y'.repeat(70_000),
  [],
  [null],
  {},
  { x: 1 },
];

/** The message is none of zod's, and is for a line of a terminal. */
export function assertPlainWords(message: string): void {
  assert.doesNotMatch(message, /Invalid|must match pattern|received|Too (small|big)|Unrecognized/);
  assert.doesNotMatch(message, /expected (string|number|object|array|record|int|boolean)/);
  assert.doesNotMatch(message, /undefined|\[object|\^|\(\?/);
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(message.replaceAll('\n', ' '), /[\u0000-\u001f]/);
  assert.ok(message.length < 4000, `${message.length} characters`);
}
