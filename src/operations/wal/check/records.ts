/**
 * Reads the records of segments, given in their order, by the pg_waldump of the version that wrote them: a record that
 * fails its checksum ends a recovery as if the log ended there.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { WalObject } from '../../../repository/wal/archive.ts';
import type { OpenedWal } from '../../../repository/wal/stored.ts';
import { segmentAt, segmentNumber, timelineOf } from '../../../source/postgres/wal/file-name.ts';
import { parseLsn } from '../../../source/postgres/wal/lsn.ts';
import { readSegmentHeader } from '../../../source/postgres/wal/segment-header.ts';
import { headOf } from '../segment.ts';
import { findTools } from '../../../source/postgres/server/tools.ts';
import { positionOfFault } from '../../../source/postgres/wal/waldump.ts';
import { WalDump, type DumpedWal } from '../../../source/postgres/wal/waldump-batches.ts';

/** A record that is damaged, and the segment that holds it. */
export interface RecordFault {
  readonly segment: string;
  readonly problem: string;
}

export class RecordCheck {
  readonly faults: RecordFault[] = [];
  /** Why records of some version were not read. */
  readonly notes = new Set<string>();
  readonly #signal: AbortSignal;
  #dump: WalDump | undefined;
  #segmentBytes = 0;
  #before: { readonly timeline: number; readonly number: bigint } | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** The next one; behind a gap the records begin anew. Others than segments are passed over. */
  async add({ file }: WalObject, content: OpenedWal): Promise<void> {
    const { kind, segment, timeline } = file;
    if (segment === undefined || (kind !== 'segment' && kind !== 'unfinished')) return;
    const number = segmentNumber(segment, content.bytes);
    const before = this.#before;
    const follows = before?.timeline === timeline && before.number + 1n === number;
    if (!follows) {
      await this.end();
      this.#dump = await this.#dumpFor(content);
    }
    this.#before = { timeline, number };
    this.#note(await this.#dump?.add(segment, content, { isUnfinished: kind === 'unfinished' }));
  }

  async end(): Promise<void> {
    this.#note(await this.#dump?.end());
    this.#dump = undefined;
    this.#before = undefined;
  }

  async #dumpFor(content: OpenedWal): Promise<WalDump | undefined> {
    const header = readSegmentHeader(await headOf(content));
    if ('fault' in header) return undefined;
    this.#segmentBytes = header.segmentBytes;
    try {
      const { folder, major } = await findTools(header.serverMajor);
      if (major === header.serverMajor) {
        const options = { programs: folder, quiet: true, segmentBytes: header.segmentBytes, signal: this.#signal };
        return new WalDump(options);
      }
    } catch (error) {
      if (!(error instanceof LifeboatError) || error.code !== 'tool') throw error;
    }
    const version = header.serverMajor;
    this.notes.add(`records of write-ahead log were not read: there is no pg_waldump of version ${version} here`);
    return undefined;
  }

  #note(dumped: DumpedWal | undefined): void {
    if (dumped?.fault === undefined) return;
    const position = positionOfFault(dumped.fault);
    const timeline = timelineOf(dumped.first);
    const segment = position === undefined ? dumped.last : segmentAt(timeline, parseLsn(position), this.#segmentBytes);
    this.faults.push({ segment, problem: dumped.fault });
  }
}
