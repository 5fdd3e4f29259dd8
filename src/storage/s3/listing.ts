/** The objects under a prefix, page by page, in the order of their keys. */
import { ListObjectsV2Command, type ListObjectsV2CommandOutput, type S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../../config/config.ts';
import { compareKeys, isKey } from '../key.ts';
import { pathOf } from './client.ts';
import { StorageError, type ObjectInfo } from '../storage.ts';

export interface Listing {
  readonly prefix: string;
  /** Keys up to this one are left out. */
  readonly after: string | undefined;
  /** What is listed, in errors. */
  readonly what: string;
  /** The second argument of the SDK's send(). */
  readonly request: { abortSignal?: AbortSignal };
}

/** As Storage.list. Throws the SDK's errors, and StorageError for a listing that makes no sense. */
export async function* listObjects(client: S3Client, s3: S3Location, listing: Listing): AsyncGenerator<ObjectInfo> {
  const { prefix, after, what, request } = listing;
  const place = { Bucket: s3.bucket, Prefix: pathOf(s3, prefix) };
  let last = after ?? '';
  let next: Next | undefined = after === undefined || after === '' ? {} : { StartAfter: pathOf(s3, after) };
  while (next !== undefined) {
    const page: ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({ ...place, ...next }),
      request,
    );
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      const key = Key?.slice(pathOf(s3, '').length) ?? '';
      if (!isKey(key) || compareKeys(key, after ?? '') <= 0) continue;
      if (compareKeys(key, last) <= 0) {
        throw new StorageError(`cannot list ${what}: the server does not list in order (${key} after ${last})`);
      }
      last = key;
      yield { key, sizeBytes: Size ?? 0, modifiedMs: LastModified?.getTime() ?? 0 };
    }
    next = following(page, what);
  }
}

interface Next {
  readonly StartAfter?: string;
  readonly ContinuationToken?: string;
}

function following({ IsTruncated, NextContinuationToken }: ListObjectsV2CommandOutput, what: string): Next | undefined {
  if (IsTruncated !== true) return undefined;
  if (NextContinuationToken === undefined) {
    throw new StorageError(`cannot list ${what}: the server does not say how to go on`);
  }
  return { ContinuationToken: NextContinuationToken };
}
