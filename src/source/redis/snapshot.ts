/**
 * The Redis source: one RDB file, spooled to a scratch folder, read and checked as a whole before its
 * first byte is handed on, and the facts about it. By replication where the server lets us, else by scan.
 */
import { removeFile } from '../../lib/held-files.ts';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { requireSpace } from '../../lib/fs.ts';
import { leftEarly, type Artifact, type ComponentFacts, type Source } from '../source.ts';
import { withRedis } from './connection.ts';
import type { RedisAddress, RedisEndpoint } from './endpoint.ts';
import { parseRedisUrl } from './endpoint.ts';
import type { RedisFacts } from './facts.ts';
import { probeRedis } from './probe.ts';
import type { RdbSummary } from './rdb/summary.ts';
import { judgeRdb } from './rdb-checkers.ts';
import { readPieces, summarizeFile } from './rdb-file.ts';
import { modeRefusal } from './errors.ts';
import { spoolByScan } from './scan.ts';
import { ReplicationRefusedError } from './replication-errors.ts';
import { openScratch } from './scratch.ts';
import { numberIn, readInfo } from './server-info.ts';
import type { ServerFacts } from './server-facts.ts';
import { readServerFacts } from './server-facts.ts';
import { snapshotLimit, type SnapshotLimit } from './snapshot-limit.ts';
import { spoolSnapshot } from './spool.ts';

export interface RedisSourceOptions extends RedisAddress {
  readonly method: 'auto' | 'replication' | 'scan';
  /** Where the snapshot is spooled; it needs about the size of the data set. */
  readonly scratchDir: string;
  /** So long without bytes ends a snapshot; default: 10 minutes. */
  readonly hangTimeoutMs?: number | undefined;
}

/** The name of the one artifact. */
export const redisArtifactName = 'dump.rdb';

/** A whole Redis server as something to back up. */
export function redisSource(options: RedisSourceOptions): Source {
  const endpoint = parseRedisUrl(options);
  let facts: RedisFacts | undefined;
  return {
    kind: 'redis',
    probe: (context) => probeRedis(endpoint, options.method, context),
    dump: (context, onHeld) => dump(endpoint, options, context, { onHeld, done: (complete) => (facts = complete) }),
    facts: async (): Promise<ComponentFacts> => {
      if (facts === undefined) throw leftEarly();
      return { kind: 'redis', facts };
    },
  };
}

async function* dump(
  endpoint: RedisEndpoint,
  options: RedisSourceOptions,
  context: RunContext,
  { onHeld, done }: { readonly onHeld: (() => void) | undefined; readonly done: (facts: RedisFacts) => void },
): AsyncGenerator<Artifact> {
  await using scratch = await openScratch(options.scratchDir);
  const path = join(scratch.path, redisArtifactName);
  const facts = await takeRedisSnapshot(
    { endpoint, method: options.method, path, folder: scratch.path, hangTimeoutMs: options.hangTimeoutMs },
    context,
  );
  onHeld?.();
  const body = oneReading(path, context.signal);
  yield {
    name: redisArtifactName,
    mediaType: 'application/x-redis-rdb',
    body: { from: 'stream', stream: body.stream },
  };
  // The next artifact may be asked for while this body is still read: the folder must not go before.
  await body.ended;
  context.signal.throwIfAborted();
  done(facts);
}

export interface SnapshotRequest {
  readonly endpoint: RedisEndpoint;
  readonly method: 'auto' | 'replication' | 'scan';
  /** The file to make (0600); must not exist. */
  readonly path: string;
  /** A private folder for what is needed meanwhile. */
  readonly folder: string;
  readonly hangTimeoutMs?: number | undefined;
}

/**
 * Makes a checked RDB file of all of a server. Throws LifeboatError: source (13), integrity (14), space (15), tool
 * (16).
 */
