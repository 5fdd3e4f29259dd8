/** Object lock: a version of an object cannot be deleted before a moment, which can be moved later but not earlier. */
import { PutObjectRetentionCommand, type ObjectLockRetentionMode, type S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../../config/config.ts';
import { objectOf } from './client.ts';
import { unlessRefused } from './errors.ts';
import { listVersions } from './history.ts';
import type { ObjectVersion } from '../storage.ts';

export interface ExtendLockOptions {
  /** Milliseconds since 1970. */
  readonly untilMs: number;
  /** Of an object that is written once; undefined: all its versions are meant. */
  readonly sizeBytes: number | undefined;
  /** The second argument of the SDK's send(). */
  readonly request: { abortSignal?: AbortSignal };
}

export function lockModeOf({ objectLock }: S3Location): ObjectLockRetentionMode {
  return objectLock?.mode === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE';
}

/**
 * False where the server does not allow it: no right to, no such object, or it is locked for longer in the other mode.
 * Throws the SDK's error otherwise.
 */
export async function extendLock(
  client: S3Client,
  s3: S3Location,
  key: string,
  { untilMs, sizeBytes, request }: ExtendLockOptions,
): Promise<boolean> {
  const versions = await versionsOf(client, s3, key, request);
  // Without the right to list versions only the newest can be meant.
  const ids = versions === undefined ? [undefined] : idsOf(versions, sizeBytes);
  if (ids.length === 0) return false;
  const retention = { Mode: lockModeOf(s3), RetainUntilDate: new Date(untilMs) };
  let all = true;
  for (const VersionId of ids) {
    const command = new PutObjectRetentionCommand({
      ...objectOf(s3, key),
      ...(VersionId === undefined ? {} : { VersionId }),
      Retention: retention,
    });
    all = (await unlessRefused(client.send(command, request))) !== undefined && all;
  }
  return all;
}

/** Which versions to lock; none where a reader would not find the object, or another one. Newest first, as listed. */
function idsOf(versions: readonly ObjectVersion[], sizeBytes: number | undefined): string[] {
  const [newest] = versions;
  if (sizeBytes === undefined) return versions.filter(({ isMarker }) => !isMarker).map(({ id }) => id);
  if (newest === undefined || newest.isMarker || newest.sizeBytes !== sizeBytes) return [];
  const oldest = versions.findLast((each) => !each.isMarker && each.sizeBytes === sizeBytes);
  return oldest === undefined ? [] : [oldest.id];
}

/** Newest first; undefined: these credentials may not ask. */
async function versionsOf(
  client: S3Client,
  s3: S3Location,
  key: string,
  request: { abortSignal?: AbortSignal },
): Promise<readonly ObjectVersion[] | undefined> {
  const listing = (async () => {
    for await (const found of listVersions(client, s3, key, undefined, request)) {
      if (found.key === key) return found.versions;
    }
    return [];
  })();
  return unlessRefused(listing);
}
