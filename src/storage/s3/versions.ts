/**
 * Removing for good from a bucket that keeps versions, where a plain DELETE only hides. Every version is deleted by
 * its id; an object of which object lock retains one is left as it is, to be found again by a later cleanup.
 */
import { DeleteObjectCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../../config/config.ts';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { pathOf } from './client.ts';
import { judge } from './errors.ts';
import { listVersions } from './history.ts';
import type { ObjectVersion, RetainedObject } from '../storage.ts';

export interface RemoveVersionsOptions {
  /** Only objects whose newest version is a delete marker. */
  readonly hiddenOnly: boolean;
  readonly objectLock: boolean;
  /** The second argument of the SDK's send(). */
  readonly request: { abortSignal?: AbortSignal };
}

const sideBySide = 8;

/** Throws the SDK's errors. */
export async function removeAllVersions(
  client: S3Client,
  s3: S3Location,
  keys: readonly string[],
  options: RemoveVersionsOptions,
): Promise<RetainedObject[]> {
  const retained: RetainedObject[] = [];
  await forEachSideBySide(keys, sideBySide, async (key) => {
    const versions = await versionsOf(client, s3, key, options);
    const kept = await removeOne(client, { Bucket: s3.bucket, Key: pathOf(s3, key) }, versions, options);
    if (kept !== undefined) retained.push({ key, untilMs: kept.untilMs });
  });
  return retained;
}

interface Place {
  readonly Bucket: string;
  readonly Key: string;
}

async function removeOne(
  client: S3Client,
  place: Place,
  versions: readonly ObjectVersion[],
  { hiddenOnly, objectLock, request }: RemoveVersionsOptions,
): Promise<{ readonly untilMs: number | undefined } | undefined> {
  if (hiddenOnly && versions[0]?.isMarker !== true) return undefined;
  const stored = versions.filter(({ isMarker }) => !isMarker);
  for (const { id } of objectLock ? stored : []) {
    const lock = await lockOf(client, place, id, request);
    if (lock !== undefined) return lock;
  }
  // Markers last: without them what they hide would show again.
  for (const { id } of [...stored.toReversed(), ...versions.filter(({ isMarker }) => isMarker)]) {
    await client.send(new DeleteObjectCommand({ ...place, VersionId: id }), request).catch((error: unknown) => {
      if (judge(error) !== 'absent') throw error;
    });
  }
  return undefined;
}

async function versionsOf(
  client: S3Client,
  s3: S3Location,
  key: string,
  { request }: RemoveVersionsOptions,
): Promise<readonly ObjectVersion[]> {
  for await (const found of listVersions(client, s3, key, undefined, request)) {
    if (found.key === key) return found.versions;
  }
  return [];
}

/** Undefined: it may go. */
async function lockOf(
  client: S3Client,
  place: Place,
  id: string,
  request: { abortSignal?: AbortSignal },
): Promise<{ readonly untilMs: number | undefined } | undefined> {
  const head = await client.send(new HeadObjectCommand({ ...place, VersionId: id }), request);
  if (head.ObjectLockLegalHoldStatus === 'ON') return { untilMs: undefined };
  const untilMs = head.ObjectLockRetainUntilDate?.getTime() ?? 0;
  return untilMs > Date.now() ? { untilMs } : undefined;
}
