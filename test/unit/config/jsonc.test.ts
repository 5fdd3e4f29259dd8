import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseJsonc } from '../../../src/config/jsonc.ts';

describe('JSON with comments', () => {
  test('comments and trailing commas are allowed; what looks like one inside a text is text', () => {
    const text = '\uFEFF// head\n{"a": [1, 2,], /* in\nthe middle */ "b": {"url": "s3://x/*y*/",},\n} // end\n';
    assert.deepEqual(parseJsonc(text), { a: [1, 2], b: { url: 's3://x/*y*/' } });
  });

  test('whatever JSON.parse accepts is understood alike', () => {
    for (const text of [
      '{"a":{"b":[null,true,false,-1.5e3,"\\u00e9\\n\\/"],"c":{}},"":[[],[[]]]}',
      '"text"',
      ' 17 ',
      'null',
      '{"a":1,"a":2}',
      '{"__proto__":{"jobs":1},"constructor":2}',
      '[\r\n1\r\n]',
    ]) {
      assert.deepEqual(parseJsonc(text), JSON.parse(text), text);
    }
    assert.ok(Object.hasOwn(parseJsonc('{"__proto__": {}}') as object, '__proto__'));
  });

  for (const [text, place, what] of [
    ['', 'line 1, column 1', /value is missing/],
    ['{\n  "jobs": 1,\n  "x": hush\n}', 'line 3, column 8', /double quotes/],
    ['{"a": 1 "b": 2}', 'line 1, column 9', /comma is missing/],
    ['{"a" 1}', 'line 1, column 6', /colon/],
    ["{\n'hush': 1}", 'line 2, column 1', /double quotes/],
    ['{"a": "hush\n}', 'line 1, column 7', /not closed/],
    ['{"a": 01}', 'line 1, column 8', /comma is missing/],
    ['{"a": 1.}', 'line 1, column 7', /number/],
    ['{"a": [1, 2}', 'line 1, column 12', /missing/],
    ['{"a": 1', 'line 1, column 8', /closing }/],
    ['{} {}', 'line 1, column 4', /ended/],
    ['{"a": /* hush', 'line 1, column 7', /comment is not closed/],
    ['{"a": "\\x"}', 'line 1, column 7', /backslash/],
    ['{"a": "\\u12"}', 'line 1, column 7', /hex digits/],
    ['{"a": "\u0001"}', 'line 1, column 7', /control character/],
    ['[,]', 'line 1, column 2', /value is missing/],
    ['[1,,2]', 'line 1, column 4', /value is missing/],
  ] as const) {
    test(`says where and what is wrong in ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseJsonc(text),
        (error: unknown) => {
          assert.ok(error instanceof SyntaxError);
          assert.ok(error.message.startsWith(`no valid JSON at ${place}: `), error.message);
          assert.match(error.message, what);
          assert.doesNotMatch(error.message, /hush/);
          return true;
        },
      );
    });
  }

  test('depth and size are bounded', () => {
    assert.throws(() => parseJsonc('['.repeat(1_000_000)), /line 1, column 101: it is more than 100 levels deep/);
    assert.throws(() => parseJsonc(`"${'x'.repeat(5_000_000)}"`), /longer than/);
    assert.doesNotThrow(() => parseJsonc(`${'['.repeat(100)}${']'.repeat(100)}`));
  });
});
