/**
 * A repository in a bucket of S3 or of a compatible server. Plain PUT, GET, HEAD, LIST and DELETE only:
 * no multipart state to lose, nothing half-visible.
 */
import { GetObjectCommand, HeadBucketCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { checkKey, checkPrefix } from '../key.ts';
import { readBody, requireRange } from './body.ts';
import { probeBucket } from './bucket.ts';
import { createS3Client, objectOf, pathOf, requestOptions, type S3ClientOptions } from './client.ts';
import { ObjectRemover } from './delete.ts';
import { judge, s3Error } from './errors.ts';
import { listVersions } from './history.ts';
import { listObjects } from './listing.ts';
import { extendLock } from './lock.ts';
import { removeAllVersions } from './versions.ts';
import { S3Writer } from './writer.ts';
import {
  checkRange,
  maxObjectBytes,
  NotFoundError,
  TooShortError,
  type ByteRange,
  type ObjectInfo,
  type ObjectVersions,
  type PutOptions,
  type RemoveOptions,
  type RetainedObject,
  type Storage,
} from '../storage.ts';

export interface S3Options extends S3ClientOptions {
  /** Ends requests; they reject with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** For what is still to be done by a run that is being stopped. */
const lastActMs = 10_000;

/**
 * Asks the bucket once what it can do: rejects with a StorageError if it does not answer, is not there, or refuses the
 * credentials.
 */
export async function openS3Storage(location: S3Location, options: S3Options = {}): Promise<Storage> {
  const client = createS3Client(location, options);
  const name = `s3://${location.bucket}${location.prefix === '' ? '' : `/${location.prefix}`}`;
  try {
    await client.config.region().catch((error: unknown) => {
      throw new LifeboatError('usage', `cannot open ${name}: no region is configured`, {
        hint: "set BACKUP_S3_REGION to the bucket's region",
        cause: error,
      });
    });
    const bucket = await probeBucket(client, location.bucket, requestOptions(options.signal));
    return new S3Storage(client, location, name, bucket, options.signal);
  } catch (error) {
    client.destroy();
    throw s3Error(`cannot open ${name}`, error, options.signal);
  }
}

class S3Storage implements Storage {
  readonly location: string;
  readonly capabilities: Storage['capabilities'];
  readonly #client: S3Client;
  readonly #s3: S3Location;
  readonly #signal: AbortSignal | undefined;
  readonly #writer: S3Writer;
  readonly #remover: ObjectRemover;
  readonly removeVersions?: NonNullable<Storage['removeVersions']>;
  readonly extendRetention?: NonNullable<Storage['extendRetention']>;
  readonly history?: NonNullable<Storage['history']>;
  #bucketSeen: boolean;

  constructor(
    client: S3Client,
    s3: S3Location,
    name: string,
    bucket: Awaited<ReturnType<typeof probeBucket>>,
    signal: AbortSignal | undefined,
  ) {
    this.#client = client;
    this.#s3 = s3;
    this.#signal = signal;
    this.#bucketSeen = bucket.seen;
    this.location = name;
    this.#writer = new S3Writer(client, s3, name, signal, (key) => this.get(key));
    this.#remover = new ObjectRemover(client, s3.bucket);
    this.capabilities = {
      versions: bucket.versions,
      objectLock: bucket.objectLock,
      freeSpace: false,
      defaultRetention: bucket.defaultRetention,
    };
    if (bucket.objectLock) {
      this.extendRetention = async (key, untilMs, sizeBytes) => this.#extendRetention(key, untilMs, sizeBytes);
    }
    if (bucket.versions) {
      this.history = {
        list: (prefix, after) => this.#versions(prefix, after),
        get: async (key, VersionId, range) => this.#get(key, range, { VersionId }),
        fellBack: () => {},
      };
      this.removeVersions = async (keys, removing) => this.#removeVersions(keys, removing?.hiddenOnly === true);
    }
  }

  async put(key: string, parts: readonly Uint8Array[], options: PutOptions = {}): Promise<void> {
    checkKey(this.location, key);
    await this.#writer.put(key, parts, options);
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    return this.#get(key, range, {});
  }

  async #get(key: string, range: ByteRange | undefined, version: { readonly VersionId?: string }): Promise<Buffer> {
    checkKey(this.location, key);
    if (range !== undefined) {
      checkRange(key, range);
      if (range.start === range.end && version.VersionId === undefined) return this.#emptyRange(key, range);
    }
    const what = `${key} in ${this.location}`;
    const expected = range === undefined ? undefined : range.end - range.start;
    try {
      const part = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end - 1}` };
      const command = new GetObjectCommand({ ...objectOf(this.#s3, key), ...version, ...part });
      const answer = await this.#client.send(command, requestOptions(this.#signal));
      if (range !== undefined) requireRange(answer, range, what);
      return await readBody(answer.Body, answer.ContentLength ?? expected, maxObjectBytes, what);
    } catch (error) {
      const fault = judge(error);
      if (fault === 'absent') throw new NotFoundError(this.location, key, { cause: error });
      if (fault === 'range' && range !== undefined) throw new TooShortError(what, range);
      return this.#fail(`cannot read ${what}`, error);
    }
  }

  async stat(key: string): Promise<ObjectInfo> {
    checkKey(this.location, key);
    const act = `cannot look for ${key} in ${this.location}`;
    try {
      const head = await this.#client.send(
        new HeadObjectCommand(objectOf(this.#s3, key)),
        requestOptions(this.#signal),
      );
      return { key, sizeBytes: head.ContentLength ?? 0, modifiedMs: head.LastModified?.getTime() ?? 0 };
    } catch (error) {
      if (judge(error) !== 'absent') return this.#fail(act, error);
      await this.#requireBucket(act);
      throw new NotFoundError(this.location, key, { cause: error });
    }
  }

  async *list(prefix: string, after?: string): AsyncGenerator<ObjectInfo> {
    checkPrefix(this.location, prefix);
    const what = `${this.location}/${prefix}`;
    try {
      yield* listObjects(this.#client, this.#s3, { prefix, after, what, request: requestOptions(this.#signal) });
    } catch (error) {
      this.#fail(`cannot list ${what}`, error);
    }
  }

  async remove(keys: readonly string[], { afterAbort = false }: RemoveOptions = {}): Promise<void> {
    for (const key of keys) checkKey(this.location, key);
    const signal = afterAbort ? AbortSignal.timeout(lastActMs) : this.#signal;
    const paths = keys.map((key) => pathOf(this.#s3, key));
    try {
      await this.#remover.remove(paths, requestOptions(signal));
    } catch (error) {
      throw s3Error(`cannot remove objects from ${this.location}`, error, signal);
    }
  }

  async *#versions(prefix: string, after: string | undefined): AsyncGenerator<ObjectVersions> {
    checkPrefix(this.location, prefix);
    try {
      yield* listVersions(this.#client, this.#s3, prefix, after, requestOptions(this.#signal));
    } catch (error) {
      this.#fail(`cannot list versions in ${this.location}/${prefix}`, error);
    }
  }

  async #removeVersions(keys: readonly string[], hiddenOnly: boolean): Promise<RetainedObject[]> {
    for (const key of keys) checkKey(this.location, key);
    const { objectLock } = this.capabilities;
    const options = { hiddenOnly, objectLock, request: requestOptions(this.#signal) };
    try {
      return await removeAllVersions(this.#client, this.#s3, keys, options);
    } catch (error) {
      return this.#fail(`cannot remove versions of objects from ${this.location}`, error);
    }
  }

  async #extendRetention(key: string, untilMs: number, sizeBytes: number | undefined): Promise<boolean> {
    checkKey(this.location, key);
    const options = { untilMs, sizeBytes, request: requestOptions(this.#signal) };
    try {
      return await extendLock(this.#client, this.#s3, key, options);
    } catch (error) {
      return this.#fail(`cannot extend the lock of ${key} in ${this.location}`, error);
    }
  }

  async space(): Promise<undefined> {
    return undefined;
  }

  async removeStaleTemporaries(): Promise<readonly string[]> {
    return [];
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  async #emptyRange(key: string, range: ByteRange): Promise<Buffer> {
    const { sizeBytes } = await this.stat(key);
    if (range.end > sizeBytes) throw new TooShortError(`${key} in ${this.location}`, range);
    return Buffer.alloc(0);
  }

  /** A HEAD's 404 has no body: it may mean the bucket. */
  async #requireBucket(act: string): Promise<void> {
    if (this.#bucketSeen) return;
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: this.#s3.bucket }), requestOptions(this.#signal));
    } catch (error) {
      const fault = judge(error);
      if (fault === 'absent') throw s3Error(act, Object.assign(new Error(''), { name: 'NoSuchBucket' }));
      if (fault !== 'denied') this.#fail(act, error);
    }
    this.#bucketSeen = true;
  }

  #fail(act: string, error: unknown): never {
    throw s3Error(act, error, this.#signal);
  }
}
