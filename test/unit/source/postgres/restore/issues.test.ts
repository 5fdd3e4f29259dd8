/** What pg_restore says, judged line by line; the texts are pg_restore 15's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectIssues, harmlessReason, restoreFailure } from '../../../../../src/source/postgres/restore/issues.ts';

function collect(text: string): ReturnType<typeof collectIssues> {
  const collector = collectIssues();
  for (const line of text.split('\n')) collector.onLine(line);
  return collector;
}

const lost = `pg_restore: connecting to database for restore
pg_restore: processing data for table "public.lost"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3455; 0 16515 TABLE DATA lost postgres
pg_restore: error: COPY failed for table "lost": ERROR:  function helper(integer) does not exist
LINE 1: helper(i)
        ^
QUERY:  helper(i)
CONTEXT:  PL/pgSQL function public.chk(integer) line 1 at RETURN
pg_restore: processing data for table "public.p"
pg_restore: warning: errors ignored on restore: 1`;

test('a lost table is named, with a way out', () => {
  const collector = collect(lost);
  assert.equal(collector.ignored(), 1);
  const [issue] = collector.issues();
  assert.equal(issue?.tocId, 3455);
  assert.equal(issue.entry, 'TABLE DATA lost postgres');
  assert.match(issue.detail, /CONTEXT/);
  assert.equal(harmlessReason(issue), undefined);
  const failure = restoreFailure('data', collector.issues());
  assert.equal(failure.code, 'integrity');
  assert.match(failure.message, /lost/);
  assert.match(failure.hint ?? '', /search_path/);
});

const error = (toc: string, message: string, command: string): string =>
  `${toc}pg_restore: error: could not execute query: ${message}\nCommand was: ${command}\n\n\npg_restore: next`;

for (const [name, text] of [
  [
    'a setting that the server does not know',
    error(
      'pg_restore: while INITIALIZING:\n',
      'ERROR:  unrecognized configuration parameter "transaction_timeout"',
      'SET transaction_timeout = 0;',
    ),
  ],
  [
    'the comment of an extension, in any language',
    error(
      'pg_restore: from TOC entry 2; 0 0 COMMENT EXTENSION hstore \n',
      'FEHLER:  Berechtigung nur für Eigentümer',
      "COMMENT ON EXTENSION hstore IS 'x';",
    ),
  ],
  [
    'the schema public',
    error(
      'pg_restore: from TOC entry 5; 2615 2200 SCHEMA public postgres\n',
      'ERROR:  schema "public" already exists',
      'CREATE SCHEMA public;',
    ),
  ],
] as const) {
  test(`harmless: ${name}`, () => {
    const [issue, ...more] = collect(text).issues();
    assert.ok(issue !== undefined && more.length === 0);
    assert.notEqual(harmlessReason(issue), undefined);
  });
}

for (const [name, text] of [
  ['another setting', error('pg_restore: while INITIALIZING:\n', 'ERROR:  x', 'SET row_security = off;')],
  [
    'the same setting within an entry',
    error('pg_restore: from TOC entry 9; 0 0 TABLE t postgres\n', 'ERROR:  x', 'SET transaction_timeout = 0;'),
  ],
  [
    'another schema',
    error('pg_restore: from TOC entry 5; 2615 2200 SCHEMA public2 postgres\n', 'ERROR:  x', 'CREATE SCHEMA public2;'),
  ],
  [
    'an extension',
    error('pg_restore: from TOC entry 5; 3079 1 EXTENSION hstore \n', 'ERROR:  x', 'CREATE EXTENSION hstore;'),
  ],
  [
    'a table whose error text holds a harmless command',
    'pg_restore: from TOC entry 5; 0 1 TABLE DATA t postgres\npg_restore: error: COPY failed for table "t": ' +
      'ERROR:  bad\nCommand was: SET transaction_timeout = 0;',
  ],
] as const) {
  test(`not harmless: ${name}`, () => {
    const [issue] = collect(text).issues();
    assert.ok(issue !== undefined);
    assert.equal(harmlessReason(issue), undefined);
  });
}

test("workers that write between each other's words", () => {
  const collector = collect(
    'pg_restore: pg_restore: from TOC entry 12; 2606 1 FK CONSTRAINT a b postgres\nfrom TOC entry 13; 2606 2 FK ' +
      'CONSTRAINT c d postgres',
  );
  assert.deepEqual([...collector.failedEntries()], [12, 13]);
});

for (const [message, code] of [
  ['connection to server on socket "/x" failed: FATAL:  the database system is shutting down', 'source'],
  ['could not execute query: server closed the connection unexpectedly', 'source'],
  ['unsupported version (1.16) in file header', 'tool'],
  ['could not execute query: ERROR:  could not extend file "base/1": No space left on device', 'space'],
  ['could not read from input file: end of file', 'integrity'],
] as const) {
  test(`${message} is ${code}`, () => {
    assert.equal(restoreFailure('data', collect(`pg_restore: error: ${message}`).issues()).code, code);
  });
}
