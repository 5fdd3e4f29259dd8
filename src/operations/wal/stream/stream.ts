/**
 * `lifeboat wal stream`: a receiver of a cluster's write-ahead log, for a repository that is seconds behind its server
 * without archive_command. It goes on until it is stopped, through every outage of the server or the storage. Nothing
 * is dropped on the way: the slot keeps what was not received, the folder what was not shipped.
 */
import { join } from 'node:path';
import type { LoadedConfig } from '../../../config/load.ts';
import { exitCodeWarnings, LifeboatError, messageOf } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { acquireLease } from '../../../repository/leases/acquire.ts';
import { findReceiver, readServer } from '../../../source/postgres/server/receiver.ts';
import { collectLeftovers, withRepository } from '../../open-repository.ts';
import { chooseTarget } from '../../targets.ts';
import { expectSystem } from '../expected-system.ts';
import { walStreamDefaults, type WalStreamOptions, type WalStreamReport, type WalStreamRequest } from '../request.ts';
import { gapBefore } from './gap-before.ts';
import { pauseUntil, Trouble } from './trouble.ts';
import { keepReceiving } from './receive.ts';
import { keepReporting, reportOf } from './report.ts';
import { Shipper } from './ship.ts';
import { orDropSlot, removeSlot, renewSlot, withSlot, type StreamRun } from './slot.ts';
import { StreamSpool } from './spool.ts';
import { refuseUnknownMajor } from '../../../source/postgres/wal/known-majors.ts';
import { timelineOf } from '../../../source/postgres/wal/file-name.ts';
import type { Operation } from '../../operation.ts';
import { given, targetNeeds } from '../../complete.ts';

/** What is still to be shipped when it is stopped may take so long. */
const graceMs = 20_000;
/** A call to the storage goes on so long before the outage is told; then it is tried anew. */
const retryBudgetMs = 20_000;
const lookMs = 200;
const maxPauseMs = 30_000;

/** What was in the way while it ran is over; what is not in the repository now is worth an exit code. */
export const walStreamOperation: Operation<WalStreamOptions, WalStreamRequest, WalStreamReport> = {
  need: targetNeeds,
  complete: (options, { confirm }) => ({ ...walStreamDefaults, confirm, ...given(options) }),
  run: walStream,
  exitCode: ({ warnings }) => (warnings.length > 0 ? exitCodeWarnings : 0),
};

export async function walStream(
  loaded: LoadedConfig,
  request: WalStreamRequest,
  context: RunContext,
): Promise<WalStreamReport> {
  refuseBadName(request.slot);
  const target = chooseTarget(loaded, request.target);
  const url = target.postgres?.url;
  if (url === undefined) {
    throw new LifeboatError('usage', `target ${target.name} has no PostgreSQL`, { hint: 'set DATABASE_URL' });
  }
  if (request.dropSlot) return removeSlot(loaded, { ...request, target: target.name, url }, context);
  collectLeftovers(loaded, context);
  const found = await readServer(url, request.slot, context.signal);
  refuseUnknownMajor(found.serverMajor);
  // The storage is needed a little longer than the run: for the last of the log, and to give the lease back.
  const work = new AbortController();
  const stop = (): void => void setTimeout(() => work.abort(context.signal.reason), graceMs).unref();
  context.signal.addEventListener('abort', stop, { once: true });
  try {
    return await withRepository(
      loaded,
      quietly(work.signal, context),
      async (repository) => {
        await expectSystem(repository, {
          stateDir: loaded.config.stateDir,
          cluster: target.name,
          systemId: found.systemId,
          accept: request.acceptNewSystem,
        });
        const program = await findReceiver(found.serverMajor);
        // Only now: a slot on a wrong server would fill its disk.
        const server = await withSlot(found, url, request, context);
        const progress = { hasStreamed: false };
        const run = { loaded, request, repository, server, url, target: target.name, program, progress };
        const stream = async (): Promise<WalStreamReport> => underLease(run, context);
        return found.slot === undefined ? orDropSlot(run, stream, context) : stream();
      },
      { retryBudgetMs },
    );
  } finally {
    context.signal.removeEventListener('abort', stop);
  }
}

function refuseBadName(slot: string): void {
  if (/^[a-z0-9_]{1,63}$/.test(slot)) return;
  throw new LifeboatError('usage', `"${slot}" is not a valid name for a replication slot`, {
    hint: 'small letters, digits and underscores, at most 63',
  });
}

/** Outages of the storage are told by Trouble, so that what each call says of them is for a debug log. */
function quietly(signal: AbortSignal, { emit }: RunContext): RunContext {
  return { signal, emit: (event) => emit(event.type === 'step' ? { ...event, type: 'debug' } : event) };
}

