/** Edits of JSON with comments: what comes of them, to the character, and that they mean what was asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addItem, removeItem, setMember } from '../../../src/config/jsonc-edit.ts';
import { parseJsonc } from '../../../src/config/jsonc.ts';

const long = `{
\t// what runs
\t"schedules": [
\t\t// first
\t\t{ "id": "a" }, // by night
\t\t{ "id": "b", "options": {} } /* by day */ // last
\t\t// none after it
\t],
\t"jobs": 2,
}
`;

test('an item more stands behind the last one and what is said of it', () => {
  assert.equal(
    addItem(long, ['schedules'], { id: 'c', options: { tag: ['x', 'y'] } }),
    long.replace(
      '"options": {} } /* by day */ // last',
      '"options": {} }, /* by day */ // last\n\t\t{ "id": "c", "options": { "tag": ["x", "y"] } }',
    ),
  );
  assert.equal(addItem('{"a":[{"b":1}]}', ['a'], { c: [1, 2] }), '{"a":[{"b":1},{"c":[1,2]}]}');
  assert.equal(addItem('{"a": [1,]}', ['a'], 2), '{"a": [1, 2,]}');
  assert.equal(addItem('{"a": []}', ['a'], { b: 1 }), '{"a": [{"b": 1}]}');
  assert.equal(addItem('{\r\n  "a": [ // none\r\n  ]\r\n}', ['a'], 1), '{\r\n  "a": [ // none\r\n    1\r\n  ]\r\n}');
  assert.equal(
    addItem('{\n    "a": []\n}\n', ['a'], { b: { c: 1 } }),
    '{\n    "a": [\n        {\n            "b": {\n                "c": 1\n            }\n        }\n    ]\n}\n',
  );
});

test('an item less takes along what is said of it on its line, no other comment, and no comma too many', () => {
  const without = (index: number): string => removeItem(long, ['schedules'], index);
  assert.equal(without(0), long.replace('\t\t{ "id": "a" }, // by night\n', ''));
  assert.equal(
    without(1),
    long
      .replace('{ "id": "a" },', '{ "id": "a" }')
      .replace('\t\t{ "id": "b", "options": {} } /* by day */ // last\n', ''),
  );
  assert.equal(removeItem('{"a":[1,2,3]}', ['a'], 1), '{"a":[1,3]}');
  assert.equal(removeItem('{"a": [1, 2]}', ['a'], 1), '{"a": [1]}');
  assert.equal(removeItem('{"a": [1, 2, ]}', ['a'], 1), '{"a": [1,]}');
  assert.equal(removeItem('{"a": [ 1 ]}', ['a'], 0), '{"a": []}');
  assert.equal(removeItem('[\n  1\n]', [], 0), '[\n]');
});

test('a member is set in its place, or at the end, or taken out', () => {
  assert.equal(setMember(long, ['schedules', 0], 'id', 'z'), long.replace('"a"', '"z"'));
  assert.equal(setMember(long, ['schedules', 0], 'enabled', false), long.replace('"a"', '"a", "enabled": false'));
  assert.equal(
    setMember(long, ['schedules', 1, 'options'], 'label', 'x'),
    long.replace('"options": {}', '"options": { "label": "x" }'),
  );
  assert.equal(setMember(long, ['schedules', 1], 'options', undefined), long.replace(', "options": {}', ''));
  assert.equal(setMember(long, [], 'jobs', undefined), long.replace('\t"jobs": 2,\n', ''));
  assert.equal(setMember(long, [], 'nothing', undefined), long);
  assert.equal(setMember('\uFEFF{}', [], 'a', [1]), '\uFEFF{ "a": [1] }');
});

test('whatever stands between items, the text means afterwards what was asked', () => {
  const gaps = ['', ' ', '\n', '\n\n  ', ' // c, d\n', ' /* , ] } */ ', '\n/* two\nlines */\n', '\t// one\n// two\n'];
  let state = 5;
  const gap = (): string => gaps[(state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % gaps.length] ?? '';
  for (let round = 0; round < 2000; round++) {
    const count = round % 4;
    const items = Array.from({ length: count }, (_, index) => `${gap()}{${gap()}"n"${gap()}:${index}${gap()}}${gap()}`);
    const text = `${gap()}{"list":${gap()}[${items.join(',')}${count > 0 && round % 3 === 0 ? ',' : ''}${gap()}]}`;
    const list = items.map((_, n) => ({ n }));
    assert.deepEqual(parseJsonc(addItem(text, ['list'], { n: 9 })), { list: [...list, { n: 9 }] }, text);
    for (const index of items.keys()) {
      const without = removeItem(text, ['list'], index);
      assert.deepEqual(parseJsonc(without), { list: list.toSpliced(index, 1) }, text);
      const set = setMember(text, ['list', index], 'm', 'x');
      assert.deepEqual(parseJsonc(set), { list: list.toSpliced(index, 1, { n: index, m: 'x' } as never) }, text);
      const unset = setMember(text, ['list', index], 'n', undefined);
      assert.deepEqual(parseJsonc(unset), { list: list.toSpliced(index, 1, {} as never) }, text);
    }
  }
});
