/**
 * Runs pg_waldump over segments: all of them, or the records between two positions. It ends with 1 where the log that
 * it was given ends, so its exit code tells nothing; a record that is damaged it names. What it prints of a segment may
 * be longer than that, so it is told as it comes.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { startTool } from '../../../lib/exec.ts';
import { withScratchFolder } from '../../../lib/fs.ts';
import { createFileAt } from '../../../lib/held-files.ts';
import { isZero } from '../../../lib/zeros.ts';
import { endsBehind, type LogBytes } from './end-of-records.ts';
import { segmentNumber, timelineOf } from './file-name.ts';
import { formatLsn, parseLsn } from './lsn.ts';

/** One segment, whole; what a server was still writing ends in zeros. It is read as often as it is needed. */
export interface PlainSegment {
  readonly name: string;
  readonly content: { readonly bytes: number; pieces(): AsyncIterable<Uint8Array> };
  /** The server was still writing it. */
  readonly isUnfinished?: boolean;
}

export interface WaldumpOptions {
  /** Folder with pg_waldump of the cluster's version. */
  readonly programs: string;
  /** Only records of this resource manager, e.g. "Transaction"; default: all. */
  readonly manager?: string | undefined;
  /** No text, only the fault: much faster. */
  readonly quiet?: boolean;
  /** Records that begin at the first position or later and before the second; default: all in the segments. */
  readonly between?: readonly [bigint, bigint];
  /** Whole lines, as they come: one a record, times in UTC. */
  readonly onText?: (text: string) => void;
  readonly signal: AbortSignal;
}

type Segments = readonly [PlainSegment, ...PlainSegment[]];

/**
 * `segments`: at least one; of one timeline, in their order. Resolves to the fault of a record that is damaged or goes
 * on behind the last segment, in pg_waldump's words; where an unfinished one ends is none.
 */
export async function runWaldump(
  segments: Segments,
  { programs, manager, quiet = false, between, onText, signal }: WaldumpOptions,
): Promise<string | undefined> {
  const names = segments.map(({ name }) => name);
  const [first = '', last = first] = [names[0], names.at(-1)];
  const range = between === undefined ? [first, last] : positionArguments(first, between);
  return withScratchFolder(async (folder) => {
    for (const { name, content } of segments) await writeSparse(join(folder, name), content.pieces());
    const running = await startTool({
      file: join(programs, 'pg_waldump'),
      args: [
        ...(quiet ? ['--quiet'] : []),
        ...(manager === undefined ? [] : [`--rmgr=${manager}`]),
        `--path=${folder}`,
        ...range,
      ],
      env: { TZ: 'UTC' },
      okExitCodes: [0, 1],
      stdout: 'pipe',
      signal,
    });
    const [{ stderr }] = await Promise.all([running.result, readLines(running.stdout, onText)]);
    const fault = /error in WAL record at .*/.exec(stderr)?.[0];
    return fault !== undefined && isEnd(folder, segments, fault) ? undefined : fault;
  });
}

/** What was switched early is zeros for the most part, up to a gigabyte of them. */
async function writeSparse(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  await using file = await createFileAt(path);
  let at = 0;
  for await (const piece of pieces) {
    for (let done = isZero(piece) ? piece.length : 0; done < piece.length;) {
      done += (await file.write(piece, done, piece.length - done, at + done)).bytesWritten;
    }
    at += piece.length;
  }
  await file.truncate(at);
}

/** A commit of a million transactions in one is shorter; what a line has behind that is not read. */
const maxLineChars = 16 * 1024 * 1024;

/** A logical message stands in one line, three characters a byte: what has come of it is not put together each time. */
async function readLines(stdout: Readable | null, onText: WaldumpOptions['onText']): Promise<void> {
  let [pieces, length]: [string[], number] = [[], 0];
  for await (const chunk of stdout?.setEncoding('utf8') ?? []) {
    const text = String(chunk);
    const end = text.lastIndexOf('\n') + 1;
    const isTooLong = length > maxLineChars;
    if (end > 0) {
      onText?.(pieces.join('') + text.slice(isTooLong ? text.indexOf('\n') : 0, end));
      [pieces, length] = [[], 0];
    } else if (isTooLong) continue;
    pieces.push(text.slice(end));
    length += text.length - end;
  }
  if (length > 0) onText?.(pieces.join(''));
}

/** Behind what the server had written pg_waldump finds a fault, too. */
function isEnd(folder: string, segments: Segments, fault: string): boolean {
  const lastGood = lastGoodOf(fault);
  if (segments.at(-1)?.isUnfinished !== true || lastGood === undefined) return false;
  const segmentBytes = segments[0].content.bytes;
  using files = new DisposableStack();
  const opened = segments.map(({ name, content }) => files.use(new FileBytes(join(folder, name), content.bytes)));
  const position = segmentNumber(segments[0].name, segmentBytes) * BigInt(segmentBytes);
  return endsBehind({ position, segmentBytes, segments: opened }, parseLsn(lastGood));
}

/** A few looks into a file that would not fit into memory. */
class FileBytes implements LogBytes, Disposable {
  readonly length: number;
  readonly #fd: number;

  constructor(path: string, length: number) {
    this.length = length;
    this.#fd = openSync(path, 'r');
  }

  subarray(start: number, end: number): Buffer {
    const bytes = Buffer.alloc(Math.max(0, Math.min(end, this.length) - start));
    return bytes.subarray(0, readSync(this.#fd, bytes, 0, bytes.length, start));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function positionArguments(segment: string, [start, end]: readonly [bigint, bigint]): string[] {
  return [`--timeline=${timelineOf(segment)}`, `--start=${formatLsn(start)}`, `--end=${formatLsn(end)}`];
}

/** The position that a fault names last: of the record that is damaged. */
export function positionOfFault(fault: string): string | undefined {
  return [...fault.matchAll(/[0-9A-F]{1,8}\/[0-9A-F]{1,8}/g)].at(-1)?.[0];
}

/** The position that it names first: of the last record that could be read. */
export function lastGoodOf(fault: string): string | undefined {
  return /error in WAL record at ([0-9A-F]+\/[0-9A-F]+)/.exec(fault)?.[1];
}
