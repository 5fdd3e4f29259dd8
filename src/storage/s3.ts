/** A repository in a bucket of S3 or of a compatible server. */
import type { S3Location } from '../config/config.ts';
import { StorageError, type Storage } from './storage.ts';

export async function openS3Storage(_location: S3Location, _options: { signal?: AbortSignal | undefined; idleTimeoutMs?: number | undefined }): Promise<Storage> {
  throw new StorageError('storage in a bucket is not built yet');
}
