/**
 * Restore of a Redis backup into a running server. The snapshot is brought here and proven whole before
 * the target hears of it; what is there is saved first; success is reported when the data is compared
 * and on the target's disk. Into a stopped server: see place.ts.
 */
import { open } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ArtifactReader } from '../source.ts';
import { connectRedis, withRedis } from './connection.ts';
import type { Durability } from './durable.ts';
import { awaitDurable } from './durable.ts';
import type { RedisAddress, RedisEndpoint } from './endpoint.ts';
import { parseRedisUrl } from './endpoint.ts';
import type { RedisFacts } from './facts.ts';
import { type FetchedSnapshot, fetchSnapshot } from './fetch-snapshot.ts';
import { compileGlob } from './glob.ts';
import { whatLoads, whyNotLoadable } from './rdb-versions.ts';
import type { ReplicaPlan } from './replica-plan.ts';
import { planReplica } from './replica-plan.ts';
import { ReplicaImpossibleError } from './replica-sync.ts';
import { restoreByReplica } from './restore-replica.ts';
import { restoreByPipeline } from './restore-pipeline.ts';
import { openScratch } from './scratch.ts';
import { redisArtifactName, takeRedisSnapshot } from './snapshot.ts';
import type { TargetState } from './target.ts';
import { inspectTarget } from './target.ts';
import { compareSample, KeySample } from './verify.ts';

export interface RedisRestoreRequest {
  readonly reader: ArtifactReader;
  readonly facts: RedisFacts;
  readonly target: RedisAddress;
  /** auto: replica where it can be done, else pipeline. */
  readonly method: 'auto' | 'replica' | 'pipeline';
  /** A pattern as KEYS takes it: only these keys, by pipeline; functions are left alone. */
  readonly keys?: string | undefined;
  /**
   * The caller has the operator's word that what is in the target may go. Without it a target that holds keys is
   * refused (18).
   */
  readonly replace: boolean;
  /** An address of this host that the target can reach, for the replica method on another host. */
  readonly replicaAddress?: string | undefined;
  /**
   * What to do first with a target that holds keys: a path for an RDB file (must not exist), a callback, or nothing.
   */
  readonly safetySnapshot: string | ((endpoint: RedisEndpoint, context: RunContext) => Promise<void>) | undefined;
  readonly scratchDir: string;
  /**
   * Replica method: told before the target hears of it, the replication id of what it copies; one that has all of it
   * shows that id as its own or its second.
   */
  readonly onSource?: ((replicationId: string) => Promise<void>) | undefined;
  /** Where changes of a target's settings are noted until they are taken back; see recoverTarget. */
  readonly notesDir?: string | undefined;
}

export interface RedisRestoreReport {
  readonly method: 'replica' | 'pipeline';
  /** Why it was not the replica method, where that was wanted. */
  readonly methodReason: string | undefined;
  /** False: clients saw keys appear one by one. */
  readonly atomic: boolean;
  readonly restoredKeys: number;
  /** In the backup, but expired by now. */
  readonly expiredKeys: number;
  /** Keys of the target that the backup does not have (pipeline); the replica method removes all of them. */
  readonly removedKeys: number;
  readonly functions: readonly string[];
  /** Keys looked up one by one, and how many of their values were compared. */
  readonly comparedKeys: number;
  readonly comparedValues: number;
  readonly durable: Durability;
  /** The target's keys before. */
  readonly keysBefore: number;
  /** The file with the target's data before, if one was asked for and made. */
  readonly safetySnapshot: string | undefined;
}

/**
 * Restores. Throws LifeboatError: integrity, source, tool, space, confirmation; its `state` says what the target holds.
 */
export async function restoreRedis(request: RedisRestoreRequest, context: RunContext): Promise<RedisRestoreReport> {
  const endpoint = parseRedisUrl(request.target);
  if (request.keys !== undefined && request.method === 'replica') {
    throw new LifeboatError('usage', 'chosen keys cannot be restored by the replica method', {
      hint: 'use --redis-method commands',
    });
  }
  const state = await withRedis(endpoint, context.signal, inspectTarget);
  if (state.keys > 0 && !request.replace && request.keys === undefined) throw notEmpty(endpoint, state);
  refuseVersion({ version: request.facts.rdbVersion, valkey: request.facts.rdbVersion >= 80 }, state);
  await using scratch = await openScratch(request.scratchDir);
  const snapshot = await fetchSnapshot(request, scratch.path, context);
  const { summary } = snapshot;
  refuseVersion(summary, state);
  const safetySnapshot = state.keys > 0 ? await saveTarget(request, endpoint, scratch.path, context) : undefined;
  const work: Work = { request, endpoint, state, folder: scratch.path, ...snapshot };
  const done = await run(work, context);
  const durable = await withRedis(endpoint, context.signal, (connection) =>
    awaitDurable(connection, state, done.method === 'replica', context),
  );
  return {
    ...done,
    atomic: done.method === 'replica',
    durable,
    keysBefore: state.keys,
    safetySnapshot,
    functions: request.keys === undefined ? summary.functions.map(({ name }) => name) : [],
  };
}

