/** Pieces of the texts of facts: lines with a name before them, long lists cut short, numbers. */
import { printable } from '../../lib/printable.ts';

/** "lsn          0/2000028": without lines whose value is empty. */
export function namedLines(rows: readonly (readonly [name: string, value: string])[]): string {
  const filled = rows.filter(([, value]) => value !== '');
  const width = Math.max(...filled.map(([name]) => name.length), 10);
  return filled.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`).join('\n');
}

/** The first of a list, and how many more there are. */
export function firstOf(all: readonly string[], atMost: number, total = all.length): string {
  const shown = all.slice(0, atMost);
  const more = total - shown.length;
  return `${shown.join(', ')}${more > 0 ? `, and ${grouped(more)} more` : ''}`;
}

/** 252500 → "252,500"; decimal texts may pass 2^53. */
export function grouped(number: number | bigint | string): string {
  return BigInt(number).toLocaleString('en-US');
}

/** Parts with a blank line between them, without the empty ones. */
export function paragraphs(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('\n\n');
}
