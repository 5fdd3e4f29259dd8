/**
 * Keeps pg_receivewal running: started anew with growing pauses when the server goes away, stopped while the folder is
 * full.
 */
import { LifeboatError, messageOf } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { formatBytes } from '../../../lib/units.ts';
import { parseLsn } from '../../../source/postgres/wal/lsn.ts';
import { segmentName, segmentNumber } from '../../../source/postgres/wal/file-name.ts';
import {
  createSlot,
  readServer,
  startReceiver,
  type ReceiverServer,
  type RunningReceiver,
} from '../../../source/postgres/server/receiver.ts';
import { checkSlot, type StreamRun } from './slot.ts';
import type { StreamSpool } from './spool.ts';
import { pauseUntil, type Trouble } from './trouble.ts';

const firstPauseMs = 1000;
const maxPauseMs = 30_000;
/** One that has run for so long was connected. */
const settledMs = 3000;
const watchMs = 1000;

/** Resolves once it was stopped and the child is gone; rejects for what no waiting would heal. */
export async function keepReceiving(
  run: StreamRun,
  spool: StreamSpool,
  trouble: Trouble,
  until: AbortSignal,
  context: RunContext,
): Promise<void> {
  const { progress } = run;
  for (let pauseMs = firstPauseMs; !until.aborted;) {
    const startedAt = performance.now();
    const hasSettled = (): boolean => performance.now() - startedAt >= settledMs;
    try {
      const now = await refuseOther(run, until);
      await spool.prepare();
      await seed(now, spool);
      await refuseRemoved(now, spool);
      const receiver = await startReceiver({
        url: run.url,
        slot: run.request.slot,
        program: run.program,
        folder: spool.folder,
      });
      context.emit({ type: 'debug', component: 'wal', message: `pg_receivewal runs as process ${receiver.pid}` });
      await watch(receiver, run, spool, until, () => {
        if (!hasSettled()) return;
        progress.hasStreamed = true;
        pauseMs = firstPauseMs;
        trouble.over('server');
      });
      if (!until.aborted) await waitForRoom(run, spool, trouble, until);
      continue;
    } catch (error) {
      if (until.aborted) return;
      if (isFinal(error, progress.hasStreamed)) {
        throw error instanceof LifeboatError && error.code === 'window' ? lostLog(error, run) : error;
      }
      trouble.is('server', `no log is received, the slot keeps it on the server: ${messageOf(error)}`);
    }
    await pauseUntil(pauseMs, until);
    pauseMs = Math.min(2 * pauseMs, maxPauseMs);
  }
}

/** Where an empty folder would not begin where the log does that the slot keeps, it is told to. */
async function seed(
  { serverMajor, slot, oldest, segmentBytes, timeline }: ReceiverServer,
  spool: StreamSpool,
): Promise<void> {
  if (slot?.restartLsn === undefined) return;
  const kept = parseLsn(slot.restartLsn) / BigInt(segmentBytes);
  const first = oldest === undefined ? kept : segmentNumber(`00000000${oldest}`, segmentBytes);
  // A receiver that asked for what was removed has set the slot back to there.
  if (serverMajor < 15 || first > kept) {
    await spool.seed(segmentName(timeline, (first > kept ? first : kept) - 1n, segmentBytes));
  }
}

/** Asking for it would set the slot back to where nothing is any more. */
async function refuseRemoved({ oldest, segmentBytes }: ReceiverServer, spool: StreamSpool): Promise<void> {
  const next = await spool.next();
  if (next === undefined || oldest === undefined || next >= segmentNumber(`00000000${oldest}`, segmentBytes)) return;
  throw new LifeboatError(
    'window',
    `the server no longer has the log that comes next: it begins with segment ${oldest}, and ` +
      `${segmentName(0, next, segmentBytes).slice(8)} is wanted`,
  );
}

/** Another server may answer there by now, and its slot may be gone. */
async function refuseOther({ url, request, server }: StreamRun, until: AbortSignal): Promise<ReceiverServer> {
  const now = await readServer(url, request.slot, until);
  if (now.systemId !== server.systemId) {
    throw new LifeboatError(
      'usage',
      `at the address of cluster ${server.systemId} another one answers now: ${now.systemId}`,
      {
        state: 'nothing of it was archived',
        hint: 'if it takes the place of the old one, start again with --accept-new-system',
      },
    );
  }
  if (now.slot === undefined && request.createSlot) {
    await createSlot(url, request.slot, until);
    return readServer(url, request.slot, until);
  }
  checkSlot(now, request.slot);
  return now;
}

/** Until it is stopped or the folder is full: resolves once the child is gone. Rejects when that ends by itself. */
async function watch(
  receiver: RunningReceiver,
  run: StreamRun,
  spool: StreamSpool,
  until: AbortSignal,
  onAlive: () => void,
): Promise<void> {
  const ended = new AbortController();
  const end = receiver.ended.finally(() => ended.abort());
  end.catch(() => {});
  const either = AbortSignal.any([until, ended.signal]);
  try {
    while (!either.aborted) {
      await pauseUntil(watchMs, either);
      if (either.aborted) break;
      onAlive();
      if ((await spool.bytes()) > mostBytes(run)) break;
    }
  } finally {
    if (!ended.signal.aborted) await receiver.stop();
  }
  await end;
}

/** The newest finished segment and the one that grows are always there, so it is four segments at least. */
function mostBytes({ request, server }: StreamRun): number {
  return Math.max(request.maxSpoolBytes, 4 * server.segmentBytes);
}

async function waitForRoom(run: StreamRun, spool: StreamSpool, trouble: Trouble, until: AbortSignal): Promise<void> {
  while (!until.aborted && (await spool.bytes()) > mostBytes(run) / 2) {
    trouble.is(
      'spool',
      `${formatBytes(mostBytes(run))} of log wait on this host to be shipped: what comes is left to the ` +
        'server for now',
    );
    await pauseUntil(watchMs, until);
  }
  trouble.over('spool');
}

/** At the start a wrong password or a missing right is told at once; later it may be somebody at work on the server. */
function isFinal(error: unknown, hasStreamed: boolean): boolean {
  if (!(error instanceof LifeboatError)) return true;
  if (['usage', 'window', 'tool'].includes(error.code)) return true;
  return !hasStreamed && !error.retryable;
}

function lostLog(error: LifeboatError, { request }: StreamRun): LifeboatError {
  if (error.hint !== undefined) return error;
  return new LifeboatError('window', error.message, {
    state: 'what is in the repository stays as it is, and ends where it ends',
    hint:
      `begin anew where the slot ${request.slot} begins: lifeboat wal stream ` +
      `${request.createSlot ? '--create-slot ' : ''}--accept-gap; and at once: lifeboat backup base`,
    cause: error,
  });
}
