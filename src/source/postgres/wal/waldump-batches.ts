/**
 * Reads the records of archived segments by pg_waldump, a few segments at once, since a record may go on in the next
 * one. A record that fails its checksum ends a recovery as if the log ended there, so it is found out beforehand.
 */
import { timelineOf } from './file-name.ts';
import { runWaldump, type PlainSegment, type WaldumpOptions } from './waldump.ts';

export interface DumpedWal {
  /** First and last that were read. */
  readonly first: string;
  readonly last: string;
  /** Of a record that is damaged, in pg_waldump's words. */
  readonly fault: string | undefined;
}

export interface WalDumpOptions extends Omit<WaldumpOptions, 'between'> {
  readonly segmentBytes: number;
  /** Read at once; default: 64 MiB. */
  readonly batchBytes?: number;
}

const defaultBatchBytes = 64 * 1024 * 1024;

/** Give it the segments of a timeline in their order; what has been read comes back now and then, and at the end. */
export class WalDump {
  readonly #options: WalDumpOptions;
  #batch: PlainSegment[] = [];
  #isRead = true;

  constructor(options: WalDumpOptions) {
    this.#options = options;
  }

  /** `isUnfinished`: the server was still writing it, so it ends in zeros. */
  async add(
    name: string,
    content: PlainSegment['content'],
    { isUnfinished = false }: { readonly isUnfinished?: boolean } = {},
  ): Promise<DumpedWal | undefined> {
    const before = this.#batch.at(-1);
    const { segmentBytes, batchBytes = defaultBatchBytes } = this.#options;
    const isFull = this.#batch.length > 1 && this.#batch.length * segmentBytes >= batchBytes;
    const isOther = before !== undefined && timelineOf(before.name) !== timelineOf(name);
    const dumped = isFull || isOther ? await this.end() : undefined;
    // Read once more, with the rest of its last record.
    if (isFull && !isOther && before !== undefined && dumped?.fault === undefined) this.#batch = [before];
    this.#batch.push({ name, content, isUnfinished });
    this.#isRead = false;
    return dumped;
  }

  /** What is left. The next segment begins anew. */
  async end(): Promise<DumpedWal | undefined> {
    const [first, ...others] = this.#batch;
    if (first === undefined || this.#isRead) return undefined;
    const fault = await runWaldump([first, ...others], this.#options);
    this.#batch = [];
    this.#isRead = true;
    const last = others.at(-1) ?? first;
    return { first: first.name, last: last.name, fault };
  }
}
