/** Opens the storage that a location names. The S3 client takes a tenth of a second to load: only for S3. */
import type { RepositoryLocation } from '../config/config.ts';
import { openLocalStorage } from './local/local.ts';
import { retryTransient, withRetry, type StorageRetryOptions } from './retry.ts';
import type { Storage } from './storage.ts';

export interface OpenStorageOptions {
  /**
   * Ends requests and pauses; they reject with its reason. What is to be done after an abort (releasing a lease) needs
   * a storage opened without it.
   */
  readonly signal?: AbortSignal | undefined;
  /** Plain lines for an operator: when an outage begins, now and then while it lasts, and when it is over. */
  readonly onRetry?: ((message: string) => void) | undefined;
  /** One sentence for an operator when an earlier version of an object had to be used. */
  readonly onFallback?: ((message: string) => void) | undefined;
  /** A missing root folder may be made (init). Default: a put into one is an error, the disk may not be mounted. */
  readonly create?: boolean | undefined;
  /** How long a call goes on after its first passing failure, in milliseconds. Default 75 s. */
  readonly retryBudgetMs?: number | undefined;
  /** A connection that moves no byte for so long is given up and tried anew, in milliseconds. Default 20 s. */
  readonly idleTimeoutMs?: number | undefined;
}

/**
 * Rejects with a StorageError (20) if a server or bucket does not answer, is not there or refuses the credentials;
 * a local folder is not looked at before the first call.
 */
export async function openStorage(location: RepositoryLocation, options: OpenStorageOptions = {}): Promise<Storage> {
  const retryOptions: StorageRetryOptions = {
    budgetMs: options.retryBudgetMs,
    signal: options.signal,
    onRetry: options.onRetry,
    onFallback: options.onFallback,
  };
  if (location.kind === 'local') {
    return withRetry(openLocalStorage(location.path, { create: options.create ?? false }), retryOptions);
  }
  if (location.kind === 'sftp') {
    const { openSftpStorage } = await import('./sftp/sftp.ts');
    const sftpOptions = { signal: options.signal, create: options.create, idleTimeoutMs: options.idleTimeoutMs };
    return withRetry(await retryTransient(() => openSftpStorage(location, sftpOptions), retryOptions), retryOptions);
  }
  const { openS3Storage } = await import('./s3/s3.ts');
  const s3Options = { signal: options.signal, idleTimeoutMs: options.idleTimeoutMs };
  return withRetry(await retryTransient(() => openS3Storage(location, s3Options), retryOptions), retryOptions);
}
