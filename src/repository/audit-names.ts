/**
 * Names and numbers of audit records. Anybody who may write to the repository can put any name there, so a number
 * counts only as far as the others account for it.
 */
import { hostname } from 'node:os';

/** A place in a chain. */
export interface AuditHead {
  readonly host: string;
  readonly number: number;
  /** 64 hex digits; zeros before the first record. */
  readonly seal: string;
}

export const zeroSeal = '0'.repeat(64);

/** Records are numbered one by one, so a greater number was made up; and it can still be counted on. */
export const maxAuditNumber = 1_000_000_000_000;

/** The folder of this host's chain: its name as an object's key can hold it. */
export function auditHost(name = hostname()): string {
  return (
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9.-]/g, '-')
      .replace(/^[.]+/, '')
      .slice(0, 63) || 'unknown'
  );
}

export function auditKey(host: string, number: number): string {
  return `audit/${host}/${String(number).padStart(20, '0')}.json`;
}

/** Undefined for what is no name of a record, numbers that no host ever came to included. */
export function parseAuditKey(object: string): { readonly host: string; readonly number: number } | undefined {
  const [, host, number] = /^audit\/([a-z0-9.-]{1,63})\/(\d{20})\.json$/.exec(object) ?? [];
  if (host === undefined || number === undefined) return undefined;
  const counted = Number(number);
  return counted >= 1 && counted <= maxAuditNumber ? { host, number: counted } : undefined;
}

/**
 * The greatest number that the others account for: of those up to it at least half are there. One that somebody put
 * far ahead of them is not where the next record goes. `numbers` in ascending order.
 */
export function endOfChain(numbers: readonly number[]): number | undefined {
  return numbers.findLast((number, index) => (index + 1) * 2 >= number);
}
