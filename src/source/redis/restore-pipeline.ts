/**
 * Restore by RESTORE commands whose payloads are cut from the snapshot: for managed servers and for chosen
 * keys. Not atomic: clients see keys appear one by one. With `replace`, what was there is overwritten key
 * by key, and only at the end goes what the backup does not have, so that no key is ever missing meanwhile.
 */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { BulkConnection } from './bulk-connection.ts';
import type { RedisConnection } from './connection.ts';
import { connectRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { KeyRestorer } from './key-restorer.ts';
import { KeySpool } from './key-spool.ts';
import { listKeys } from './list-keys.ts';
import { roomIn } from './snapshot-limit.ts';
import { Crc64 } from './rdb/crc64.ts';
import type { RdbSummary } from './rdb/summary.ts';
import type { RdbFunction } from './rdb/walk.ts';
import { FileWindow, summarizeFile } from './rdb-file.ts';
import type { TargetState } from './target.ts';
import type { KeySample } from './verify.ts';
import { countLiveKeys, differs, serverTimeMs } from './verify.ts';
import { readKeyspace } from './server-info.ts';

export interface PipelineRequest {
  readonly endpoint: RedisEndpoint;
  readonly state: TargetState;
  readonly summary: RdbSummary;
  readonly path: string;
  /** For lists of keys meanwhile. */
  readonly folder: string;
  /** Undefined: all of the snapshot. */
  readonly matches: ((key: Uint8Array) => boolean) | undefined;
  readonly replace: boolean;
  readonly sample: KeySample;
}

export interface PipelineResult {
  readonly restoredKeys: number;
  /** Not restored: they had expired by the target's clock. */
  readonly expiredKeys: number;
  /** Keys of the target that the backup does not have. */
  readonly removedKeys: number;
}

/** Carries it out. An error's `state` says how far it came. */
export async function restoreByPipeline(request: PipelineRequest, context: RunContext): Promise<PipelineResult> {
  await using control = await connectRedis(request.endpoint, context.signal);
  await using bulk = await BulkConnection.open(request.endpoint, context.signal);
  await using window = await FileWindow.open(request.path);
  await requireDatabases(control, request);
  const nowMs = await serverTimeMs(control);
  if (request.matches !== undefined && !request.replace) await refuseTakenKeys(control, request, nowMs, context);
  const whole = request.matches === undefined;
  const old = whole && request.replace ? await listOldKeys(control, request, context) : new Map<number, KeySpool>();
  const restorer = new KeyRestorer({ bulk, window, rdbVersion: request.summary.version, replace: request.replace });
  const kept = new Map([...old.keys()].map((db) => [db, new KeySpool(request.folder, `new-${db}`)]));
  const functions: RdbFunction[] = [];
  let expiredKeys = 0;
  try {
    await summarizeFile(request.path, context, {
      onFunction: (library) => void functions.push({ ...library, code: Buffer.alloc(0) }),
      onKey: (key) => {
        if (request.matches?.(key.key) === false) return undefined;
        if (key.expireAtMs !== undefined && key.expireAtMs <= nowMs) {
          expiredKeys++;
          return undefined;
        }
        request.sample.offer(key);
        const spooled = kept.get(key.db)?.add(key.key);
        const sent = restorer.add(key);
        return spooled === undefined ? sent : Promise.all([sent, spooled]).then(() => undefined);
      },
    });
    await restorer.finish();
    if (whole) await restoreFunctions(control, window, functions, request);
    const removedKeys = await removeOthers(control, old, kept);
    if (whole) await checkCounts(control, request, context);
    return { restoredKeys: restorer.restored, expiredKeys, removedKeys };
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof LifeboatError) || error.state !== undefined) throw error;
    throw error.withState(
      `${restorer.restored} of ${request.summary.keys} keys were restored; repeating the restore with replacement ` +
        'completes it',
    );
  }
}

async function requireDatabases(control: RedisConnection, { summary }: PipelineRequest): Promise<void> {
  const highest = summary.databases.at(-1)?.db ?? 0;
  if (highest === 0) return;
  try {
    await control.call('SELECT', highest);
    await control.call('SELECT', 0);
  } catch (error) {
    throw new LifeboatError(
      'source',
      `the target has no database ${highest}, which the backup uses: ${messageOf(error)}`,
      { state: 'nothing was changed', hint: 'raise "databases" on the target', cause: error },
    );
  }
}

