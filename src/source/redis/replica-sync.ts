/** Watches a target while it copies a scratch server over replication, until both hold the same. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { RedisConnection } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import type { ScratchServer } from './scratch-server.ts';
import { readInfo } from './server-info.ts';

type Info = Awaited<ReturnType<typeof readInfo>>;

const firstContactMs = 10_000;
const stallMs = 120_000;

/**
 * The target cannot be reached from its side, or does not take part; its data was not touched. A pipeline may still do.
 */
export class ReplicaImpossibleError extends LifeboatError {
  override readonly name = 'ReplicaImpossibleError';
}

/**
 * Waits until a full synchronisation is done and both are at the same offset. Throws ReplicaImpossibleError when the
 * target has not begun one in time, LifeboatError `source` (may be tried again) when it does not move any more.
 */
export async function awaitSync(target: RedisConnection, scratch: ScratchServer, context: RunContext): Promise<void> {
  const begun = Date.now();
  let movedAt = begun;
  let last = '';
  for (;;) {
    context.signal.throwIfAborted();
    const here = await readInfo(scratch.connection, 'replication', 'stats', 'persistence');
    const there = await readInfo(target, 'replication', 'persistence');
    const synced = Number(here.get('sync_full') ?? 0) > 0;
    if (synced && isEqual(here, there)) return;
    const now = progressOf(here, there);
    if (now !== last) movedAt = Date.now();
    last = now;
    if (!synced && Date.now() - begun > firstContactMs) throw unreachable(target.endpoint);
    if (Date.now() - movedAt > stallMs) throw stalled(target.endpoint);
    await sleep(100);
  }
}

function isEqual(here: Info, there: Info): boolean {
  const isWhole =
    there.get('master_link_status') === 'up' &&
    there.get('master_sync_in_progress') === '0' &&
    there.get('loading') !== '1';
  return isWhole && here.get('master_repl_offset') === there.get('slave_repl_offset');
}

const movingFields = [
  'master_sync_left_bytes',
  'master_sync_read_bytes',
  'loading_loaded_bytes',
  'slave_repl_offset',
  'master_link_status',
];

/** Another text whenever something has moved. */
function progressOf(here: Info, there: Info): string {
  const fields = movingFields.map((name) => there.get(name));
  return fields.join() + String(here.get('current_save_keys_processed'));
}

function unreachable({ text }: RedisEndpoint): ReplicaImpossibleError {
  return new ReplicaImpossibleError('source', `Redis at ${text} cannot reach the scratch server`, {
    state: 'its data was not touched',
    hint: 'name an address of this host that the target can reach by --replica-address, or use --redis-method commands',
  });
}

function stalled({ text }: RedisEndpoint): LifeboatError {
  const message = `the copy to Redis at ${text} has not moved for ${stallMs / 1000} s`;
  return new LifeboatError('source', message, { retryable: true });
}
