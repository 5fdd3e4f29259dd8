/**
 * Text from servers, files and people, made safe to print: no escape sequence reaches the terminal, no line is
 * broken, and nothing turns the direction of what follows.
 */

/** On one line: what would break it or drive the terminal stands there as `\u` and four hexadecimal digits. */
export function printable(text: string): string {
  return text.replaceAll(unsafe, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The same for text of several lines, which stay. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** Control characters, halves of surrogate pairs, line and paragraph separators, marks of writing direction. */
const unsafe = /[\p{Cc}\p{Cs}\u2028\u2029\p{Bidi_Control}]/gu;
