/**
 * File names are bytes. Here they become text for people, for JSON and for patterns, and back, without
 * losing a byte: a name that is not UTF-8 travels as base64 beside its readable form.
 */
import { isUtf8 } from 'node:buffer';

const slash = 0x2f;

/**
 * Text of a name in JSON: `text` is for reading; `bytes` (base64) is there when the text alone would lose something.
 */
export interface NameText {
  readonly text: string;
  readonly bytes?: string;
}

export function nameText(name: Buffer): NameText {
  return isUtf8(name)
    ? { text: name.toString('utf8') }
    : { text: name.toString('utf8'), bytes: name.toString('base64') };
}

/** The inverse of nameText. */
export function nameBytes(text: string, bytes: string | undefined): Buffer {
  return bytes === undefined ? Buffer.from(text, 'utf8') : Buffer.from(bytes, 'base64');
}

/** A path for messages, on one line: quoted, with \xNN for bytes outside of printable UTF-8, where it needs that. */
export function displayPath(path: Buffer): string {
  const text = decodeName(path);
  if (!/[\p{Cc}\p{Cs}\u2028\u2029\p{Bidi_Control}"\\]/u.test(text)) return text;
  const escaped = text.replaceAll(/[\p{Cc}\p{Cs}\u2028\u2029\p{Bidi_Control}"\\]/gu, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    const code = character.charCodeAt(0);
    return code > 0xff && code < 0xdc00
      ? `\\u${code.toString(16).padStart(4, '0')}`
      : `\\x${(code & 0xff).toString(16).padStart(2, '0')}`;
  });
  return `"${escaped}"`;
}

/**
 * A one-to-one text for a name: UTF-8 where it is, and a lone surrogate (U+DC80 to U+DCFF) for each byte that is not.
 */
export function decodeName(name: Buffer): string {
  if (isUtf8(name)) return name.toString('utf8');
  let text = '';
  for (let at = 0; at < name.length;) {
    const length = sequenceLength(name, at);
    text += length === 0 ? String.fromCharCode(0xdc00 + (name[at] ?? 0)) : name.toString('utf8', at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

/** Length of the valid UTF-8 sequence at `at`; 0 if there is none. */
function sequenceLength(name: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= name.length; length++) {
    if (isUtf8(name.subarray(at, at + length))) return length;
  }
  return 0;
}

/** `a/b` from `a` and `b`; an empty folder gives the name alone. */
export function joinName(folder: Buffer, name: Buffer): Buffer {
  if (folder.length === 0) return name;
  const joined = Buffer.allocUnsafe(folder.length + 1 + name.length);
  folder.copy(joined);
  joined[folder.length] = slash;
  name.copy(joined, folder.length + 1);
  return joined;
}

/** The components of a path, split at every slash. */
export function splitName(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = path.indexOf(slash); at !== -1; at = path.indexOf(slash, from)) {
    parts.push(path.subarray(from, at));
    from = at + 1;
  }
  parts.push(path.subarray(from));
  return parts;
}

/**
 * The order in which a tree is walked: a folder before what is in it, names in byte order. Negative,
 * zero or positive. Not the byte order of whole paths, where `a.b` would come between `a` and `a/b`.
 */
export function compareTreeOrder(left: Buffer, right: Buffer): number {
  const shorter = Math.min(left.length, right.length);
  let at = 0;
  while (at < shorter && left[at] === right[at]) at++;
  if (at === shorter) return left.length - right.length;
  const a = left[at] === slash ? -1 : (left[at] ?? 0);
  const b = right[at] === slash ? -1 : (right[at] ?? 0);
  return a - b;
}

/** True if `path` is `folder` or lies in it. */
export function isWithin(path: Buffer, folder: Buffer): boolean {
  if (folder.length === 0) return true;
  return (
    path.length >= folder.length &&
    path.subarray(0, folder.length).equals(folder) &&
    (path.length === folder.length || path[folder.length] === slash)
  );
}
