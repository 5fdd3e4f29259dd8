/**
 * How large the snapshot of a server may become on this host: never so large that the disk is full, and not beyond what
 * the server has said of its memory, since a replication stream or a value may be without end.
 */
import { statfs } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { numberIn, type InfoFields } from './server-info.ts';

export interface SnapshotLimit {
  readonly bytes: number;
  /** What is thrown when it is passed: `space` (15) or `source` (13). */
  exceeded(): LifeboatError;
}

/** An RDB is rarely larger than what it holds is in memory; some data may come between the question and the copy. */
const timesMemory = 4;
const moreBytes = 1024 * 1024 * 1024;

/** `info` with the section memory; `folder` takes the file. */
export async function snapshotLimit(endpoint: RedisEndpoint, info: InfoFields, folder: string): Promise<SnapshotLimit> {
  const room = await roomIn(folder);
  const used = numberIn(info, 'used_memory');
  const claimed = used === undefined ? Infinity : timesMemory * used + moreBytes;
  return room <= claimed
    ? { bytes: room, exceeded: () => noRoom(folder, room) }
    : { bytes: claimed, exceeded: () => tooLarge(endpoint, claimed, used ?? 0) };
}

/** Bytes that may be written to a folder: a twentieth of what is free stays so, for whoever else writes there. */
export async function roomIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.floor(bavail * bsize * 0.95);
}

function noRoom(folder: string, room: number): LifeboatError {
  return new LifeboatError(
    'space',
    `no space left in the scratch folder for the Redis snapshot: more than ${formatBytes(room)} in ${folder}`,
    { hint: 'free some space there, or name another folder by TMPDIR' },
  );
}

function tooLarge({ text }: RedisEndpoint, limit: number, used: number): LifeboatError {
  return new LifeboatError(
    'source',
    `the snapshot of Redis at ${text} has more than ${formatBytes(limit)}, while its memory has ${formatBytes(used)}`,
    { hint: 'see that a Redis server listens there, and that nobody stands between' },
  );
}
