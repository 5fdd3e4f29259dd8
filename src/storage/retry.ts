/**
 * Rides out passing faults of the storage below: the same interface, each call repeated with growing
 * pauses until its budget is used up. Only errors marked retryable are repeated; refused credentials,
 * a full disk or an absent object fail at once. Calls may be repeated safely: writes are all or
 * nothing, and the storage below tells its own unfinished put from a stranger's object.
 */
import { LifeboatError, messageOf } from '../lib/errors.ts';
import { retry } from '../lib/retry.ts';
import { trackOutage, type Outage } from './outage.ts';
import type { ByteRange, ObjectHistory, PutOptions, RemoveOptions, Storage } from './storage.ts';

export interface StorageRetryOptions {
  /** How long to go on after the first failure of a call, in milliseconds. Default 75 s. */
  readonly budgetMs?: number | undefined;
  readonly firstPauseMs?: number | undefined;
  readonly maxPauseMs?: number | undefined;
  /** Aborting ends a pause at once, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Plain lines for an operator: when an outage begins, now and then while it lasts, and when it is over. */
  readonly onRetry?: ((message: string) => void) | undefined;
  /** One sentence for an operator when an earlier version of an object had to be used. */
  readonly onFallback?: ((message: string) => void) | undefined;
}

/** The same storage, with patience. */
export function withRetry(storage: Storage, options: StorageRetryOptions = {}): Storage {
  const outage = outageOf(options);
  const patiently = <T>(work: () => Promise<T>): Promise<T> => retryTransient(work, options, outage);
  const removeVersions = storage.removeVersions?.bind(storage);
  const extendRetention = storage.extendRetention?.bind(storage);
  return {
    location: storage.location,
    capabilities: storage.capabilities,
    put: (key: string, parts: readonly Uint8Array[], putOptions?: PutOptions) =>
      patiently(() => storage.put(key, parts, putOptions)),
    get: (key: string, range?: ByteRange) => patiently(() => storage.get(key, range)),
    stat: (key: string) => patiently(() => storage.stat(key)),
    list: (prefix: string, after?: string) => listPatiently((from) => storage.list(prefix, from), after, patiently),
    remove: (keys: readonly string[], removeOptions: RemoveOptions = {}) => {
      const { signal, ...others } = options;
      const patience = {
        ...others,
        ...(removeOptions.afterAbort === true ? {} : { signal }),
        ...(removeOptions.budgetMs === undefined ? {} : { budgetMs: removeOptions.budgetMs }),
      };
      return retryTransient(() => storage.remove(keys, removeOptions), patience, outage);
    },
    ...(removeVersions === undefined
      ? {}
      : {
          removeVersions: (keys: readonly string[], versionOptions?: { readonly hiddenOnly?: boolean }) =>
            patiently(() => removeVersions(keys, versionOptions)),
        }),
    ...(extendRetention === undefined
      ? {}
      : {
          extendRetention: (key: string, untilMs: number, sizeBytes?: number) =>
            patiently(() => extendRetention(key, untilMs, sizeBytes)),
        }),
    ...(storage.history === undefined
      ? {}
      : { history: patientHistory(storage.history, patiently, options.onFallback) }),
    space: () => patiently(() => storage.space()),
    removeStaleTemporaries: (olderThanMs: number) => patiently(() => storage.removeStaleTemporaries(olderThanMs)),
    close: () => storage.close(),
  };
}

/**
 * Repeats `work` while it fails with a LifeboatError marked retryable, within the budget. Calls of one `outage` are
 * told together.
 */
export async function retryTransient<T>(
  work: () => Promise<T>,
  options: StorageRetryOptions,
  outage: Outage = outageOf(options),
): Promise<T> {
  const call = outage();
  const isTransient = (error: unknown): boolean =>
    error instanceof LifeboatError && error.retryable && options.signal?.aborted !== true;
  try {
    const result = await retry(work, {
      budgetMs: options.budgetMs ?? 75_000,
      firstPauseMs: options.firstPauseMs ?? 250,
      maxPauseMs: options.maxPauseMs ?? 8000,
      isTransient,
      onRetry: (error, _, pauseMs) => call.failed(messageOf(error), pauseMs),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    call.ended(true);
    return result;
  } catch (error) {
    call.ended(!isTransient(error) && options.signal?.aborted !== true);
    throw error;
  }
}

function outageOf({ onRetry }: StorageRetryOptions): Outage {
  return trackOutage((message) => onRetry?.(message));
}

type Patiently = <T>(work: () => Promise<T>) => Promise<T>;

/** Each object's fallback is told once. */
function patientHistory(
  history: ObjectHistory,
  patiently: Patiently,
  onFallback: ((message: string) => void) | undefined,
): ObjectHistory {
  const told = new Set<string>();
  return {
    list: (prefix, after) => listPatiently((from) => history.list(prefix, from), after, patiently),
    get: (key, versionId, range) => patiently(() => history.get(key, versionId, range)),
    fellBack: (message) => {
      history.fellBack(message);
      if (!told.has(message)) onFallback?.(message);
      told.add(message);
    },
  };
}

/** Goes on after the last key given; each key that arrives starts a new budget. */
async function* listPatiently<T extends { readonly key: string }>(
  list: (after: string | undefined) => AsyncIterable<T>,
  after: string | undefined,
  patiently: Patiently,
): AsyncGenerator<T> {
  let last = after;
  let source: AsyncIterator<T> | undefined;
  const next = async (): Promise<IteratorResult<T>> => {
    source ??= list(last)[Symbol.asyncIterator]();
    try {
      return await source.next();
    } catch (error) {
      source = undefined;
      throw error;
    }
  };
  try {
    for (let item = await patiently(next); item.done !== true; item = await patiently(next)) {
      last = item.value.key;
      yield item.value;
    }
  } finally {
    await source?.return?.();
  }
}
