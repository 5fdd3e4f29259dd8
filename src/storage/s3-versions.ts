/**
 * Removing for good from a bucket that keeps versions, where a plain DELETE only hides. Every version is deleted by
 * its id; an object of which object lock retains one is left as it is, to be found again by a later cleanup.
 */
import { DeleteObjectCommand, HeadObjectCommand, ListObjectVersionsCommand, type DeleteMarkerEntry, type ListObjectVersionsCommandOutput, type ObjectVersion, type S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../config/config.ts';
import { pathOf } from './s3-client.ts';
import { judge } from './s3-errors.ts';
import type { RetainedObject } from './storage.ts';

export interface RemoveVersionsOptions {
  /** Only objects whose newest version is a delete marker. */
  readonly hiddenOnly: boolean;
  readonly objectLock: boolean;
  /** The second argument of the SDK's send(). */
  readonly request: { abortSignal?: AbortSignal };
}

const sideBySide = 8;

interface Version {
  readonly id: string;
  readonly isMarker: boolean;
}

/** Throws the SDK's errors. */
export async function removeAllVersions(client: S3Client, s3: S3Location, keys: readonly string[], options: RemoveVersionsOptions): Promise<RetainedObject[]> {
  const retained: RetainedObject[] = [];
  const queue = keys.values();
  const worker = async (): Promise<void> => {
    for (const key of queue) {
      const kept = await removeOne(client, { Bucket: s3.bucket, Key: pathOf(s3, key) }, options);
      if (kept !== undefined) retained.push({ key, untilMs: kept.untilMs });
    }
  };
  await Promise.all(Array.from({ length: sideBySide }, worker));
  return retained;
}

interface Place {
  readonly Bucket: string;
  readonly Key: string;
}

async function removeOne(client: S3Client, place: Place, { hiddenOnly, objectLock, request }: RemoveVersionsOptions): Promise<{ readonly untilMs: number | undefined } | undefined> {
  const versions = await versionsOf(client, place, request);
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

/** Newest first. */
async function versionsOf(client: S3Client, { Bucket, Key }: Place, request: { abortSignal?: AbortSignal }): Promise<Version[]> {
  const found: (Version & { readonly isLatest: boolean; readonly at: number })[] = [];
  let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  while (next !== undefined) {
    const page: ListObjectVersionsCommandOutput = await client.send(new ListObjectVersionsCommand({ Bucket, Prefix: Key, ...next }), request);
    const add = (each: ObjectVersion | DeleteMarkerEntry, isMarker: boolean): void => {
      if (each.Key === Key) found.push({ id: each.VersionId ?? 'null', isMarker, isLatest: each.IsLatest === true, at: each.LastModified?.getTime() ?? 0 });
    };
    for (const each of page.Versions ?? []) add(each, false);
    for (const each of page.DeleteMarkers ?? []) add(each, true);
    next = page.IsTruncated === true && page.NextKeyMarker === Key ? { KeyMarker: page.NextKeyMarker, ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }) } : undefined;
  }
  return found.toSorted((a, b) => Number(b.isLatest) - Number(a.isLatest) || b.at - a.at);
}

/** Undefined: it may go. */
async function lockOf(client: S3Client, place: Place, id: string, request: { abortSignal?: AbortSignal }): Promise<{ readonly untilMs: number | undefined } | undefined> {
  const head = await client.send(new HeadObjectCommand({ ...place, VersionId: id }), request);
  if (head.ObjectLockLegalHoldStatus === 'ON') return { untilMs: undefined };
  const untilMs = head.ObjectLockRetainUntilDate?.getTime() ?? 0;
  return untilMs > Date.now() ? { untilMs } : undefined;
}
