/** Every version of objects in a bucket that keeps them, delete markers included. */
import {
  ListObjectVersionsCommand,
  type DeleteMarkerEntry,
  type ListObjectVersionsCommandOutput,
  type ObjectVersion as S3Version,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { S3Location } from '../../config/config.ts';
import { compareKeys, isKey } from '../key.ts';
import { pathOf } from './client.ts';
import { StorageError, type ObjectVersions } from '../storage.ts';

type Version = ObjectVersions['versions'][number] & { readonly isLatest: boolean };

/** As Storage.history.list. Throws the SDK's errors, and StorageError for a listing that makes no sense. */
export async function* listVersions(
  client: S3Client,
  s3: S3Location,
  prefix: string,
  after: string | undefined,
  request: { abortSignal?: AbortSignal },
): AsyncGenerator<ObjectVersions> {
  let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined =
    after === undefined || after === '' ? {} : { KeyMarker: pathOf(s3, after) };
  // The last key of a page may go on in the next one.
  let open: { readonly key: string; readonly found: Version[] } | undefined;
  while (next !== undefined) {
    const page: ListObjectVersionsCommandOutput = await client.send(
      new ListObjectVersionsCommand({ Bucket: s3.bucket, Prefix: pathOf(s3, prefix), ...next }),
      request,
    );
    for (const { key, found } of byKey(page, s3)) {
      if (open !== undefined && compareKeys(key, open.key) < 0) {
        throw new StorageError(
          `cannot list versions of ${prefix}: the server does not list in order (${key} after ${open.key})`,
        );
      }
      if (open?.key === key) open.found.push(...found);
      else {
        if (open !== undefined) yield finished(open);
        open = { key, found };
      }
    }
    next = following(page, prefix);
  }
  if (open !== undefined) yield finished(open);
}

/** The page's versions and markers, which the server tells apart, together by key. */
function byKey(page: ListObjectVersionsCommandOutput, s3: S3Location): { key: string; found: Version[] }[] {
  const keys = new Map<string, Version[]>();
  const add = (each: S3Version & DeleteMarkerEntry, isMarker: boolean): void => {
    const key = each.Key?.slice(pathOf(s3, '').length) ?? '';
    if (!isKey(key)) return;
    const found = keys.get(key) ?? [];
    keys.set(key, found);
    found.push({
      id: each.VersionId ?? 'null',
      isMarker,
      sizeBytes: each.Size ?? 0,
      modifiedMs: each.LastModified?.getTime() ?? 0,
      isLatest: each.IsLatest === true,
    });
  };
  for (const each of page.Versions ?? []) add(each, false);
  for (const each of page.DeleteMarkers ?? []) add(each, true);
  return [...keys].map(([key, found]) => ({ key, found })).toSorted((a, b) => compareKeys(a.key, b.key));
}

function following(
  page: ListObjectVersionsCommandOutput,
  prefix: string,
): { KeyMarker: string; VersionIdMarker?: string } | undefined {
  if (page.IsTruncated !== true) return undefined;
  if (page.NextKeyMarker === undefined) {
    throw new StorageError(`cannot list versions of ${prefix}: the server does not say how to go on`);
  }
  return {
    KeyMarker: page.NextKeyMarker,
    ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
  };
}

function finished({ key, found }: { readonly key: string; readonly found: readonly Version[] }): ObjectVersions {
  const versions = found.toSorted((a, b) => Number(b.isLatest) - Number(a.isLatest) || b.modifiedMs - a.modifiedMs);
  return {
    key,
    versions: versions.map(({ id, isMarker, sizeBytes, modifiedMs }) => ({ id, isMarker, sizeBytes, modifiedMs })),
  };
}
