/** How far the replay of write-ahead log is: totals for a terminal, a plain line now and then for a log. */
import type { RunContext } from '../../lib/events.ts';
import { formatDuration } from '../../lib/time.ts';
import { formatBytes } from '../../lib/units.ts';
import { formatLsn } from '../../source/postgres/wal/lsn.ts';

export interface ReplayMeter {
  /** The replay has come so far; what lies behind an earlier position is passed over. */
  at(lsn: bigint): void;
}

/** A plain line at most so often, and only after another twentieth of the way. */
const lineEveryMs = 5000;
const lineEveryPart = 0.05;

/**
 * From where to where (bytes of log). The end is an estimate for targets of which the position is not known beforehand.
 */
export function replayMeter(
  from: bigint,
  to: bigint,
  { emit }: Pick<RunContext, 'emit'>,
  now: () => number = () => performance.now(),
): ReplayMeter {
  const totalBytes = Math.max(1, Number(to - from));
  const startedMs = now();
  let reached = from;
  let toldMs = startedMs;
  let toldBytes = 0;
  return {
    at: (lsn) => {
      if (lsn <= reached) return;
      reached = lsn < to ? lsn : to;
      const readBytes = Number(reached - from);
      emit({ type: 'progress', component: 'log', readBytes, newBytes: 0, storedBytes: 0, totalBytes });
      const elapsedMs = now() - startedMs;
      if (now() - toldMs < lineEveryMs || readBytes - toldBytes < totalBytes * lineEveryPart) return;
      [toldMs, toldBytes] = [now(), readBytes];
      const bytesPerMs = readBytes / elapsedMs;
      emit({
        type: 'step',
        component: 'base',
        message:
          `replayed ${Math.floor((readBytes / totalBytes) * 100)} % of the log, up to ${formatLsn(reached)}, ` +
          `${formatBytes(Math.round(bytesPerMs * 1000))}/s, at most about ` +
          `${formatDuration((totalBytes - readBytes) / bytesPerMs)} left`,
      });
    },
  };
}