/** Streams as long as the lease holds; one that was lost in a long outage of the storage is taken anew. */
async function underLease(run: StreamRun, context: RunContext): Promise<WalStreamReport> {
  const { repository, server, request } = run;
  for (let wasHeld = false; ;) {
    const lost = new AbortController();
    try {
      await using _ = await acquireLease(repository.storage, {
        scope: `wal-${server.systemId}`,
        command: 'wal stream',
        signal: context.signal,
        onLost: (error) => lost.abort(error),
      });
      wasHeld = true;
      return await stream(run, lost.signal, context);
    } catch (error) {
      if (context.signal.aborted || !(error instanceof LifeboatError)) throw error;
      if (!wasHeld && request.skipIfRunning && error.code === 'locked') {
        return reportOf(run, undefined, { state: 'skipped', spoolBytes: 0 });
      }
      const isStillAway = wasHeld && error.code === 'storage' && error.retryable;
      if (!lost.signal.aborted && !isStillAway) throw error;
      context.emit({
        type: lost.signal.aborted ? 'warning' : 'debug',
        component: 'wal',
        message: `${messageOf(error)}; taking it again`,
      });
      await pauseUntil(5000, context.signal);
    }
  }
}

async function stream(run: StreamRun, lost: AbortSignal, context: RunContext): Promise<WalStreamReport> {
  const { loaded, request, repository, server } = run;
  const { systemId, segmentBytes } = server;
  const { config } = loaded;
  const spool = new StreamSpool(
    join(config.stateDir, 'repositories', repository.repositoryId, 'wal-stream', systemId),
    segmentBytes,
  );
  const shipper = new Shipper({
    repository,
    spool,
    systemId,
    segmentBytes,
    compression: config.compression,
    jobs: config.jobs,
    emit: context.emit,
  });
  await spool.prepare();
  if (request.acceptGap) {
    await shipper.pass(true);
    await spool.clear();
    await renewSlot(run, context);
  }
  await begin(run, shipper, spool, context);
  const failed = await keepAll(run, shipper, spool, lost, context);
  lost.throwIfAborted();
  // Also after a failure: what was received by then is worth as much.
  const warnings = await shipLast(shipper, spool);
  failed.throwIfAborted();
  for (const message of warnings) context.emit({ type: 'warning', component: 'wal', message });
  return { ...reportOf(run, shipper, { state: 'ended', spoolBytes: await spool.bytes() }), warnings };
}

/** Says from where on, and what is missing before it. */
async function begin(
  { request, repository, server }: StreamRun,
  shipper: Shipper,
  spool: StreamSpool,
  { emit }: RunContext,
): Promise<void> {
  const { first, gap } = await gapBefore(repository, server, await spool.list());
  if (first !== undefined) await shipper.adopt(timelineOf(first), first);
  if (gap !== undefined) emit({ type: 'warning', component: 'wal', message: gap });
  emit({
    type: 'step',
    component: 'wal',
    message:
      `streaming the log of cluster ${server.systemId} by slot ${request.slot} to ${repository.storage.location}, ` +
      `from ${first ?? 'where the slot begins'} on`,
  });
}

/** Until it is stopped, the lease is lost, or one of the three fails: that is the reason of the signal it gives. */
async function keepAll(
  run: StreamRun,
  shipper: Shipper,
  spool: StreamSpool,
  lost: AbortSignal,
  context: RunContext,
): Promise<AbortSignal> {
  const trouble = new Trouble(context.emit);
  const failed = new AbortController();
  const until = AbortSignal.any([context.signal, lost, failed.signal]);
  const orStop = async (loop: Promise<void>): Promise<void> => {
    await loop.catch((error: unknown) => failed.abort(error));
  };
  await Promise.all([
    orStop(keepReceiving(run, spool, trouble, until, context)),
    orStop(keepShipping(shipper, run.request, trouble, until)),
    orStop(keepReporting(run, { shipper, spool, trouble }, until, context)),
  ]);
  return failed.signal;
}

/** What could not be shipped, as warnings. */
async function shipLast(shipper: Shipper, { folder }: StreamSpool): Promise<string[]> {
  try {
    await shipper.pass(true);
    return [];
  } catch (error) {
    const where = `it is in ${folder}, and the next start ships it`;
    return [`the last of the log that was received is not in the repository: ${messageOf(error)}; ${where}`];
  }
}

/** Ships what comes; an outage of the storage is waited out. Rejects only for what no waiting would heal. */
async function keepShipping(
  shipper: Shipper,
  { intervalMs }: WalStreamRequest,
  trouble: Trouble,
  until: AbortSignal,
): Promise<void> {
  let pauseMs = lookMs;
  for (let growingAt = 0; !until.aborted; await pauseUntil(pauseMs, until)) {
    const isDue = performance.now() >= growingAt;
    try {
      const startedAt = performance.now();
      await shipper.pass(isDue);
      if (isDue) growingAt = startedAt + intervalMs;
      pauseMs = lookMs;
      trouble.over('storage');
    } catch (error) {
      if (until.aborted) return;
      if (!(error instanceof LifeboatError) || !['storage', 'space', 'not_found'].includes(error.code)) throw error;
      pauseMs = Math.min(Math.max(1000, 2 * pauseMs), maxPauseMs);
      trouble.is('storage', `what is received cannot be shipped, and waits on this host: ${messageOf(error)}`);
    }
  }
}
