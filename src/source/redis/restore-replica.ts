/**
 * Restore by the replica trick: a scratch server loads the snapshot, the target replicates it, and is made
 * a primary again. Exact (all databases, expiry, functions), quick, and the target's old data stays until
 * the whole snapshot has arrived. What is changed on the target for it is put back in every case.
 */
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { networkInterfaces } from 'node:os';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatBytes } from '../../lib/units.ts';
import type { RedisConnection } from './connection.ts';
import { connectRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { isLoopback } from './endpoint.ts';
import type { RdbSummary } from './rdb/summary.ts';
import { rdbVersionOf, whyNotLoadable } from './rdb-versions.ts';
import type { ScratchServer, ServerBinary } from './scratch-server.ts';
import { findServerBinaries, startScratchServer } from './scratch-server.ts';
import { readConfig, readInfo, readKeyspace } from './server-info.ts';
import type { TargetState } from './target.ts';
import type { SampleKey, SampleResult } from './verify.ts';
import { removeTargetNote, writeTargetNote, type TargetNote } from './target-note.ts';
import { compareSample, differs, functionNames } from './verify.ts';

/**
 * The target cannot be reached from its side, or does not take part; its data was not touched. A pipeline may still do.
 */
export class ReplicaImpossibleError extends LifeboatError {
  override readonly name = 'ReplicaImpossibleError';
}

export interface ReplicaPlan {
  readonly binary: ServerBinary;
  /** Where the target finds the scratch server. */
  readonly address: string;
  readonly bind: string | undefined;
}

export interface ReplicaRequest {
  readonly plan: ReplicaPlan;
  readonly endpoint: RedisEndpoint;
  readonly state: TargetState;
  readonly summary: RdbSummary;
  readonly folder: string;
  readonly fileName: string;
  readonly sample: readonly SampleKey[];
  /**
   * Where it is noted what is changed on the target, for the next run should this one be killed; undefined: nowhere.
   */
  readonly notesDir: string | undefined;
  /** Told the scratch server's replication id before the target hears of it. */
  readonly onSource: ((replicationId: string) => Promise<void>) | undefined;
}

export interface ReplicaResult {
  readonly restoredKeys: number;
  readonly expiredKeys: number;
  readonly sample: SampleResult;
}

/** Can it be done, and how? A string says why not; changes nothing. */
export async function planReplica(
  endpoint: RedisEndpoint,
  state: TargetState,
  file: { version: number; valkey: boolean },
  replicaAddress: string | undefined,
  context: RunContext,
): Promise<ReplicaPlan | string> {
  if (!state.controllable) {
    return 'the target does not allow CONFIG and REPLICAOF (a managed server, or a user without the rights)';
  }
  if (state.sentinel) return 'a Sentinel watches the target and would take it for a failure';
  if (replicaAddress === undefined && !isLoopback(endpoint)) {
    return 'the target is on another host: name an address of this host that it can reach (--replica-address)';
  }
  const binaries = await findServerBinaries(context);
  if (binaries.length === 0) return 'no redis-server is installed here';
  const binary = binaries.find(
    ({ version }) =>
      whyNotLoadable(file, version) === undefined && whyNotLoadable(writtenBy(version), state.version) === undefined,
  );
  if (binary === undefined) {
    return (
      `no redis-server is installed here that reads RDB version ${file.version} and that ${state.version.text} can ` +
      'replicate from'
    );
  }
  return { binary, address: replicaAddress ?? '127.0.0.1', bind: bindFor(replicaAddress) };
}

function writtenBy(version: ServerBinary['version']): { version: number; valkey: boolean } {
  const rdb = rdbVersionOf(version);
  return { version: rdb, valkey: rdb >= 80 };
}

/** An address of this host is bound itself; behind a name or NAT it has to be all of them (the password guards it). */
function bindFor(replicaAddress: string | undefined): string | undefined {
  if (replicaAddress === undefined || replicaAddress === '127.0.0.1') return undefined;
  const own = Object.values(networkInterfaces())
    .flat()
    .some((each) => each?.address === replicaAddress);
  if (own) return replicaAddress;
  return isIP(replicaAddress) === 6 ? '::' : '0.0.0.0';
}

/**
 * Carries it out; the target is a primary again when this returns or throws. Throws LifeboatError;
 * ReplicaImpossibleError if nothing was touched.
 */
export async function restoreByReplica(request: ReplicaRequest, context: RunContext): Promise<ReplicaResult> {
  const { plan, state, summary } = request;
  const databases = Math.max(state.databases ?? 16, (summary.databases.at(-1)?.db ?? 0) + 1);
  await using scratch = await startScratchServer(
    { ...plan, folder: request.folder, fileName: request.fileName, databases },
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

/** Sets what replication from the scratch server needs; gives what was there before. */
async function changeSettings(
  { endpoint, plan, notesDir }: ReplicaRequest,
  scratch: ScratchServer,
  context: RunContext,
): Promise<Map<string, string>> {
  await using target = await connectRedis(endpoint, context.signal);
  const wanted: readonly (readonly [string, string])[] = [
    ['masteruser', ''],
    ['masterauth', scratch.password.reveal()],
    ['tls-replication', 'no'],
    ['replica-read-only', 'yes'],
  ];
  const changes: TargetNote['settings'] = [];
  for (const [name, during] of wanted) {
    const old = await readConfig(target, name);
    if (old !== undefined && old !== during) changes.push({ name, before: old, during });
  }
  if (notesDir !== undefined) {
    await writeTargetNote(notesDir, {
      endpoint: endpoint.text,
      master: { host: plan.address, port: String(scratch.port) },
      settings: changes,
    });
  }
  const before = new Map<string, string>();
  try {
    for (const change of changes) {
      await target.call('CONFIG', 'SET', change.name, change.during);
      before.set(change.name, change.before);
    }
  } catch (error) {
    await putBack(endpoint, before);
    throw error;
  }
  return before;
}

/** Makes the target a primary and gives it its settings back; tries for 30 s, since the data rests on it. */
async function putBack(endpoint: RedisEndpoint, settings: ReadonlyMap<string, string>): Promise<void> {
  const giveUpAt = Date.now() + 30_000;
  for (;;) {
    try {
      await using target = await connectRedis(endpoint);
      await target.call('REPLICAOF', 'NO', 'ONE');
      for (const [name, value] of settings) await target.call('CONFIG', 'SET', name, value);
      return;
    } catch (error) {
      if (Date.now() < giveUpAt && error instanceof LifeboatError && error.retryable) {
        await sleep(500);
        continue;
      }
      throw new LifeboatError('source', `cannot make Redis at ${endpoint.text} a primary again`, {
        state:
          `it is still a replica of a server that is gone; its settings ${[...settings.keys()].join(', ')} may ` +
          'still be those of the restore',
        hint: 'run on it: redis-cli REPLICAOF NO ONE, and set masterauth and masteruser as they should be',
        cause: error,
      });
    }
  }
}

const firstContactMs = 10_000;
const stallMs = 120_000;

/** Waits until a full synchronisation is done and both are at the same offset. */
async function awaitSync(target: RedisConnection, scratch: ScratchServer, context: RunContext): Promise<void> {
  const begun = Date.now();
  let movedAt = begun;
  let last = '';
  for (;;) {
    context.signal.throwIfAborted();
    const here = await readInfo(scratch.connection, 'replication', 'stats', 'persistence');
    const there = await readInfo(target, 'replication', 'persistence');
    const synced = Number(here.get('sync_full') ?? 0) > 0;
    if (
      synced &&
      there.get('master_link_status') === 'up' &&
      there.get('master_sync_in_progress') === '0' &&
      there.get('loading') !== '1'
    ) {
      if (here.get('master_repl_offset') === there.get('slave_repl_offset')) return;
    }
    const now =
      [
        'master_sync_left_bytes',
        'master_sync_read_bytes',
        'loading_loaded_bytes',
        'slave_repl_offset',
        'master_link_status',
      ]
        .map((name) => there.get(name))
        .join() + String(here.get('current_save_keys_processed'));
    if (now !== last) movedAt = Date.now();
    last = now;
    if (!synced && Date.now() - begun > firstContactMs) {
      throw new ReplicaImpossibleError('source', `Redis at ${target.endpoint.text} cannot reach the scratch server`, {
        state: 'its data was not touched',
        hint:
          'name an address of this host that the target can reach by ' +
          '--replica-address, or use --redis-method commands',
      });
    }
    if (Date.now() - movedAt > stallMs) {
      throw new LifeboatError(
        'source',
        `the copy to Redis at ${target.endpoint.text} has not moved for ${stallMs / 1000} s`,
        { retryable: true },
      );
    }
    await sleep(100);
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
