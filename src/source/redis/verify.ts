/**
 * Is what the target holds what the snapshot holds? Counts, a sample of types and expiry, values where DEBUG is
 * allowed, functions.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { RedisConnection } from './connection.ts';
import type { RdbKey } from './rdb/walk.ts';
import { summarizeFile } from './rdb-file.ts';
import { isRefusal } from './errors.ts';
import { listIn, textsIn } from './replies.ts';

/** A few keys to look up one by one. */
export interface SampleKey {
  readonly db: number;
  readonly key: Buffer;
  readonly type: RdbKey['type'];
  readonly expireAtMs: number | undefined;
}

const sampleSize = 1000;
const maxSampleKeyBytes = 4096;

/** Picks about a thousand keys spread over the file. */
export class KeySample {
  readonly keys: SampleKey[] = [];
  readonly #every: number;
  #seen = 0;

  /** `expectedKeys`: how many will be offered, as far as known. */
  constructor(expectedKeys: number) {
    this.#every = Math.max(1, Math.ceil(expectedKeys / sampleSize));
  }

  offer(key: RdbKey): void {
    if (this.#seen++ % this.#every !== 0 || key.key.length > maxSampleKeyBytes || this.keys.length >= 2 * sampleSize) {
      return;
    }
    this.keys.push({ db: key.db, key: Buffer.from(key.key), type: key.type, expireAtMs: key.expireAtMs });
  }
}

/** How a key was compared. */
export interface SampleResult {
  readonly compared: number;
  /** How many values were compared with `reference`'s; 0 where DEBUG is not allowed. */
  readonly values: number;
}

/**
 * Looks the sample up on the target; throws (integrity) if a type, an expiry or a value differs or a key is missing.
 */
export async function compareSample(
  target: RedisConnection,
  sample: readonly SampleKey[],
  reference?: RedisConnection,
): Promise<SampleResult> {
  let compared = 0;
  let values = 0;
  let wrong = 0;
  let digests = reference !== undefined;
  for (const [db, keys] of Map.groupBy(sample, (each) => each.db)) {
    if (db !== 0) await Promise.all([target.call('SELECT', db), reference?.call('SELECT', db)]);
    for (let at = 0; at < keys.length; at += 100) {
      const some = keys.slice(at, at + 100);
      const checks = await Promise.all(some.map((key) => isAsRecorded(target, key)));
      compared += some.length;
      wrong += checks.filter((good) => !good).length;
      if (!digests || reference === undefined) continue;
      const equal = await equalDigests(target, reference, some);
      if (equal === undefined) digests = false;
      else {
        values += some.length;
        wrong += some.length - equal;
      }
    }
    if (db !== 0) await Promise.all([target.call('SELECT', 0), reference?.call('SELECT', 0)]);
  }
  if (wrong > 0) throw differs(`${wrong} of ${compared} sampled keys are not as the backup has them`);
  return { compared, values };
}

async function isAsRecorded(target: RedisConnection, key: SampleKey): Promise<boolean> {
  const [type, ttl, nowMs] = await Promise.all([
    target.call('TYPE', key.key),
    target.call('PTTL', key.key),
    serverTimeMs(target),
  ]);
  if (typeof ttl !== 'number') return false;
  if (key.expireAtMs !== undefined && key.expireAtMs <= nowMs) return ttl === -2 || ttl >= 0;
  if (key.type === 'module' ? type === 'none' : type !== key.type) return false;
  // PTTL and TIME are read one after the other: 1 s covers what lies between.
  return key.expireAtMs === undefined ? ttl === -1 : ttl >= 0 && Math.abs(nowMs + ttl - key.expireAtMs) < 1000;
}

async function equalDigests(
  target: RedisConnection,
  reference: RedisConnection,
  keys: readonly SampleKey[],
): Promise<number | undefined> {
  const names = keys.map(({ key }) => key);
  try {
    const [there = [], here = []] = (
      await Promise.all([
        target.call('DEBUG', 'DIGEST-VALUE', ...names),
        reference.call('DEBUG', 'DIGEST-VALUE', ...names),
      ])
    ).map(textsIn);
    return there.filter((digest, n) => digest === here[n]).length;
  } catch (error) {
    if (error instanceof LifeboatError && isRefusal(error.cause ?? error)) return undefined;
    throw error;
  }
}

/** Names of the function libraries, sorted; undefined where the server has none or does not tell. */
export async function functionNames(connection: RedisConnection): Promise<string[] | undefined> {
  try {
    const libraries = listIn(await connection.call('FUNCTION', 'LIST')).map(listIn);
    return libraries.map((fields) => String(fields[fields.indexOf('library_name') + 1])).sort();
  } catch {
    return undefined;
  }
}

/** How many keys of a file are alive at a moment (ms since 1970), by database. */
export async function countLiveKeys(path: string, atMs: number, context: RunContext): Promise<Map<number, number>> {
  const live = new Map<number, number>();
  await summarizeFile(path, context, {
    onKey: (key) => {
      if (key.expireAtMs === undefined || key.expireAtMs > atMs) live.set(key.db, (live.get(key.db) ?? 0) + 1);
    },
  });
  return live;
}

/** The server's clock in ms since 1970: it, not ours, decides what has expired. */
export async function serverTimeMs(connection: RedisConnection): Promise<number> {
  const [seconds, micros] = textsIn(await connection.call('TIME'));
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

/** The restored data is not what it should be. */
export function differs(what: string): LifeboatError {
  return new LifeboatError('integrity', `the restored Redis is not what the backup holds: ${what}`, {
    state: 'the data was restored, but is not proven',
    hint: 'see that no client writes to the target during a restore, then repeat it',
  });
}
