/**
 * The moment that an operator means: a time with its zone, a position, a transaction, a name, the end of the archive,
 * or the first consistent one.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { momentOf, parseDuration } from '../../lib/time.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';

export type PitrTarget =
  /** Microseconds since 1970: commits are told apart by them. */
  | { readonly kind: 'time'; readonly atUs: bigint; readonly text: string }
  | { readonly kind: 'lsn'; readonly lsn: bigint; readonly text: string }
  | { readonly kind: 'xid'; readonly xid: bigint; readonly text: string }
  | { readonly kind: 'name'; readonly name: string; readonly text: string }
  | { readonly kind: 'latest' | 'immediate'; readonly text: string };

/** Throws `usage` (2); a time without a zone is refused, since it would mean another moment elsewhere. */
export function parseTarget(text: string, now = Date.now()): PitrTarget {
  if (text === 'latest' || text === 'immediate') return { kind: text, text };
  const [, kind, value = ''] = /^(lsn|xid|name):(.*)$/s.exec(text) ?? [];
  if (kind === 'lsn') return { kind, lsn: parseLsn(value), text: value };
  if (kind === 'xid' && /^[1-9]\d{0,19}$/.test(value)) return { kind, xid: BigInt(value), text: value };
  if (kind === 'name' && value !== '' && Buffer.byteLength(value) < 64) return { kind, name: value, text: value };
  if (kind !== undefined) {
    throw new LifeboatError('usage', `"${text}" names no ${kind}`, {
      hint: 'write xid:742 or name:before-migration (at most 63 bytes)',
    });
  }
  const ago = /^(?:now-(\S+)|(\S+) ago)$/.exec(text);
  if (ago !== null) return timeTarget(BigInt(now - parseDuration(ago[1] ?? ago[2] ?? '')) * 1000n);
  return timeTarget(parseTime(text));
}

/** As PostgreSQL and people read it: UTC, microseconds. */
export function formatMicroseconds(us: bigint): string {
  const toTheSecond = new Date(Number(us / 1_000_000n) * 1000).toISOString().slice(0, 19);
  return `${toTheSecond}.${String(us % 1_000_000n).padStart(6, '0')}Z`;
}

/** As recovery_target_time: while the server reads its configuration it knows no names of zones, not even Z. */
export function recoveryTime(us: bigint): string {
  return formatMicroseconds(us).replace('T', ' ').replace('Z', '+00');
}

/** "2026-01-02T03:04:05.123456+01:00" (or a blank for the T) in microseconds since 1970. */
export function parseTime(text: string): bigint {
  const [, date, time = '', fraction = '', zone] =
    /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,6}))?\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$/i.exec(
      text.trim(),
    ) ?? [];
  const hint =
    'write a time with its zone (2026-01-02T03:04:05Z, 2026-01-02 04:04:05+01:00), 15m ago, lsn:16/B374D848, ' +
    'xid:742, name:before-migration, latest or immediate';
  if (date === undefined) throw new LifeboatError('usage', `"${text}" is not a recovery target`, { hint });
  if (zone === undefined) throw new LifeboatError('usage', `the time "${text}" has no zone`, { hint });
  const offset = /^[+-]/.test(zone)
    ? zone.replace(/^([+-]\d\d):?(\d\d)?$/, (_, hours: string, minutes = '00') => `${hours}:${minutes}`)
    : 'Z';
  const ms = momentOf(date, time, offset);
  if (ms === undefined) throw new LifeboatError('usage', `"${text}" names no day or time that there is`, { hint });
  return BigInt(ms) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

function timeTarget(atUs: bigint): PitrTarget {
  return { kind: 'time', atUs, text: formatMicroseconds(atUs) };
}
