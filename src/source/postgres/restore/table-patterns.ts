/**
 * Which tables are meant. A pattern is `table` (in any schema) or `schema.table`; `*` stands for any
 * characters, `?` for one; a part in double quotes is a name as it is ("" for a quote in it), so that
 * dots, stars and blanks can be told. Letter case counts. What a table is called is that name, and no pattern.
 */
import { LifeboatError } from '../../../lib/errors.ts';

export interface SelectionRequest {
  /** Patterns; default: everything. */
  readonly tables?: readonly string[];
  /** Definitions without rows. */
  readonly schemaOnly?: boolean;
  /** Rows without definitions, into tables that exist. */
  readonly dataOnly?: boolean;
}

export interface Selection {
  /** Undefined: everything. */
  readonly patterns: readonly TablePattern[] | undefined;
  readonly schemaOnly: boolean;
  readonly dataOnly: boolean;
}

export interface TablePattern {
  /** As it was given, for messages. */
  readonly text: string;
  matches(schema: string, name: string): boolean;
  /** True where it is this name itself, stars and question marks included. */
  names(schema: string, name: string): boolean;
}

/** Those of `tables` that are meant: the ones of that very name, else all that the pattern matches. */
export function chosenBy<T>(
  pattern: TablePattern,
  tables: readonly T[],
  nameOf: (table: T) => readonly [schema: string, name: string],
): readonly T[] {
  const named = tables.filter((table) => pattern.names(...nameOf(table)));
  return named.length > 0 ? named : tables.filter((table) => pattern.matches(...nameOf(table)));
}

/** Throws `usage` for patterns that cannot be read and for flags that contradict each other. */
export function parseSelection(request: SelectionRequest): Selection {
  const { tables, schemaOnly = false, dataOnly = false } = request;
  if (schemaOnly && dataOnly) {
    throw new LifeboatError('usage', 'schema only and data only exclude each other', {
      hint: 'give one of them, or neither for both',
    });
  }
  if (tables !== undefined && tables.length === 0) {
    throw new LifeboatError('usage', 'the list of tables is empty', {
      hint: 'name at least one, or leave it out for all',
    });
  }
  // Rows alone are those of tables: large objects have none to go to.
  const names = tables ?? (dataOnly ? ['*'] : undefined);
  return { patterns: names?.map(parsePattern), schemaOnly, dataOnly };
}

/** Reads one pattern. */
export function parsePattern(text: string): TablePattern {
  const parts = splitParts(text);
  const [first, second] = parts;
  if (first === undefined || parts.length > 2) {
    throw new LifeboatError('usage', `"${text}" is not a table`, {
      hint:
        'write schema.table, * and ? for unknown characters, and quote names that hold dots: ' +
        '\'"odd.schema"."table"\'',
    });
  }
  if (second === undefined) {
    return {
      text,
      matches: (_schema, name) => first.pattern.test(name),
      names: (_schema, name) => first.name === name,
    };
  }
  return {
    text,
    matches: (schema, name) => first.pattern.test(schema) && second.pattern.test(name),
    names: (schema, name) => first.name === schema && second.name === name,
  };
}

/** A part of a pattern between dots: as the name that it is, and as what it matches. */
interface Part {
  readonly name: string;
  readonly pattern: RegExp;
}

/** One for each part between dots; empty where the text cannot be read. */
function splitParts(text: string): Part[] {
  const parts: Part[] = [];
  const token = /(?:"((?:[^"]|"")+)"|([^".]+))(\.|$)/suy;
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (match === null) return [];
    const [, quoted, plain = ''] = match;
    const name = quoted === undefined ? plain : quoted.replaceAll('""', '"');
    const source = quoted === undefined ? [...plain].map(wildcard).join('') : escape(name);
    parts.push({ name, pattern: new RegExp(`^${source}$`, 'su') });
    if (match[3] === '.' && token.lastIndex === text.length) return [];
  }
  return parts;
}

function wildcard(character: string): string {
  if (character === '*') return '.*';
  return character === '?' ? '.' : escape(character);
}

function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
