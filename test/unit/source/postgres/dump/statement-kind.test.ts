/** What is told of a statement that waits: its kind, nothing of its text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statementKind } from '../../../../../src/source/postgres/dump/statement-kind.ts';

test('the kind of a statement, behind blanks and comments', () => {
  for (const [text, kind] of [
    ['ALTER TABLE t ADD c int', 'ALTER TABLE'],
    ['\n-- why\n /* s3cret */ ; alter\ttable "x y" ADD c int', 'ALTER TABLE'],
    ['truncate t', 'TRUNCATE'],
    ['VACUUM (FULL) t', 'VACUUM'],
    ['DROP TABLE IF EXISTS t', 'DROP TABLE'],
    ['DROP SCHEMA s CASCADE', 'DROP'],
    ['LOCK t', 'LOCK TABLE'],
    ['REFRESH MATERIALIZED VIEW v', 'REFRESH MATERIALIZED VIEW'],
    ["SELECT drop_all('s3cret')", 'a statement'],
    ['/* not closed', 'a statement'],
    ['<insufficient privilege>', 'a statement'],
    ['', 'a statement'],
  ] as const) {
    assert.equal(statementKind(text), kind, text);
  }
});