export async function takeRedisSnapshot(request: SnapshotRequest, context: RunContext): Promise<RedisFacts> {
  const { endpoint, path } = request;
  const startedAt = new Date();
  const { server, limit } = await withRedis(endpoint, context.signal, async (connection) => {
    const info = await readInfo(connection, 'server', 'memory', 'cluster');
    const refusal = modeRefusal(info, endpoint);
    if (refusal !== undefined) throw refusal;
    await requireSpace(request.folder, expectedBytes(info), 'the Redis snapshot');
    return { server: await readServerFacts(connection), limit: await snapshotLimit(endpoint, info, request.folder) };
  });
  const how = await spool(request, { server, limit }, context);
  const endedAt = new Date();
  const summary = await summarizeFile(path, context);
  const checkedBy = await judgeRdb(path, summary, context);
  const { size } = await stat(path);
  if (size !== summary.bytes) {
    throw new LifeboatError('integrity', 'the spooled Redis snapshot changed while it was read');
  }
  return factsOf({ server, summary, how, startedAt, endedAt, checkedBy });
}

type Spooled = Pick<RedisFacts, 'consistency' | 'scanReason' | 'vanishedKeys'>;

interface Known {
  readonly server: ServerFacts;
  readonly limit: SnapshotLimit;
}

async function spool(request: SnapshotRequest, { server, limit }: Known, context: RunContext): Promise<Spooled> {
  const { endpoint, method, path, folder, hangTimeoutMs } = request;
  const version = { flavour: server.flavour, version: server.serverVersion };
  // The spool is no part of the artifact's bytes, but a run in which it grows is not hung.
  const onBytes = (readBytes: number): void =>
    context.emit({ type: 'progress', component: 'redis', readBytes, newBytes: 0, storedBytes: 0 });
  let scanReason: string | undefined;
  if (method !== 'scan') {
    try {
      context.emit({
        type: 'step',
        component: 'redis',
        message: `taking a snapshot of Redis at ${endpoint.text} over replication`,
      });
      await spoolSnapshot(endpoint, { path, limit, hangTimeoutMs, version }, context, onBytes);
      return { consistency: 'snapshot' };
    } catch (error) {
      if (method !== 'auto' || !(error instanceof ReplicationRefusedError)) throw error;
      scanReason = error.message;
    }
  }
  const why = scanReason === undefined ? '' : ` (${scanReason})`;
  context.emit({
    type: 'step',
    component: 'redis',
    message: `reading Redis at ${endpoint.text} key by key; the copy is not of one moment${why}`,
  });
  await removeFile(path);
  const { vanishedKeys } = await spoolByScan(endpoint, { path, folder, limit }, context, onBytes);
  return { consistency: 'scan', vanishedKeys, ...(scanReason === undefined ? {} : { scanReason }) };
}

/**
 * Half of the data in memory: an RDB is rarely larger, often far smaller; running out of space later is told as such
 * too.
 */
function expectedBytes(info: ReadonlyMap<string, string>): number {
  return Math.ceil((numberIn(info, 'used_memory_dataset') ?? 0) / 2);
}

interface Parts {
  readonly server: ServerFacts;
  readonly summary: RdbSummary;
  readonly how: Spooled;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly checkedBy: RedisFacts['checkedBy'];
}

function factsOf({ server, summary, how, startedAt, endedAt, checkedBy }: Parts): RedisFacts {
  return {
    ...server,
    rdbVersion: summary.version,
    ...how,
    startedAt: startedAt.toISOString(),
    endedAt: endedAt.toISOString(),
    crc: summary.crc,
    checkedBy,
    artifact: redisArtifactName,
    bytes: summary.bytes,
    keys: summary.keys,
    expires: summary.expires,
    databases: summary.databases.map((database) => ({ ...database })),
    functions: [...summary.functions],
    keyFingerprint: { method: 'keys-1', value: summary.fingerprint },
  };
}

/** A file as a stream that tells when its reader has done with it, one way or the other. */
function oneReading(path: string, signal: AbortSignal): { stream: AsyncIterable<Uint8Array>; ended: Promise<void> } {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  const stream = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* readPieces(path, signal);
    } finally {
      resolve();
    }
  };
  return { stream: stream(), ended };
}
