/** Positions in PostgreSQL's write-ahead log: 64 bits, written as two hexadecimal numbers with a slash between. */
import { LifeboatError } from '../../../lib/errors.ts';

/** "16/B374D848" as a number. Throws LifeboatError `usage`. */
export function parseLsn(text: string): bigint {
  const [, high, low] = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text) ?? [];
  if (high === undefined || low === undefined) {
    throw new LifeboatError('usage', `"${text}" is not a position in the write-ahead log`, {
      hint: 'write it as PostgreSQL does: 16/B374D848',
    });
  }
  return BigInt(`0x${high}`) * 2n ** 32n + BigInt(`0x${low}`);
}

/** As PostgreSQL writes it. */
export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

/**
 * A position that ends with the last byte that is not zero, as PostgreSQL would name it: records are padded to eight
 * bytes.
 */
export function shownLsn(lsn: bigint): string {
  return formatLsn(((lsn + 7n) / 8n) * 8n);
}
