/**
 * JSON as people write it: with line and block comments and commas before a closing bracket. A fault is told by its
 * place and in our words; the text around it is not quoted, it may be a secret.
 */
import { printParseErrorCode, visit } from 'jsonc-parser';

/** A configuration is far smaller and far flatter; what is not would only cost memory and stack. */
const maxCharacters = 4_000_000;
const maxDepth = 100;

/** Parses the text. Throws a SyntaxError that says where (line and column, from 1) the first fault is, and what. */
export function parseJsonc(text: string): unknown {
  if (text.length > maxCharacters) throw new SyntaxError(`is longer than ${maxCharacters} characters`);
  const document = new Builder();
  const fail = (what: string, line: number, character: number): never => {
    throw new SyntaxError(`no valid JSON at line ${line + 1}, column ${character + 1}: ${what}`);
  };
  const begin = (value: object, line: number, character: number): void => {
    if (document.open(value) > maxDepth) fail(`it is more than ${maxDepth} levels deep`, line, character);
  };
  visit(
    text.replace(/^\uFEFF/, ' '),
    {
      onObjectBegin: (_offset, _length, line, character) => begin({}, line, character),
      onArrayBegin: (_offset, _length, line, character) => begin([], line, character),
      onObjectProperty: (name) => document.name(name),
      onLiteralValue: (value: unknown) => document.add(value),
      onObjectEnd: () => document.close(),
      onArrayEnd: () => document.close(),
      onError: (code, _offset, _length, line, character) => fail(whatIsWrong(code), line, character),
    },
    { allowTrailingComma: true },
  );
  return document.root;
}

const ordinary = { enumerable: true, writable: true, configurable: true };

/** Puts values where they belong; a key that stands twice has its last value. */
class Builder {
  root: unknown;
  readonly #open: { readonly value: object; key: string }[] = [];

  /** Returns how deep it is. */
  open(value: object): number {
    this.add(value);
    return this.#open.push({ value, key: '' });
  }

  close(): void {
    this.#open.pop();
  }

  name(key: string): void {
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.key = key;
  }

  add(value: unknown): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) this.root = value;
    else if (Array.isArray(parent.value)) parent.value.push(value);
    // Not by assignment: a key "__proto__" is a key like any other.
    else Object.defineProperty(parent.value, parent.key, { ...ordinary, value });
  }
}

function whatIsWrong(code: Parameters<typeof printParseErrorCode>[0]): string {
  return words[printParseErrorCode(code)] ?? 'it cannot be read';
}

const words: Readonly<Record<string, string>> = {
  InvalidSymbol: 'texts and keys must stand in double quotes',
  InvalidNumberFormat: 'the number is malformed',
  PropertyNameExpected: 'a key in double quotes is missing',
  ValueExpected: 'a value is missing',
  ColonExpected: 'a colon is missing after the key',
  CommaExpected: 'a comma is missing before it',
  CloseBraceExpected: 'a closing } is missing',
  CloseBracketExpected: 'a closing ] is missing',
  EndOfFileExpected: 'the document has ended before it',
  UnexpectedEndOfComment: 'the comment is not closed',
  UnexpectedEndOfString: 'the text is not closed by a double quote on its line',
  UnexpectedEndOfNumber: 'the number is malformed',
  InvalidUnicode: 'the text has a \\u without four hex digits',
  InvalidEscapeCharacter: 'the text has a backslash before a character that needs none; write a literal one as \\\\',
  InvalidCharacter: 'the text has a control character',
};