/** Before the first RESTORE: a later BUSYKEY would leave the work half done. */
async function refuseTakenKeys(
  control: RedisConnection,
  request: PipelineRequest,
  nowMs: number,
  context: RunContext,
): Promise<void> {
  let taken = 0;
  let db = 0;
  let batch: Buffer[] = [];
  const check = async (): Promise<void> => {
    if (batch.length > 0) taken += Number(await control.call('EXISTS', ...batch));
    batch = [];
  };
  await summarizeFile(request.path, context, {
    onKey: async (key) => {
      if (request.matches?.(key.key) === false || (key.expireAtMs ?? Infinity) <= nowMs) return;
      const copy = Buffer.from(key.key);
      if (key.db !== db || batch.length === 500) {
        await check();
        if (key.db !== db) await control.call('SELECT', (db = key.db));
      }
      batch.push(copy);
    },
  });
  await check();
  if (db !== 0) await control.call('SELECT', 0);
  if (taken > 0) {
    throw new LifeboatError('confirmation', `${taken} of the keys to restore are in the target already`, {
      state: 'nothing was changed',
      hint: 'confirm that they may be replaced',
    });
  }
}

/** What is there before the restore; what clients add later stays. */
async function listOldKeys(
  control: RedisConnection,
  request: PipelineRequest,
  context: RunContext,
): Promise<Map<number, KeySpool>> {
  const old = new Map<number, KeySpool>();
  for (const [db, { keys }] of request.state.keyspace) {
    const spool = new KeySpool(request.folder, `old-${db}`);
    await control.call('SELECT', db);
    await listKeys(control, spool, { expectedKeys: keys, maxBytes: await roomIn(request.folder) }, context);
    old.set(db, spool);
  }
  if (old.size > 0) await control.call('SELECT', 0);
  return old;
}

async function removeOthers(
  control: RedisConnection,
  old: ReadonlyMap<number, KeySpool>,
  kept: ReadonlyMap<number, KeySpool>,
): Promise<number> {
  let removed = 0;
  for (const [db, spool] of old) {
    await control.call('SELECT', db);
    for (let number = 0; number < KeySpool.partitionCount; number++) {
      const keep = (await kept.get(db)?.takePartition(number)) ?? new Set();
      const gone = [...(await spool.takePartition(number))]
        .filter((key) => !keep.has(key))
        .map((key) => Buffer.from(key, 'latin1'));
      for (let at = 0; at < gone.length; at += 500) {
        removed += Number(await control.call('UNLINK', ...gone.slice(at, at + 500)));
      }
    }
  }
  if (old.size > 0) await control.call('SELECT', 0);
  return removed;
}

/** What is held in memory of them. */
const maxFunctionsBytes = 64 * 1024 * 1024;

/** FUNCTION RESTORE takes the libraries as they stand in the file, a version and a checksum. */
async function restoreFunctions(
  control: RedisConnection,
  window: FileWindow,
  functions: readonly RdbFunction[],
  { summary, replace, state }: PipelineRequest,
): Promise<void> {
  if (functions.length === 0) {
    if (replace && state.version.major >= 7) await control.call('FUNCTION', 'FLUSH', 'SYNC');
    return;
  }
  const bytes = functions.reduce((sum, { length }) => sum + length, 0);
  if (bytes > maxFunctionsBytes) {
    throw new LifeboatError('integrity', `the function libraries of the snapshot have ${bytes} bytes, more than any`);
  }
  const parts: Buffer[] = [];
  for (const { offset, length } of functions) {
    for await (const piece of window.pieces(offset, length)) parts.push(Buffer.from(piece));
  }
  const version = Buffer.alloc(2);
  version.writeUInt16LE(summary.version);
  const body = Buffer.concat([...parts, version]);
  await control.call(
    'FUNCTION',
    'RESTORE',
    Buffer.concat([body, new Crc64().update(body).digest()]),
    replace ? 'FLUSH' : 'APPEND',
  );
}

/** Each database must hold at least what is alive now; INFO still counts some that have just expired. */
async function checkCounts(control: RedisConnection, request: PipelineRequest, context: RunContext): Promise<void> {
  const keyspace = await readKeyspace(control);
  const live = await countLiveKeys(request.path, await serverTimeMs(control), context);
  for (const [db, keys] of live) {
    const found = keyspace.get(db)?.keys ?? 0;
    if (found < keys) throw differs(`database ${db} holds ${found} keys instead of ${keys}`);
  }
}
