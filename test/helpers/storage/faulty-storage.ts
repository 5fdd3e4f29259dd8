/**
 * A storage that fails on command, at the n-th call of a method, before or after the call
 * took effect. So that what stands above can be shown to keep its promises at every call.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageError, type ObjectInfo, type Storage } from '../../../src/storage/storage.ts';

export type FaultyMethod = 'put' | 'get' | 'stat' | 'list' | 'remove';

export interface Fault {
  readonly method: FaultyMethod;
  /**
   * The first is 1. Counts calls of that method whose key (or prefix, or any key of a remove) matches `key`. A call of
   * list is one, whatever it yields.
   */
  readonly call: number;
  /** Only calls on keys that match. */
  readonly key?: RegExp;
  /** How many calls in a row fail; default 1. */
  readonly times?: number;
  /**
   * before: fails without effect; after: takes effect, then fails (an answer that was lost); delay: works, `delayMs`
   * later; cut: get rejects as an answer cut midway does, list fails after `cutAfter` objects, put and remove as
   * `before`.
   */
  readonly kind: 'before' | 'after' | 'delay' | 'cut';
  readonly delayMs?: number;
  readonly cutAfter?: number;
  /** What is thrown; default a StorageError that is retryable. */
  readonly error?: () => Error;
}

export interface FaultyStorage extends Storage {
  /** Calls so far, failed ones too, by method. */
  readonly calls: Readonly<Record<FaultyMethod, number>>;
}

/** The same storage with these faults. */
export function withFaults(storage: Storage, faults: readonly Fault[]): FaultyStorage {
  const calls = { put: 0, get: 0, stat: 0, list: 0, remove: 0 };
  const matched = new Map<Fault, number>();
  const faultOf = (method: FaultyMethod, keys: readonly string[]): Fault | undefined => {
    calls[method]++;
    let hit: Fault | undefined;
    for (const fault of faults) {
      if (fault.method !== method || !keys.some((key) => fault.key?.test(key) ?? true)) continue;
      const nth = (matched.get(fault) ?? 0) + 1;
      matched.set(fault, nth);
      if (nth >= fault.call && nth < fault.call + (fault.times ?? 1)) hit ??= fault;
    }
    return hit;
  };
  const call = <T>(method: FaultyMethod, keys: readonly string[], work: () => Promise<T>): Promise<T> =>
    suffer(faultOf(method, keys), work);
  return {
    calls,
    location: storage.location,
    capabilities: storage.capabilities,
    put: (key, parts, options) => call('put', [key], () => storage.put(key, parts, options)),
    get: (key, range) => call('get', [key], () => storage.get(key, range)),
    stat: (key) => call('stat', [key], () => storage.stat(key)),
    list: (prefix, after) => listFaulty(storage, prefix, after, faultOf('list', [prefix])),
    remove: (keys, options) => call('remove', keys, () => storage.remove(keys, options)),
    space: () => storage.space(),
    removeStaleTemporaries: (olderThanMs) => storage.removeStaleTemporaries(olderThanMs),
    close: () => storage.close(),
  };
}

async function suffer<T>(fault: Fault | undefined, work: () => Promise<T>): Promise<T> {
  if (fault === undefined) return work();
  if (fault.delayMs !== undefined) await sleep(fault.delayMs);
  if (fault.kind === 'before' || fault.kind === 'cut') throw errorOf(fault);
  const result = await work();
  if (fault.kind === 'after') throw errorOf(fault);
  return result;
}

async function* listFaulty(
  storage: Storage,
  prefix: string,
  after: string | undefined,
  fault: Fault | undefined,
): AsyncGenerator<ObjectInfo> {
  if (fault?.delayMs !== undefined) await sleep(fault.delayMs);
  if (fault?.kind === 'before') throw errorOf(fault);
  let given = 0;
  for await (const info of storage.list(prefix, after)) {
    if (fault?.kind === 'cut' && given === (fault.cutAfter ?? 0)) throw errorOf(fault);
    yield info;
    given++;
  }
  if (fault?.kind === 'after' || fault?.kind === 'cut') throw errorOf(fault);
}

function errorOf(fault: Fault): Error {
  return fault.error?.() ?? new StorageError(`injected fault: ${fault.kind} ${fault.method}`, { retryable: true });
}
