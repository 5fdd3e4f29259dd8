/** Patterns of tables, and what an archive's entries need of each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { suffixedName } from '../../../../../src/source/postgres/restore/names.ts';
import { chooseEntries } from '../../../../../src/source/postgres/restore/select-entries.ts';
import { chosenBy, parsePattern, parseSelection } from '../../../../../src/source/postgres/restore/table-patterns.ts';
import { readIdentifier, splitStatements } from '../../../../../src/source/postgres/restore/sql-statements.ts';
import type { TocEntry } from '../../../../../src/source/postgres/archive/format.ts';

for (const [pattern, schema, name, expected] of [
  ['users', 'public', 'users', true],
  ['users', 'other', 'users', true],
  ['public.users', 'other', 'users', false],
  ['public.user?', 'public', 'users', true],
  ['public.user?', 'public', 'user', false],
  ['pub*.*', 'public', 'any thing\nat all', true],
  ['"a.b"."c*"', 'a.b', 'c*', true],
  ['"a.b"."c*"', 'a.b', 'cd', false],
  ['a.b', 'a.b', 'x', false],
  ['Users', 'public', 'users', false],
  ['"We ird"""', 'x', 'We ird"', true],
  ['a+(b)', 'x', 'a+(b)', true],
  ['?', 'x', '🦜', true],
] as const) {
  test(`${pattern} ${expected ? 'fits' : 'does not fit'} ${schema}.${JSON.stringify(name)}`, () =>
    assert.equal(parsePattern(pattern).matches(schema, name), expected));
}

for (const bad of ['', '.', 'a.', '.a', 'a.b.c', '"a', 'a"b"', '""', '"a"b']) {
  test(`${JSON.stringify(bad)} is refused`, () => assert.throws(() => parsePattern(bad), { code: 'usage' }));
}

test('flags that exclude each other', () => {
  assert.throws(() => parseSelection({ schemaOnly: true, dataOnly: true }), { code: 'usage' });
  assert.throws(() => parseSelection({ tables: [] }), { code: 'usage' });
});

const entry = (
  dumpId: number,
  type: string,
  name: string,
  needs: number[] = [],
  schema: string | undefined = 'public',
): TocEntry => ({ dumpId, type, name, schema, section: 'pre-data', needs });

test('entries: what hangs on a table comes along, what ties it to others only with them', () => {
  const toc = [
    entry(1, 'FUNCTION', 'f()'),
    entry(2, 'TABLE', 'a'),
    entry(3, 'TABLE', 'b'),
    entry(4, 'CONSTRAINT', 'a a_pkey', [2]),
    entry(5, 'CONSTRAINT', 'b b_pkey', [3]),
    entry(6, 'FK CONSTRAINT', 'a a_b_fkey', [2, 3, 5]),
    entry(7, 'TRIGGER', 'a t', [2, 1]),
    entry(8, 'TRIGGER', 'b t', [3, 1]),
    entry(9, 'COMMENT', 'CONSTRAINT a_pkey ON a', [4]),
    entry(10, 'ACL', 'TABLE b', [3]),
  ];
  const one = chooseEntries(toc, [parsePattern('a')]);
  assert.deepEqual(one.ids, [1, 2, 4, 7, 9]);
  assert.equal(one.notes.length, 1);
  assert.deepEqual(chooseEntries(toc, [parsePattern('?')]).ids, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.throws(() => chooseEntries(toc, [parsePattern('c')]), { code: 'usage' });
});

test('what a table is called is that table, and no pattern', () => {
  const tables = [
    ['public', 'log*'],
    ['public', 'logs'],
    ['other', 'log*'],
    ['?', 'x'],
    ['a', 'x'],
  ] as const;
  const chosen = (text: string): string[] =>
    chosenBy(parsePattern(text), tables, (table) => table).map((table) => table.join('.'));
  assert.deepEqual(chosen('log*'), ['public.log*', 'other.log*']);
  assert.deepEqual(chosen('public.log*'), ['public.log*']);
  assert.deepEqual(chosen('pub*.log*'), ['public.log*', 'public.logs']);
  assert.deepEqual(chosen('?.x'), ['?.x']);
  assert.deepEqual(chosen('?.?'), ['?.x', 'a.x']);
  assert.deepEqual(chosen('"logs"'), ['public.logs']);
});

test('names keep within 63 bytes and never break a character', () => {
  assert.equal(suffixedName('short', '_x'), 'short_x');
  for (const name of ['a'.repeat(63), 'ä'.repeat(31), '🦜'.repeat(15), `a${'日'.repeat(20)}`]) {
    const made = suffixedName(name, '_before_20260102T030405');
    assert.ok(Buffer.byteLength(made) <= 63 && Buffer.byteLength(made) > 59, made);
    assert.ok(made.endsWith('_before_20260102T030405') && !made.includes('�'));
  }
});

test('statements of a script', () => {
  const script =
    `\\restrict x\n-- one; two\nCREATE ROLE "a;""b"; COMMENT ON ROLE a IS E'it\\'s; -- no\n\\\\restrict';\nALTER ` +
    "ROLE e WITH PASSWORD 'x''; y\\';\n\\unrestrict x\n";
  assert.deepEqual(splitStatements(script), [
    'CREATE ROLE "a;""b"',
    "COMMENT ON ROLE a IS E'it\\'s; -- no\n\\\\restrict'",
    "ALTER ROLE e WITH PASSWORD 'x''; y\\'",
  ]);
  assert.equal(readIdentifier(' "a;""b" WITH'), 'a;"b');
  assert.equal(readIdentifier('plain WITH'), 'plain');
});
