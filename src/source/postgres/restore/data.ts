/**
 * The rows: archives go straight from the repository into pg_restore, several side by side, the biggest
 * first. One that breaks ends the others; tables that could not be filled are collected from all of them.
 */
import { forEachSideBySide } from '../../../lib/concurrency.ts';
import type { RunContext } from '../../../lib/events.ts';
import type { RunningTool } from '../../../lib/exec.ts';
import { type Inlet, Inlets } from '../../../lib/inlets.ts';
import type { ArtifactReader } from '../../source.ts';
import { type RestoreIssue, restoreFailure } from './issues.ts';
import { type RestoreRun, type RestoreTarget, judge, startRestore } from './pg-restore.ts';

/** One archive of rows. */
export interface DataStream {
  readonly artifact: string;
  /** Stored size, for the order and the progress. */
  readonly bytes: number;
  /** File with the entries to restore (pg_restore --use-list); all of them without. */
  readonly listFile?: string;
}

/** Tables of one archive that could not be filled. */
export interface FailedRows {
  readonly stream: DataStream;
  readonly issues: readonly RestoreIssue[];
}

/**
 * Fills the tables; resolves with those that it could not. Throws what broke a stream, the reader's own error as it is.
 */
export async function restoreData(
  target: RestoreTarget,
  reader: ArtifactReader,
  streams: readonly DataStream[],
  jobs: number,
  context: RunContext,
): Promise<readonly FailedRows[]> {
  const progress = meter(streams, context);
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const failed: FailedRows[] = [];
  await using inlets = new Inlets();
  const restore = async (stream: DataStream): Promise<void> => {
    try {
      const issues = await restoreStream(target, reader, stream, inlets, progress, { ...context, signal });
      if (issues.length > 0) failed.push({ stream, issues });
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  };
  const biggestFirst = streams.toSorted((a, b) => b.bytes - a.bytes);
  try {
    await forEachSideBySide(biggestFirst, jobs, restore, signal);
  } finally {
    // An interrupt is why, whatever broke of it.
    context.signal.throwIfAborted();
  }
  return failed;
}

/** Fills only those, once more. Throws `integrity` naming every table that lost rows. */
export async function retryData(
  target: RestoreTarget,
  reader: ArtifactReader,
  failed: readonly FailedRows[],
  writeIds: (ids: readonly number[]) => Promise<string>,
  context: RunContext,
): Promise<void> {
  const left: RestoreIssue[] = [];
  for (const { stream, issues } of failed) {
    const listFile = await writeIds(issues.flatMap(({ tocId }) => tocId ?? []));
    const again = await restoreData(target, reader, [{ ...stream, listFile }], 1, context);
    left.push(...again.flatMap((each) => each.issues));
  }
  if (left.length > 0) throw restoreFailure('data', left);
}

async function restoreStream(
  target: RestoreTarget,
  reader: ArtifactReader,
  stream: DataStream,
  inlets: Inlets,
  onBytes: (bytes: number) => void,
  context: RunContext,
): Promise<RestoreIssue[]> {
  const list = stream.listFile === undefined ? [] : ['--use-list', stream.listFile];
  const start = (stdin: number, signal: AbortSignal): Promise<RestoreRun> =>
    startRestore(target, ['--section=data', ...list], stdin, signal);
  return judge(await runFed(inlets, start, reader.open(stream.artifact), onBytes, context.signal), 'data', context);
}

/**
 * Starts a program and writes all chunks into it; resolves when it has them, for the caller to await its result. Where
 * they end in a fault the program is ended, and the fault thrown.
 */
export async function runFed<Run extends { readonly tool: RunningTool }>(
  inlets: Inlets,
  start: (stdin: number, signal: AbortSignal) => Promise<Run>,
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Run> {
  const cut = new AbortController();
  const { tool: run, inlet } = await inlets.into((stdin) => start(stdin, AbortSignal.any([signal, cut.signal])));
  try {
    await feed(inlet, run.tool.result, chunks, onBytes, signal);
    return run;
  } catch (error) {
    cut.abort(error);
    await run.tool.result.catch(() => {});
    throw error;
  }
}

/**
 * Writes all chunks, at the pace of the program. Where that ends first with success (it need not read an archive's very
 * end), the rest is still read, so that all of it is authenticated. After a fault of theirs its input is left open, and
 * the program must be ended: it would take the end of its input for the end of the archive.
 */
export async function feed(
  inlet: Inlet,
  result: Promise<unknown>,
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    const { byteLength } = chunk;
    if (!(await inlet.write(chunk)) && !(await endedWell(result))) break;
    onBytes(byteLength);
  }
  await inlet.close();
}

/** False for errors too: the judgement on the run reports them. */
async function endedWell(result: Promise<unknown>): Promise<boolean> {
  try {
    return ((await result) as { exitCode: number }).exitCode === 0;
  } catch {
    return false;
  }
}

/** Tells of progress five times a second at most. */
function meter(streams: readonly DataStream[], context: RunContext): (bytes: number) => void {
  const totalBytes = streams.reduce((sum, { bytes }) => sum + bytes, 0);
  let readBytes = 0;
  let toldAt = 0;
  return (bytes) => {
    readBytes += bytes;
    const now = performance.now();
    if (now - toldAt < 200 && readBytes < totalBytes) return;
    toldAt = now;
    context.emit({ type: 'progress', component: 'postgres', readBytes, newBytes: 0, storedBytes: 0, totalBytes });
  };
}
