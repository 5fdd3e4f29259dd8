/** What an RDB file holds, in numbers: taken when a snapshot is made, and again before it is restored. */
import { createHash } from 'node:crypto';
import { LifeboatError } from '../../../lib/errors.ts';
import { KeyFingerprint } from './fingerprint.ts';
import type { RedisType } from './values.ts';
import type { RdbKey, RdbVisitor } from './walk.ts';
import { walkRdb } from './walk.ts';

export interface RdbDatabase {
  readonly db: number;
  keys: number;
  /** Keys that have an expiry. */
  expires: number;
  readonly types: Partial<Record<RedisType, number>>;
}

export interface RdbLibrary {
  readonly name: string;
  readonly sha256: string;
}

export interface RdbSummary {
  readonly version: number;
  readonly valkey: boolean;
  readonly crc: 'verified' | 'unverified';
  readonly bytes: number;
  readonly keys: number;
  readonly expires: number;
  /** By number. */
  readonly databases: readonly RdbDatabase[];
  /** By name. */
  readonly functions: readonly RdbLibrary[];
  /** 16 hex digits, see fingerprint.ts. */
  readonly fingerprint: string;
  /** Short auxiliary fields, such as redis-ver and ctime. */
  readonly aux: Readonly<Record<string, string>>;
}

/** All of these are held, so their number must not be what a file says. */
const maxDatabases = 100_000;
const maxFunctions = 100_000;

function tooMany(what: string, limit: number): LifeboatError {
  return new LifeboatError('integrity', `cannot read the Redis snapshot: it holds more than ${limit} ${what}`);
}

/** Walks through all of a file, checksum included, handing each key to `also` as well. Throws like walkRdb. */
export async function summarizeRdb(source: AsyncIterable<Uint8Array>, also: RdbVisitor = {}): Promise<RdbSummary> {
  const databases = new Map<number, RdbDatabase>();
  const functions: RdbLibrary[] = [];
  const aux: Record<string, string> = {};
  const fingerprint = new KeyFingerprint();
  let current: RdbDatabase | undefined;
  const end = await walkRdb(source, {
    onKey: (key) => {
      if (current?.db !== key.db) current = databaseOf(databases, key.db);
      countKey(current, key);
      fingerprint.add(key);
      return also.onKey?.(key);
    },
    onFunction: (library) => {
      if (functions.length >= maxFunctions) throw tooMany('function libraries', maxFunctions);
      functions.push({
        name: libraryName(library.code),
        sha256: createHash('sha256').update(library.code).digest('hex'),
      });
      also.onFunction?.(library);
    },
    onAux: (name, value) => {
      if (value.length <= 256 && Object.keys(aux).length < 64) aux[name] = value.toString('latin1');
      also.onAux?.(name, value);
    },
  });
  const list = [...databases.values()].sort((a, b) => a.db - b.db);
  return {
    ...end,
    keys: list.reduce((sum, database) => sum + database.keys, 0),
    expires: list.reduce((sum, database) => sum + database.expires, 0),
    databases: list,
    functions: functions.sort((a, b) => (a.name < b.name ? -1 : 1)),
    fingerprint: fingerprint.toString(),
    aux,
  };
}

function databaseOf(databases: Map<number, RdbDatabase>, db: number): RdbDatabase {
  let found = databases.get(db);
  if (found === undefined && databases.size >= maxDatabases) throw tooMany('databases', maxDatabases);
  if (found === undefined) databases.set(db, (found = { db, keys: 0, expires: 0, types: {} }));
  return found;
}

function countKey(database: RdbDatabase, key: RdbKey): void {
  database.keys++;
  if (key.expireAtMs !== undefined) database.expires++;
  database.types[key.type] = (database.types[key.type] ?? 0) + 1;
}

/** The name in a library's first line, `#!lua name=…`. */
export function libraryName(code: Buffer): string {
  const firstLine = code.toString('utf8', 0, Math.min(code.length, 1024)).split('\n')[0] ?? '';
  return /\sname=(\S+)/.exec(firstLine)?.[1] ?? '';
}
