/**
 * Which server can load which RDB file. Redis refuses files newer than itself; Valkey has kept version 11
 * until 9.0, where it went on from 80 with a magic of its own, and refuses what Redis wrote after 11.
 */
import type { ServerVersion } from './server-info.ts';

/** The RDB version that each release writes, newest first. */
const redisReleases: readonly (readonly [major: number, minor: number, rdb: number])[] = [
  [8, 8, 14],
  [8, 6, 13],
  [7, 4, 12],
  [7, 2, 11],
  [7, 0, 10],
  [5, 0, 9],
  [4, 0, 8],
  [3, 2, 7],
  [2, 6, 6],
];
const valkeyReleases: readonly (readonly [major: number, minor: number, rdb: number])[] = [
  [9, 2, 81],
  [9, 0, 80],
  [7, 2, 11],
];

/** The newest RDB version that a server writes and loads; for releases newer than this program a lower bound. */
export function rdbVersionOf(server: ServerVersion): number {
  const releases = server.flavour === 'valkey' ? valkeyReleases : redisReleases;
  return (
    releases.find(([major, minor]) => server.major > major || (server.major === major && server.minor >= minor))?.[2] ??
    5
  );
}

/** The first releases that load a file, for hints: "Redis 8.6 or newer". */
export function whatLoads(file: { readonly version: number; readonly valkey: boolean }): string {
  const firstOf = (make: string, releases: typeof redisReleases): string[] => {
    const first = releases.findLast(([, , rdb]) => rdb >= file.version);
    return first === undefined ? [] : [`${make} ${first[0]}.${first[1]}`];
  };
  const makes = [
    ...(file.valkey ? [] : firstOf('Redis', redisReleases)),
    ...(file.valkey || file.version <= foreignVersion ? firstOf('Valkey', valkeyReleases) : []),
  ];
  return makes.length === 0 ? 'a server of the same release as the backed up one' : `${makes.join(' or ')} or newer`;
}

/** The last version that Redis and Valkey share. */
const foreignVersion = 11;

/** Why a server cannot load a file, or undefined if it can (or if only trying will tell). */
export function whyNotLoadable(
  file: { readonly version: number; readonly valkey: boolean },
  server: ServerVersion,
): string | undefined {
  const writer = file.valkey ? 'Valkey' : 'Redis';
  const refusal = `a snapshot of RDB version ${file.version} (${writer}) cannot be loaded by ${server.text}`;
  if (server.flavour === 'redis') {
    // After 8.8 the table is only a lower bound.
    const open = server.major > 8 || (server.major === 8 && server.minor > 8);
    return file.valkey || (!open && file.version > rdbVersionOf(server)) ? refusal : undefined;
  }
  if (!file.valkey) return file.version > foreignVersion ? refusal : undefined;
  return server.major < 9 || (server.major === 9 && file.version > rdbVersionOf(server) && server.minor < 3)
    ? refusal
    : undefined;
}
