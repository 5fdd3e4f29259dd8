/** How a text of JSON is laid out, so that what is added to it looks as if its author had written it. */
import type { Node } from 'jsonc-parser';

/** Of a value that is to be written. */
export interface JsonStyle {
  /** Of the line that it begins on. */
  readonly indent: string;
  /** One step of indentation. */
  readonly unit: string;
  readonly eol: string;
  /** Over several lines, one a member. */
  readonly isLong: boolean;
  /** With what stands behind it. */
  readonly colon: ': ' | ':';
  /** Inside of braces on one line. */
  readonly padding: ' ' | '';
}

export interface Layout {
  /** Its items begin lines of their own. */
  readonly isLines: boolean;
  /** Of the line that it begins on, and of its items. */
  readonly indent: string;
  readonly itemIndent: string;
  readonly style: JsonStyle;
}

/** Of a list or an object: by its items, or else by the rest of the text. */
export function layoutOf(text: string, container: Node): Layout {
  const items = container.children ?? [];
  const textOf = ({ offset, length }: Node): string => text.slice(offset, offset + length);
  const [first, last] = [items[0], items.at(-1)];
  const end = container.offset + container.length - 1;
  const behind = last === undefined ? '' : text.slice(last.offset + last.length, end);
  const isLines =
    first === undefined
      ? /[\r\n]/.test(container.type === 'object' ? textOf(container) : text.trim())
      : /[\r\n]/.test(text.slice(container.offset, first.offset) + behind);
  const unit = /\n([ \t]+)"/.exec(text)?.[1] ?? '  ';
  const indent = indentAt(text, container.offset);
  const sample = last === undefined || container.type === 'object' ? text : textOf(last);
  const colon = /":\S/.test(sample) && !/": /.test(sample) ? ':' : ': ';
  const padding = colon === ': ' && !/\{"/.test(sample) ? ' ' : '';
  const isLong = last === undefined ? isLines : /[\r\n]/.test(textOf(last));
  return {
    isLines,
    indent,
    itemIndent: isLines && first !== undefined ? indentAt(text, first.offset) : indent + unit,
    style: { indent, unit, eol: text.includes('\r\n') ? '\r\n' : '\n', isLong, colon, padding },
  };
}

/** Its JSON. */
export function renderJson(value: unknown, style: JsonStyle): string {
  if (!style.isLong) return onOneLine(value, style);
  const text = JSON.stringify(value, undefined, style.unit) ?? 'null';
  return text.replaceAll('\n', style.eol + style.indent);
}

function onOneLine(value: unknown, style: JsonStyle): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const comma = style.colon === ': ' ? ', ' : ',';
  if (Array.isArray(value)) return `[${value.map((each) => onOneLine(each, style)).join(comma)}]`;
  const members = Object.entries(value).map(
    ([key, inner]) => `${JSON.stringify(key)}${style.colon}${onOneLine(inner, style)}`,
  );
  return members.length === 0 ? '{}' : `{${style.padding}${members.join(comma)}${style.padding}}`;
}

function indentAt(text: string, offset: number): string {
  const [, line = ''] = /(?:^|[\r\n])([^\r\n]*)$/.exec(text.slice(0, offset)) ?? [];
  return /^[ \t]*/.exec(line)?.[0] ?? '';
}
