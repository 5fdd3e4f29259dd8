/** What the segments of a run hold: the last commit and the last record, and where a named restore point lies. */
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { lastRecordIn, marksIn } from '../../source/postgres/wal/dumped-records.ts';
import { restorePointsIn, withoutPageHeaders } from '../../source/postgres/wal/records.ts';
import { runWaldump } from '../../source/postgres/wal/waldump.ts';
import { readSegment } from '../wal/segment.ts';
import type { WalRun } from './wal-run.ts';

/** What the end of a run holds. Times in microseconds since 1970. */
export interface RunEnd {
  readonly lastCommitUs: bigint | undefined;
  /** Where the last record begins. */
  readonly lastRecordLsn: bigint | undefined;
}

/**
 * Looks from the end backwards until a commit is found. `programs`: folder with pg_waldump of the cluster's version.
 */
export async function endOfRun(
  repository: Repository,
  systemId: string,
  run: WalRun,
  programs: string,
  { signal }: RunContext,
): Promise<RunEnd> {
  let lastRecordLsn: bigint | undefined;
  for (const name of run.names.toReversed()) {
    signal.throwIfAborted();
    const bytes = await readSegment(repository, systemId, name);
    const { text } = await runWaldump([{ name, bytes }], { programs, signal });
    lastRecordLsn ??= lastRecordIn(text);
    const times = marksIn(text).flatMap((mark) => (mark.kind === 'end' ? [mark.atUs] : []));
    if (times.length > 0) return { lastRecordLsn, lastCommitUs: times.reduce((a, b) => (a > b ? a : b)) };
  }
  return { lastRecordLsn, lastCommitUs: undefined };
}

/**
 * In which segment of the run (its place in it) a named restore point lies, behind `afterLsn`; the last one of that
 * name. Undefined: none.
 */
export async function findRestorePoint(
  repository: Repository,
  systemId: string,
  run: WalRun,
  point: { readonly name: string; readonly afterLsn: bigint; readonly segmentBytes: number },
  { signal }: RunContext,
): Promise<number | undefined> {
  let found: number | undefined;
  let before: Buffer = Buffer.alloc(0);
  for (const [place, name] of run.names.entries()) {
    signal.throwIfAborted();
    const start = (run.first + BigInt(place)) * BigInt(point.segmentBytes);
    const payload = Buffer.concat([before, withoutPageHeaders(await readSegment(repository, systemId, name))]);
    if (restorePointsIn(payload, point.name).some((at) => start + BigInt(at - before.length) >= point.afterLsn)) {
      found ??= place;
    }
    // A record may go on in the next segment.
    before = Buffer.from(payload.subarray(-256));
  }
  return found;
}
