/**
 * Changes in JSON as people write it (jsonc.ts): a list gets an item more or one less, an object another member; all
 * else of the text stays as it is, with its comments, order, indentation and line ends. A comment behind an item on its
 * line goes with it; those in lines of their own stay. Of a key that stands twice the first is found and the last
 * counts: whoever edits compares what came of it.
 */
import { applyEdits, findNodeAtLocation, parseTree, type Edit, type JSONPath, type Node } from 'jsonc-parser';
import { layoutOf, renderJson } from './jsonc-layout.ts';

/** Adds an item at the end of the list at `path`. Throws TypeError where there is none. */
export function addItem(text: string, path: JSONPath, value: unknown): string {
  const list = nodeAt(text, path, 'array');
  return applyEdits(
    text,
    insertion(text, list, (style) => renderJson(value, style)),
  );
}

/** Sets a member of the object at `path`, in its place or at the end; undefined takes it out. */
export function setMember(text: string, path: JSONPath, key: string, value: unknown): string {
  const object = nodeAt(text, path, 'object');
  const members = object.children ?? [];
  const index = members.findIndex(({ children }) => children?.[0]?.value === key);
  const [, old] = members[index]?.children ?? [];
  if (value === undefined) return index === -1 ? text : applyEdits(text, removal(text, object, index));
  if (old !== undefined) {
    const content = renderJson(value, { ...layoutOf(text, object).style, isLong: false });
    return applyEdits(text, [{ offset: old.offset, length: old.length, content }]);
  }
  const name = JSON.stringify(key);
  const isList = Array.isArray(value) && typeof value[0] === 'object' && layoutOf(text, object).isLines;
  return applyEdits(
    text,
    insertion(text, object, (style) => {
      const content = renderJson(value, { ...style, isLong: style.isLong || isList });
      return `${name}${style.colon}${content}`;
    }),
  );
}

/** Takes an item out of the list at `path`. */
export function removeItem(text: string, path: JSONPath, index: number): string {
  return applyEdits(text, removal(text, nodeAt(text, path, 'array'), index));
}

/** The text of the value at a path; undefined: there is none. */
export function textAt(text: string, path: JSONPath): string | undefined {
  const root = treeOf(text);
  const node = root === undefined ? undefined : findNodeAtLocation(root, path);
  return node === undefined ? undefined : text.slice(node.offset, node.offset + node.length);
}

function treeOf(text: string): Node | undefined {
  return parseTree(text.replace(/^\uFEFF/, ' '), [], { allowTrailingComma: true });
}

function nodeAt(text: string, path: JSONPath, type: 'array' | 'object'): Node {
  const root = treeOf(text);
  const node = root === undefined ? undefined : findNodeAtLocation(root, path);
  if (node?.type !== type) throw new TypeError(`there is no ${type} at ${path.join('.')}`);
  return node;
}

type Render = (style: ReturnType<typeof layoutOf>['style']) => string;

/** Behind the last item, and behind a comment that stands there on its line. */
function insertion(text: string, container: Node, render: Render): Edit[] {
  const last = container.children?.at(-1);
  const close = container.offset + container.length - 1;
  const from = last === undefined ? container.offset + 1 : endOf(last);
  const comma = last === undefined ? undefined : commaIn(text, from, close);
  const { at } = restOfLine(text, comma === undefined ? from : comma + 1, close);
  const { isLines, indent, itemIndent, style } = layoutOf(text, container);
  const separator = last !== undefined && comma === undefined ? [{ offset: from, length: 0, content: ',' }] : [];
  const isClosed = !isLines || /[\r\n]/.test(text.slice(at, close));
  const inside = container.type === 'object' && last === undefined ? style.padding : '';
  const content = [
    isLines ? style.eol + itemIndent : last === undefined ? inside : style.colon.slice(1),
    render({ ...style, indent: isLines ? itemIndent : indent }),
    comma === undefined ? '' : ',',
    isClosed ? (isLines || /\s/.test(text.charAt(at)) ? '' : inside) : style.eol + indent,
  ].join('');
  return [...separator, { offset: at, length: 0, content }];
}

/** With its comma, or that before it; the whole line where it stands alone on it. */
function removal(text: string, container: Node, index: number): Edit[] {
  const items = container.children ?? [];
  const [before, item, next] = [items[index - 1], items[index], items[index + 1]];
  if (item === undefined) throw new TypeError('there is no such item');
  const limit = next?.offset ?? container.offset + container.length - 1;
  const comma = commaIn(text, endOf(item), limit);
  const needless = comma === undefined && before !== undefined ? commaIn(text, endOf(before), item.offset) : undefined;
  const edits: Edit[] = needless === undefined ? [] : [cut(needless, needless + 1)];
  const rest = restOfLine(text, comma === undefined ? endOf(item) : comma + 1, limit);
  const [blanks = ''] = /[^\S\r\n]*$/.exec(text.slice(0, item.offset)) ?? [];
  const lineStart = item.offset - blanks.length;
  const isAlone = rest.lineEnd !== undefined && /(^|[\r\n])$/.test(text.slice(0, lineStart));
  if (isAlone) return [...edits, cut(lineStart, rest.lineEnd ?? rest.at)];
  edits.push(cut(next === undefined ? lineStart : item.offset, endOf(item)));
  if (comma === undefined) return before === undefined ? [...edits, cut(...blanksAt(text, endOf(item)))] : edits;
  return [...edits, cut(comma, blanksAt(text, comma + 1)[1])];
}

function blanksAt(text: string, from: number): [from: number, to: number] {
  const [blanks = ''] = /^[^\S\r\n]*/.exec(text.slice(from)) ?? [];
  return [from, from + blanks.length];
}

function cut(from: number, to: number): Edit {
  return { offset: from, length: to - from, content: '' };
}

function endOf({ offset, length }: Node): number {
  return offset + length;
}

/** Blanks, a line end, a comment or a comma: all that stands between two items. */
const between = /(?<blank>[^\S\r\n]+)|(?<end>\r\n|\r|\n)|(?<comment>\/\/[^\r\n]*|\/\*[^]*?\*\/)|(?<comma>,)/y;

function* piecesOf(text: string, from: number, to: number): Generator<{ kind: string; start: number; end: number }> {
  for (let start = from; start < to;) {
    between.lastIndex = start;
    const found = between.exec(text);
    if (found === null) return;
    const [kind = ''] = Object.entries(found.groups ?? {}).find(([, piece]) => piece !== undefined) ?? [];
    const end = start + found[0].length;
    yield { kind, start, end };
    start = end;
  }
}

function commaIn(text: string, from: number, to: number): number | undefined {
  for (const { kind, start } of piecesOf(text, from, to)) if (kind === 'comma') return start;
  return undefined;
}

/** Where the comments end that stand there on the line; and where the next line begins, if nothing else does. */
function restOfLine(text: string, from: number, to: number): { at: number; lineEnd: number | undefined } {
  let at = from;
  for (const { kind, start, end } of piecesOf(text, from, to)) {
    if (kind === 'end') return { at, lineEnd: end };
    const isOfLine = kind === 'comment' && !/[\r\n]/.test(text.slice(start, end));
    if (isOfLine) at = end;
    else if (kind !== 'blank') break;
  }
  return { at, lineEnd: undefined };
}
