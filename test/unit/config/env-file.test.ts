import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EnvFileError, parseEnvFile } from '../../../src/config/env-file.ts';

const read = (text: string | Uint8Array): Record<string, string> =>
  parseEnvFile(typeof text === 'string' ? Buffer.from(text) : text);

describe('a file of NAME=value lines', () => {
  test('a value is what stands there', () => {
    assert.deepEqual(
      read(
        [
          '# a comment',
          '; another',
          '',
          'PASSPHRASE=correct#horse battery',
          'HASH=#1',
          'BLANKS=  inside  is kept \t',
          'SINGLE=\'a # b \\n $x "y"\'',
          'DOUBLE="a # \\"b\\" \\\\ \\$x \\`"  # comment',
          'export EXPORTED=yes',
          '  INDENTED=1',
          'EMPTY=',
          'EQUALS=a=b==',
          'QUOTE_INSIDE=it"s',
          'UMLAUT=ä€𝄞',
          'TWICE=first',
          'TWICE=second',
        ].join('\n'),
      ),
      {
        PASSPHRASE: 'correct#horse battery',
        HASH: '#1',
        BLANKS: 'inside  is kept',
        SINGLE: 'a # b \\n $x "y"',
        DOUBLE: 'a # "b" \\ $x `',
        EXPORTED: 'yes',
        INDENTED: '1',
        EMPTY: '',
        EQUALS: 'a=b==',
        QUOTE_INSIDE: 'it"s',
        UMLAUT: 'ä€𝄞',
        TWICE: 'second',
      },
    );
  });

  test('a byte order mark and the line ends of Windows are no part of it', () => {
    assert.deepEqual(read('\ufeffDATABASE_URL=postgres://h/a\r\nREDIS_URL="redis://r"\r\n'), {
      DATABASE_URL: 'postgres://h/a',
      REDIS_URL: 'redis://r',
    });
  });

  test('quotes may go over lines, and lines are counted on', () => {
    assert.deepEqual(read('A="1\n2"\nB=\'3\n\n4\'\n'), { A: '1\n2', B: '3\n\n4' });
    refused('A="1\n2"\nB x\n', 3);
  });

  test('names of Object.prototype are names like others', () => {
    assert.deepEqual(Object.entries(read('__proto__=1\nconstructor=2\n')), [
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
  });

  test('what cannot be read, or is read differently elsewhere, is refused with its line and without its text', () => {
    refused('A=1\nsecret words\n', 2);
    refused('A=1\n\n1A=secret\n', 3);
    refused('A-B=secret\n', 1);
    refused('A=correct # secret\n', 1);
    refused('A=back\\secret\n', 1);
    refused('A="secret\n', 1);
    refused("B=1\nA='secret\nC=2\n", 2);
    refused('A="x"secret\n', 1);
    refused('A="x\\nsecret"\n', 1);
    refused(Buffer.from('A=1\nB=x\0secret\n'), 2);
    refused(Buffer.concat([Buffer.from('A=1\nB=2\nC=secret'), Buffer.of(0xff), Buffer.from('\nD=1\n')]), 3);
  });
});

function refused(text: string | Uint8Array, line: number): void {
  assert.throws(
    () => read(text),
    (error) => {
      assert.ok(error instanceof EnvFileError, String(error));
      assert.equal(error.line, line);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
    String(text),
  );
}
