/**
 * A repository as it was: every object in the version that was the newest one at a moment, what was deleted since
 * included, without what was written since. Nothing of it can be changed; only leases, and the audit log of those
 * who read, belong to the present.
 */
import { LifeboatError } from '../lib/errors.ts';
import {
  NotFoundError,
  StorageError,
  type ObjectHistory,
  type ObjectInfo,
  type ObjectVersion,
  type Storage,
} from '../storage/storage.ts';

const present = /^(locks|audit)\//;
/** Packs are read piece by piece; a version is looked for once. */
const maxRemembered = 10_000;

/**
 * The storage as it was at `atMs` (milliseconds since 1970). Throws LifeboatError `usage` where no versions are kept.
 */
export function asOf(storage: Storage, atMs: number): Storage {
  const { history: whole, location, capabilities } = storage;
  if (whole === undefined) {
    throw new LifeboatError('usage', `${storage.location} keeps no earlier versions: the past cannot be read`, {
      hint: '--as-of needs a bucket with versioning',
    });
  }
  const history = until(whole, atMs);
  const find = versionFinder(history, location);
  const changeable = (keys: readonly string[]): void => {
    const key = keys.find((each) => !present.test(each));
    if (key !== undefined) {
      throw new StorageError(
        `cannot change ${key} in ${location}: it is read as it was at ${new Date(atMs).toISOString()}`,
      );
    }
  };
  return {
    location,
    capabilities: { ...capabilities, objectLock: false },
    history,
    put: async (key, parts, options) => {
      changeable([key]);
      return storage.put(key, parts, options);
    },
    get: async (key, range) =>
      present.test(key) ? storage.get(key, range) : history.get(key, (await find(key)).id, range),
    stat: async (key) => (present.test(key) ? storage.stat(key) : infoOf(key, await find(key))),
    list: (prefix, after) => (present.test(prefix) ? storage.list(prefix, after) : listPast(history, prefix, after)),
    remove: async (keys, options) => {
      changeable(keys);
      return storage.remove(keys, options);
    },
    space: () => storage.space(),
    removeStaleTemporaries: async () => [],
    close: () => storage.close(),
  };
}

/** Without what came later. */
function until(history: ObjectHistory, atMs: number): ObjectHistory {
  return {
    list: async function* (prefix, after) {
      for await (const { key, versions } of history.list(prefix, after)) {
        const then = versions.filter(({ modifiedMs }) => modifiedMs <= atMs);
        if (then.length > 0) yield { key, versions: then };
      }
    },
    get: (key, versionId, range) => history.get(key, versionId, range),
    fellBack: (message) => history.fellBack(message),
  };
}

function versionFinder(history: ObjectHistory, location: string): (key: string) => Promise<ObjectVersion> {
  const known = new Map<string, ObjectVersion | undefined>();
  return async (key) => {
    if (!known.has(key)) {
      if (known.size >= maxRemembered) known.clear();
      known.set(key, await newestOf(history, key));
    }
    const version = known.get(key);
    if (version === undefined) throw new NotFoundError(location, key);
    return version;
  };
}

async function newestOf(history: ObjectHistory, key: string): Promise<ObjectVersion | undefined> {
  for await (const found of history.list(key)) if (found.key === key) return shown(found.versions);
  return undefined;
}

async function* listPast(
  history: ObjectHistory,
  prefix: string,
  after: string | undefined,
): AsyncGenerator<ObjectInfo> {
  for await (const { key, versions } of history.list(prefix, after)) {
    const version = shown(versions);
    if (version !== undefined) yield infoOf(key, version);
  }
}

function shown([newest]: readonly ObjectVersion[]): ObjectVersion | undefined {
  return newest === undefined || newest.isMarker ? undefined : newest;
}

function infoOf(key: string, { sizeBytes, modifiedMs }: ObjectVersion): ObjectInfo {
  return { key, sizeBytes, modifiedMs };
}
