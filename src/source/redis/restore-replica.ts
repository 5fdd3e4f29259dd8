/**
 * Restore by the replica trick: a scratch server loads the snapshot, the target replicates it, and is made
 * a primary again. Exact (all databases, expiry, functions), quick, and the target's old data stays until
 * the whole snapshot has arrived. What is changed on the target for it is put back in every case.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { isolationOrNone } from '../../lib/isolation.ts';
import { formatBytes } from '../../lib/units.ts';
import type { RedisConnection } from './connection.ts';
import { connectRedis } from './connection.ts';
import type { RdbSummary } from './rdb/summary.ts';
import type { ReplicaSettingsRequest } from './replica-settings.ts';
import { changeSettings, putBack } from './replica-settings.ts';
import { awaitSync } from './replica-sync.ts';
import type { ScratchServer } from './scratch-server.ts';
import { startScratchServer } from './scratch-server.ts';
import { readInfo, readKeyspace } from './server-info.ts';
import type { TargetState } from './target.ts';
import { removeTargetNote } from './target-note.ts';
import type { SampleKey, SampleResult } from './verify.ts';
import { compareSample, differs, functionNames } from './verify.ts';

export interface ReplicaRequest extends ReplicaSettingsRequest {
  readonly state: TargetState;
  readonly summary: RdbSummary;
  readonly folder: string;
  readonly fileName: string;
  readonly sample: readonly SampleKey[];
  /** Told the scratch server's replication id before the target hears of it. */
  readonly onSource: ((replicationId: string) => Promise<void>) | undefined;
}

export interface ReplicaResult {
  readonly restoredKeys: number;
  readonly expiredKeys: number;
  readonly sample: SampleResult;
}

/**
 * Carries it out; the target is a primary again when this returns or throws. Throws LifeboatError;
 * ReplicaImpossibleError if nothing was touched.
 */
export async function restoreByReplica(request: ReplicaRequest, context: RunContext): Promise<ReplicaResult> {
  const { plan, state, summary } = request;
  const databases = Math.max(state.databases ?? 16, (summary.databases.at(-1)?.db ?? 0) + 1);
  await using scratch = await startScratchServer(
    {
      ...plan,
      bind: plan.bind ?? '127.0.0.1',
      folder: request.folder,
      fileName: request.fileName,
      databases,
      isolation: await isolationOrNone({ isolation: 'auto', user: undefined }),
    },
    context,
  );
  const counted = scratch.loadedKeys + scratch.expiredKeys;
  if (!Number.isNaN(counted) && counted !== summary.keys) {
    throw new LifeboatError(
      'integrity',
      `a scratch redis-server loaded ${counted} keys of ${summary.keys} in the snapshot`,
      { state: 'nothing was changed' },
    );
  }
  await refuseIfTooLarge(scratch, state);
  const sample = await synchronise(request, scratch, context);
  return {
    restoredKeys: Number.isNaN(counted) ? summary.keys : scratch.loadedKeys,
    expiredKeys: Number.isNaN(counted) ? 0 : scratch.expiredKeys,
    sample,
  };
}

/** Evictions (or refused writes) would begin at once. */
async function refuseIfTooLarge(scratch: ScratchServer, state: TargetState): Promise<void> {
  if (state.maxMemory === 0) return;
  const used = Number((await readInfo(scratch.connection, 'memory')).get('used_memory') ?? 0);
  if (used <= state.maxMemory) return;
  throw new LifeboatError(
    'space',
    `the snapshot needs ${formatBytes(used)} of memory, but maxmemory of the target is ${formatBytes(state.maxMemory)}`,
    { state: 'nothing was changed', hint: 'raise maxmemory on the target' },
  );
}

async function synchronise(
  request: ReplicaRequest,
  scratch: ScratchServer,
  context: RunContext,
): Promise<SampleResult> {
  const { endpoint } = request;
  await request.onSource?.((await readInfo(scratch.connection, 'replication')).get('master_replid') ?? '');
  const settings = await changeSettings(request, scratch, context);
  try {
    await using target = await connectRedis(endpoint, context.signal);
    context.emit({
      type: 'step',
      component: 'redis',
      message: `Redis at ${endpoint.text} copies the backup from a scratch server`,
    });
    await target.call('REPLICAOF', request.plan.address, scratch.port);
    await awaitSync(target, scratch, context);
    return await compareWithScratch(request, target, scratch);
  } catch (error) {
    throw await withState(error, request);
  } finally {
    // Its own connection, and no signal: this must be done even when the run is being stopped.
    await putBack(endpoint, settings);
    if (request.notesDir !== undefined) await removeTargetNote(request.notesDir, endpoint.text);
  }
}

/** While the target is still a read-only replica: nobody else can have changed it. */
async function compareWithScratch(
  request: ReplicaRequest,
  target: RedisConnection,
  scratch: ScratchServer,
): Promise<SampleResult> {
  for (let tries = 0; ; tries++) {
    const [here, there] = [await countsOf(scratch.connection), await countsOf(target)];
    if (here === there) break;
    // A key may have expired in between; the DEL for it is on its way.
    if (tries === 50) throw differs(`keys by database ${there} instead of ${here}`);
    await sleep(100);
  }
  const functions = (await functionNames(target)) ?? [];
  const wanted = request.summary.functions.map(({ name }) => name).sort();
  if (functions.join() !== wanted.join()) throw differs(`its function libraries are ${functions.join(', ') || 'none'}`);
  return compareSample(target, request.sample, scratch.connection);
}

async function countsOf(connection: RedisConnection): Promise<string> {
  return [...(await readKeyspace(connection))].map(([db, { keys }]) => `${db}:${keys}`).join(' ');
}

/** Says what the target holds now. */
async function withState(error: unknown, request: ReplicaRequest): Promise<unknown> {
  if (!(error instanceof LifeboatError) || error.state !== undefined) return error;
  return error.withState(await stateNow(request));
}

async function stateNow({ endpoint, state }: ReplicaRequest): Promise<string> {
  try {
    await using target = await connectRedis(endpoint);
    const keys = [...(await readKeyspace(target)).values()].reduce((sum, each) => sum + each.keys, 0);
    return keys === state.keys
      ? 'the target holds its old data'
      : `the target holds ${keys} keys, not its old ${state.keys}: take the safety snapshot to go back`;
  } catch {
    return 'the target does not answer';
  }
}