interface Work extends FetchedSnapshot {
  readonly request: RedisRestoreRequest;
  readonly endpoint: RedisEndpoint;
  readonly state: TargetState;
  readonly folder: string;
}

type Done = Pick<
  RedisRestoreReport,
  'method' | 'methodReason' | 'restoredKeys' | 'expiredKeys' | 'removedKeys' | 'comparedKeys' | 'comparedValues'
>;

async function run(work: Work, context: RunContext): Promise<Done> {
  const { request, endpoint, state, summary } = work;
  if (request.method === 'pipeline' || request.keys !== undefined) return pipeline(work, undefined, context);
  const plan = await planReplica(endpoint, state, summary, request.replicaAddress, context);
  if (typeof plan !== 'string') {
    try {
      return await replica(work, plan, context);
    } catch (error) {
      if (request.method !== 'auto' || !(error instanceof ReplicaImpossibleError)) throw error;
      return pipeline(work, error.message, context);
    }
  }
  if (request.method === 'auto') return pipeline(work, plan, context);
  throw new LifeboatError(
    plan.startsWith('no redis-server') ? 'tool' : 'source',
    `cannot restore by the replica method: ${plan}`,
    { state: 'nothing was changed', hint: 'use --redis-method commands' },
  );
}

async function replica(work: Work, plan: ReplicaPlan, context: RunContext): Promise<Done> {
  const { state, sample } = work;
  if (state.replicas > 0) {
    context.emit({
      type: 'step',
      component: 'redis',
      message: `the ${state.replicas} replicas of the target will copy the restored data too`,
    });
  }
  const { sample: compared, ...done } = await restoreByReplica(
    {
      ...work,
      notesDir: work.request.notesDir,
      onSource: work.request.onSource,
      plan,
      fileName: redisArtifactName,
      sample: sample.keys,
    },
    context,
  );
  return {
    ...done,
    method: 'replica',
    methodReason: undefined,
    removedKeys: state.keys,
    comparedKeys: compared.compared,
    comparedValues: compared.values,
  };
}

async function pipeline(work: Work, methodReason: string | undefined, context: RunContext): Promise<Done> {
  const { request, endpoint } = work;
  const why = methodReason === undefined ? '' : `: ${methodReason}`;
  context.emit({ type: 'step', component: 'redis', message: `restoring key by key, which is not atomic${why}` });
  const matches = request.keys === undefined ? undefined : chosenKeys(request.keys, work.holdsWanted);
  const sample = new KeySample(work.summary.keys);
  const done = await restoreByPipeline({ ...work, matches, replace: request.replace, sample }, context);
  await using target = await connectRedis(endpoint, context.signal);
  const compared = await compareSample(target, sample.keys);
  return {
    ...done,
    method: 'pipeline',
    methodReason,
    comparedKeys: compared.compared,
    comparedValues: compared.values,
  };
}

/** What is the name of a key is that key, and no pattern. */
function chosenKeys(keys: string, isName: boolean): (key: Uint8Array) => boolean {
  if (!isName) return compileGlob(keys);
  const name = Buffer.from(keys);
  return (key) => name.equals(key);
}

function refuseVersion(file: { version: number; valkey: boolean }, state: TargetState): void {
  const why = whyNotLoadable(file, state.version);
  if (why !== undefined) {
    throw new LifeboatError('tool', why, { state: 'nothing was changed', hint: `restore into ${whatLoads(file)}` });
  }
}

function notEmpty(endpoint: RedisEndpoint, state: TargetState): LifeboatError {
  return new LifeboatError(
    'confirmation',
    `Redis at ${endpoint.text} holds ${state.keys} keys, which the restore would replace`,
    { state: 'nothing was changed', hint: 'confirm it, or restore into an empty server' },
  );
}

async function saveTarget(
  request: RedisRestoreRequest,
  endpoint: RedisEndpoint,
  folder: string,
  context: RunContext,
): Promise<string | undefined> {
  const how = request.safetySnapshot;
  if (how === undefined) return undefined;
  context.emit({ type: 'step', component: 'redis', message: `saving what Redis at ${endpoint.text} holds now` });
  if (typeof how === 'function') {
    await how(endpoint, context);
    return undefined;
  }
  await takeRedisSnapshot({ endpoint, method: 'auto', path: how, folder }, context);
  await using file = await open(how, 'r');
  await file.sync();
  return how;
}
