/** What programs say of a lock that they did not get, in whatever language the server speaks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../../src/lib/errors.ts';
import { ToolError } from '../../../../../src/lib/exec.ts';
import { isLockTimeout } from '../../../../../src/source/postgres/dump/pg-dump.ts';

const said: readonly (readonly [what: string, stderr: string, isLockTimeout: boolean])[] = [
  [
    'pg_dump 15 and later',
    'pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\n' +
      'pg_dump: detail: Query was: LOCK TABLE public.a, public.b IN ACCESS SHARE MODE',
    true,
  ],
  [
    'pg_dump 13, of a server that speaks German',
    'pg_dump: error: query failed: FEHLER:  storniere Anfrage wegen Zeitüberschreitung der Anfrage\n' +
      'pg_dump: error: query was: LOCK TABLE public.a IN ACCESS SHARE MODE',
    true,
  ],
  [
    'psql with SQLSTATEs',
    'psql:<stdin>:9: FEHLER:  55P03: storniere Anfrage wegen Zeitüberschreitung einer Sperre\n' +
      'ORT:  ProcessInterrupts, postgres.c:3306',
    true,
  ],
  [
    'a right that is missing',
    'pg_dump: error: query failed: ERROR:  permission denied for table a\n' +
      'pg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE',
    false,
  ],
  [
    'a server without room for more locks',
    'pg_dump: error: query failed: ERROR:  out of shared memory\n' +
      'HINT:  You might need to increase max_locks_per_transaction.\n' +
      'pg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE',
    false,
  ],
  [
    'a time-out of something else',
    'pg_dump: error: Dumping the contents of table "a" failed: PQgetResult() failed.\n' +
      'pg_dump: detail: Error message from server: ERROR:  canceling statement due to statement timeout',
    false,
  ],
];

for (const [what, stderr, expected] of said) {
  test(`${what}: ${expected ? '' : 'not '}a lock that came too late`, () => {
    const cause = new ToolError('pg_dump', 1, undefined, stderr);
    assert.equal(isLockTimeout(new LifeboatError('source', 'cannot dump', { cause })), expected);
  });
}

test('another error is none', () => {
  assert.equal(isLockTimeout(new Error('LOCK TABLE')), false);
});
