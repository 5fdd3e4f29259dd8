/**
 * Runs pg_waldump over segments that are in memory: all of them, or the records between two positions. It ends with 1
 * where the log that it was given ends, so its exit code tells nothing; a record that is damaged it names.
 */
import { join } from 'node:path';
import { runTool } from '../../../lib/exec.ts';
import { withScratchFolder } from '../../../lib/fs.ts';
import { writeNewFile } from '../../../lib/held-files.ts';
import { formatLsn } from './lsn.ts';
import { timelineOf } from './file-name.ts';

/** One segment, whole; what a server was still writing ends in zeros. */
export interface PlainSegment {
  readonly name: string;
  readonly bytes: Buffer;
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
  readonly signal: AbortSignal;
}

export interface WaldumpResult {
  /** A line a record, times in UTC. */
  readonly text: string;
  /** Of a record that is damaged or goes on behind the last segment, in pg_waldump's words. */
  readonly fault: string | undefined;
}

/** `segments`: at least one; of one timeline, in their order. */
export async function runWaldump(
  segments: readonly [PlainSegment, ...PlainSegment[]],
  { programs, manager, quiet = false, between, signal }: WaldumpOptions,
): Promise<WaldumpResult> {
  const names = segments.map(({ name }) => name);
  const [first = '', last = first] = [names[0], names.at(-1)];
  const range = between === undefined ? [first, last] : positionArguments(first, between);
  const { stdout, stderr } = await withScratchFolder(async (folder) => {
    for (const { name, bytes } of segments) await writeNewFile(join(folder, name), bytes);
    return runTool({
      file: join(programs, 'pg_waldump'),
      args: [
        ...(quiet ? ['--quiet'] : []),
        ...(manager === undefined ? [] : [`--rmgr=${manager}`]),
        `--path=${folder}`,
        ...range,
      ],
      env: { TZ: 'UTC' },
      okExitCodes: [0, 1],
      signal,
    });
  });
  return { text: stdout, fault: /error in WAL record at .*/.exec(stderr)?.[0] };
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
