/** What a bucket can do, asked once when it is opened. */
import { GetBucketVersioningCommand, GetObjectLockConfigurationCommand, type S3Client } from '@aws-sdk/client-s3';
import { unlessRefused } from './errors.ts';

export interface BucketAbilities {
  /** Old versions of objects are (or were) kept. */
  readonly versions: boolean;
  readonly objectLock: boolean;
  /** How every new object is retained, e.g. "GOVERNANCE, 30 days"; undefined: it is not. */
  readonly defaultRetention: string | undefined;
  /** The server said that the bucket is there. */
  readonly seen: boolean;
}

/**
 * Credentials that may not ask, and servers that do not know the question, count as "no". Throws the SDK's error
 * otherwise.
 */
export async function probeBucket(
  client: S3Client,
  bucket: string,
  options: { abortSignal?: AbortSignal },
): Promise<BucketAbilities> {
  const [versioning, lock] = await Promise.all([
    unlessRefused(client.send(new GetBucketVersioningCommand({ Bucket: bucket }), options)),
    unlessRefused(client.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }), options)),
  ]);
  const retention = lock?.ObjectLockConfiguration?.Rule?.DefaultRetention;
  return {
    versions: versioning?.Status !== undefined,
    objectLock: lock?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled',
    defaultRetention:
      retention?.Mode === undefined
        ? undefined
        : `${retention.Mode}, ${retention.Years === undefined ? `${retention.Days} days` : `${retention.Years} years`}`,
    seen: versioning !== undefined || lock !== undefined,
  };
}
