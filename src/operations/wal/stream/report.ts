/** What a receiver tells of itself: how far it is behind the server, and what keeps it from its work. */
import type { RunContext } from '../../../lib/events.ts';
import { formatBytes } from '../../../lib/units.ts';
import { parseLsn, shownLsn } from '../../../source/postgres/wal/lsn.ts';
import { readServer } from '../../../source/postgres/server/receiver.ts';
import type { WalStreamReport } from '../request.ts';
import { type Shipper } from './ship.ts';
import type { StreamSpool } from './spool.ts';
import type { StreamRun } from './slot.ts';
import { pauseUntil, type Trouble } from './trouble.ts';

interface Watched {
  readonly shipper: Shipper;
  readonly spool: StreamSpool;
  readonly trouble: Trouble;
}

/**
 * Reports at once and then as often as asked for, until it is stopped. Never rejects for a server that does not answer.
 */
export async function keepReporting(
  run: StreamRun,
  watched: Watched,
  until: AbortSignal,
  { emit }: RunContext,
): Promise<void> {
  const { request, url, server } = run;
  const { shipper, spool, trouble } = watched;
  for (; !until.aborted; await pauseUntil(request.reportMs, until)) {
    const now = await readServer(url, request.slot, until).catch(() => undefined);
    if (until.aborted) return;
    const spoolBytes = await spool.bytes();
    const report = reportOf(run, shipper, {
      state: trouble.message === undefined ? 'streaming' : 'waiting',
      spoolBytes,
      trouble: trouble.message,
      serverLsn: now?.currentLsn,
    });
    emit({
      type: 'progress',
      component: 'wal',
      readBytes: shipper.shippedBytes + spoolBytes,
      newBytes: shipper.shippedBytes,
      storedBytes: shipper.storedBytes,
    });
    const isBehind = (report.lagBytes ?? 0) > 4 * server.segmentBytes;
    emit({ type: isBehind ? 'step' : 'debug', component: 'wal', message: reportLine(report) });
    request.report?.(report);
  }
}

type Seen = Pick<WalStreamReport, 'state' | 'spoolBytes' | 'trouble' | 'serverLsn'>;

/** `shipper` is undefined where none ran. */
export function reportOf(
  { target, request, server }: StreamRun,
  shipper: Shipper | undefined,
  seen: Seen,
): WalStreamReport {
  const shipped = shipper?.shippedLsn === undefined ? undefined : shownLsn(shipper.shippedLsn);
  return {
    ...seen,
    target,
    slot: request.slot,
    at: new Date().toISOString(),
    systemId: server.systemId,
    shippedLsn: shipped,
    lagBytes:
      shipped === undefined || seen.serverLsn === undefined
        ? undefined
        : Math.max(0, Number(parseLsn(seen.serverLsn) - parseLsn(shipped))),
    caughtUpAt: shipper?.caughtUpMs === undefined ? undefined : new Date(shipper.caughtUpMs).toISOString(),
    segments: shipper?.segments ?? 0,
    partials: shipper?.partials ?? 0,
    warnings: [],
  };
}

/** For people. */
export function reportLine({
  shippedLsn,
  serverLsn,
  lagBytes,
  segments,
  spoolBytes,
  trouble,
}: WalStreamReport): string {
  const where = shippedLsn === undefined ? 'nothing is shipped yet' : `shipped up to ${shippedLsn}`;
  const server = serverLsn === undefined ? 'the server does not answer' : `the server is at ${serverLsn}`;
  const lag = lagBytes === undefined ? server : `${formatBytes(lagBytes)} behind the server`;
  const held = `on this host: ${formatBytes(spoolBytes)}`;
  return [where, lag, `segments: ${segments}`, held, ...(trouble === undefined ? [] : [trouble])].join('; ');
}
