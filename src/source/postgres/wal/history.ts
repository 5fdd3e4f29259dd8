/** PostgreSQL's .history files: where each timeline left the one it comes from. */
import { LifeboatError } from '../../../lib/errors.ts';

/** Where a timeline left another. */
export interface HistoryLine {
  readonly timeline: number;
  /** The first position that is no longer its. */
  readonly switchLsn: bigint;
}

const lineOfHistory = /^\s*(\d+)\s+([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})(\s|$)/;

/**
 * The ancestors that a .history file names, oldest first. Throws LifeboatError `integrity` for lines that are not
 * entries.
 */
export function parseHistory(text: string, name: string): HistoryLine[] {
  const lines = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line));
  return lines.map((line) => {
    const [, timeline, high, low] = lineOfHistory.exec(line) ?? [];
    if (timeline === undefined || high === undefined || low === undefined) {
      throw new LifeboatError('integrity', `${name} is damaged: a line of it is not an entry of a timeline history`);
    }
    return { timeline: Number(timeline), switchLsn: BigInt(`0x${high}`) * 2n ** 32n + BigInt(`0x${low}`) };
  });
}
