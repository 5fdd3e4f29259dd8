/**
 * Reads the records of archived segments by pg_waldump, a few segments at once, since a record may go on in the next
 * one. A record that fails its checksum ends a recovery as if the log ended there, so it is found out beforehand.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../lib/exec.ts';
import { withScratchFolder } from '../../lib/fs.ts';
import type { RunContext } from '../../lib/events.ts';

export interface DumpedWal {
  /** First and last that were read. */
  readonly first: string;
  readonly last: string;
  readonly text: string;
  /** Of a record that is damaged, in pg_waldump's words. */
  readonly fault: string | undefined;
}

export interface WalDumpOptions {
  /** Folder with pg_waldump of the cluster's version. */
  readonly programs: string;
  /** Beside the files. */
  readonly args: readonly string[];
  readonly segmentBytes: number;
  /** Read at once; default: 64 MiB. */
  readonly batchBytes?: number;
}

interface Segment {
  readonly name: string;
  readonly bytes: Buffer;
  readonly isUnfinished: boolean;
}

const defaultBatchBytes = 64 * 1024 * 1024;

/** Give it the segments of a timeline in their order; what has been read comes back now and then, and at the end. */
export class WalDump {
  readonly #options: WalDumpOptions;
  readonly #signal: AbortSignal;
  #batch: Segment[] = [];
  #isRead = true;

  constructor(options: WalDumpOptions, { signal }: Pick<RunContext, 'signal'>) {
    this.#options = options;
    this.#signal = signal;
  }

  /** `isUnfinished`: the server was still writing it, so it ends in zeros. */
  async add(
    name: string,
    bytes: Buffer,
    { isUnfinished = false }: { readonly isUnfinished?: boolean } = {},
  ): Promise<DumpedWal | undefined> {
    const before = this.#batch.at(-1);
    const { segmentBytes, batchBytes = defaultBatchBytes } = this.#options;
    const isFull = this.#batch.length > 1 && this.#batch.length * segmentBytes >= batchBytes;
    const isOther = before !== undefined && before.name.slice(0, 8) !== name.slice(0, 8);
    const dumped = isFull || isOther ? await this.end() : undefined;
    // Read once more, with the rest of its last record.
    if (isFull && !isOther && before !== undefined && dumped?.fault === undefined) this.#batch = [before];
    this.#batch.push({ name, bytes, isUnfinished });
    this.#isRead = false;
    return dumped;
  }

  /** What is left. The next segment begins anew. */
  async end(): Promise<DumpedWal | undefined> {
    const [first] = this.#batch;
    const last = this.#batch.at(-1);
    if (first === undefined || last === undefined || this.#isRead) return undefined;
    const { programs, args } = this.#options;
    const { stdout, stderr } = await withScratchFolder(async (folder) => {
      for (const { name, bytes } of this.#batch) await writeFile(join(folder, name), bytes, { mode: 0o600 });
      return runTool({
        file: join(programs, 'pg_waldump'),
        args: [...args, '--path', folder, first.name, last.name],
        env: { TZ: 'UTC' },
        okExitCodes: [0, 1],
        signal: this.#signal,
      });
    });
    this.#batch = [];
    this.#isRead = true;
    const fault = /error in WAL record at (.*)/.exec(stderr)?.[0];
    const isEnd =
      last.isUnfinished && fault !== undefined && /wanted \d+, got 0$|invalid magic number 0000/.test(fault);
    return { first: first.name, last: last.name, text: stdout, fault: isEnd ? undefined : fault };
  }
}

/** The position that the fault of a dump names last: of the record that is damaged. */
export function positionOfFault(fault: string): string | undefined {
  return [...fault.matchAll(/[0-9A-F]{1,8}\/[0-9A-F]{1,8}/g)].at(-1)?.[0];
}
