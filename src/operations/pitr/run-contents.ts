/** What the segments of a run hold: the last commit and the last record, and where a named restore point lies. */
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { lastRecordIn, marksIn } from '../../source/postgres/wal/dumped-records.ts';
import { restorePointsIn, withoutPageHeaders } from '../../source/postgres/wal/records.ts';
import { runWaldump } from '../../source/postgres/wal/waldump.ts';
import { openSegment } from '../wal/segment.ts';
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
    const content = await openSegment(repository, systemId, name);
    let [record, lastCommitUs]: (bigint | undefined)[] = [];
    const onText = (text: string): void => {
      record = lastRecordIn(text) ?? record;
      for (const mark of marksIn(text)) if (mark.kind === 'end') lastCommitUs = later(lastCommitUs, mark.atUs);
    };
    await runWaldump([{ name, content }], { programs, onText, signal });
    lastRecordLsn ??= record;
    if (lastCommitUs !== undefined) return { lastRecordLsn, lastCommitUs };
  }
  return { lastRecordLsn, lastCommitUs: undefined };
}

function later(a: bigint | undefined, b: bigint): bigint {
  return a === undefined || b > a ? b : a;
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
    let start = (run.first + BigInt(place)) * BigInt(point.segmentBytes);
    let isFirst = true;
    for await (const piece of (await openSegment(repository, systemId, name)).pieces()) {
      const payload = Buffer.concat([before, withoutPageHeaders(piece, isFirst)]);
      const beginsAt = start - BigInt(before.length);
      if (restorePointsIn(payload, point.name).some((at) => beginsAt + BigInt(at) >= point.afterLsn)) found ??= place;
      // A record may go on in the next piece, or the next segment.
      before = Buffer.from(payload.subarray(-256));
      start += BigInt(piece.length);
      isFirst = false;
    }
  }
  return found;
}
