/** Deleting objects: many in one request where the server knows how, one by one where it does not. */
import { DeleteObjectCommand, DeleteObjectsCommand, type S3Client } from '@aws-sdk/client-s3';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { judge } from './errors.ts';

const batchOf = 1000;
const singlesAtOnce = 8;

/** Remembers what the server of one bucket knows. */
export class ObjectRemover {
  readonly #client: S3Client;
  readonly #bucket: string;
  #knowsBatches = true;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  /** Absent objects are fine. `request`: the second argument of the SDK's send(). Throws the SDK's errors. */
  async remove(paths: readonly string[], request: { abortSignal?: AbortSignal }): Promise<void> {
    for (let from = 0; from < paths.length; from += batchOf) {
      await this.#removeSome(paths.slice(from, from + batchOf), request);
    }
  }

  async #removeSome(paths: readonly string[], request: { abortSignal?: AbortSignal }): Promise<void> {
    // One object alone (a lease) goes by itself: Ceph judges a batch by rights on the whole bucket, which a write-only
    // host has not.
    if (this.#knowsBatches && paths.length > 1) {
      if (await deleteBatch(this.#client, this.#bucket, paths, request)) return;
      this.#knowsBatches = false;
    }
    await forEachSideBySide(paths, singlesAtOnce, async (path) => this.#removeOne(path, request));
  }

  async #removeOne(path: string, request: { abortSignal?: AbortSignal }): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: path }), request);
    } catch (error) {
      if (judge(error) !== 'absent') throw error;
    }
  }
}

/**
 * Deletes up to 1,000 objects; absent ones are fine. False if the server does not take the request. Throws the SDK's
 * error, or one that looks like it for the first object that stays.
 */
async function deleteBatch(
  client: S3Client,
  bucket: string,
  paths: readonly string[],
  options: { abortSignal?: AbortSignal },
): Promise<boolean> {
  try {
    const answer = await client.send(
      new DeleteObjectsCommand({ Bucket: bucket, Delete: { Quiet: true, Objects: paths.map((Key) => ({ Key })) } }),
      options,
    );
    const kept = (answer.Errors ?? []).find(({ Code }) => Code !== 'NoSuchKey');
    // An InternalError of one object is as passing as one of the request.
    if (kept !== undefined) {
      throw Object.assign(new Error(kept.Message ?? ''), {
        name: kept.Code ?? '',
        $metadata: { httpStatusCode: statusOfCode[kept.Code ?? ''] ?? 400 },
      });
    }
    return true;
  } catch (error) {
    // A poor server answers 400 to what it does not understand; single deletes then tell what is really wrong.
    const fault = judge(error);
    if (fault === 'unsupported' || fault === 'other') return false;
    throw error;
  }
}

const statusOfCode: Readonly<Record<string, number>> = { InternalError: 500, ServiceUnavailable: 503 };
