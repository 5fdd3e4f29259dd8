/**
 * Writing to a bucket: one PUT an object. Not every server honours conditional writes (and some ignore
 * them without a word on versioned buckets), so two writers of one name are kept apart as well as can
 * be: a HEAD before, `If-None-Match: *` with the PUT; random names and leases do the rest. A PUT that
 * ended without a clear answer may have been carried out: then the object is read, and if it has our
 * bytes the put is done.
 */
import { HeadObjectCommand, PutObjectCommand, type PutObjectCommandInput, type S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../../config/config.ts';
import { objectOf, requestOptions } from './client.ts';
import { judge, s3Error } from './errors.ts';
import { lockModeOf } from './lock.ts';
import { AlreadyExistsError, maxObjectBytes, StorageError, type PutOptions } from '../storage.ts';

export class S3Writer {
  readonly #client: S3Client;
  readonly #s3: S3Location;
  readonly #location: string;
  readonly #signal: AbortSignal | undefined;
  readonly #read: (key: string) => Promise<Buffer>;
  /** By the caller's parts, which are the same in each try of one call: keys whose PUT ended without an answer. */
  readonly #unclear = new WeakMap<readonly Uint8Array[], Set<string>>();
  #conditional = true;

  constructor(
    client: S3Client,
    s3: S3Location,
    location: string,
    signal: AbortSignal | undefined,
    read: (key: string) => Promise<Buffer>,
  ) {
    this.#client = client;
    this.#s3 = s3;
    this.#location = location;
    this.#signal = signal;
    this.#read = read;
  }

  /**
   * As Storage.put; the key has been checked. May be called again with the same parts after a failure that is
   * retryable.
   */
  async put(key: string, parts: readonly Uint8Array[], options: PutOptions): Promise<void> {
    const body = joined(parts);
    if (body.length > maxObjectBytes) {
      throw new StorageError(`cannot write ${key}: ${body.length} bytes are more than an object may have`);
    }
    try {
      // Repeating the same bytes under a name that only we know does no harm.
      if (options.replace === true || options.randomName === true) await this.#write(key, body, options, false);
      else await this.#writeOnce(key, body, parts, options);
    } catch (error) {
      throw s3Error(`cannot write ${key} to ${this.#location}`, error, this.#signal);
    }
  }

  async #writeOnce(key: string, body: Buffer, parts: readonly Uint8Array[], options: PutOptions): Promise<void> {
    const unclear = this.#unclear.get(parts)?.has(key) === true;
    if (await this.#isThere(key)) return this.#settle(key, body, unclear);
    try {
      await this.#write(key, body, options, this.#conditional);
    } catch (error) {
      const fault = judge(error);
      if (fault === 'taken') return this.#settle(key, body, unclear);
      if (fault === 'unsupported' && this.#conditional) {
        this.#conditional = false;
        return this.#writeOnce(key, body, parts, options);
      }
      if (fault !== 'passing') throw error;
      this.#unclear.set(parts, (this.#unclear.get(parts) ?? new Set<string>()).add(key));
      // Not there, or no answer again: the next try will find out.
      const found = await this.#read(key).catch(() => undefined);
      if (found === undefined) throw error;
      if (!found.equals(body)) throw new AlreadyExistsError(this.#location, key);
    }
  }

  /** An object of that name is there: done if it may be ours and has our bytes. */
  async #settle(key: string, body: Buffer, unclear: boolean): Promise<void> {
    if (!unclear || !body.equals(await this.#read(key))) throw new AlreadyExistsError(this.#location, key);
  }

  /** Best effort: credentials that may only write are told nothing. */
  async #isThere(key: string): Promise<boolean> {
    try {
      await this.#client.send(new HeadObjectCommand(objectOf(this.#s3, key)), requestOptions(this.#signal));
      return true;
    } catch (error) {
      if (['absent', 'denied'].includes(judge(error))) return false;
      throw error;
    }
  }

  async #write(key: string, body: Buffer, options: PutOptions, conditional: boolean): Promise<void> {
    const input: PutObjectCommandInput = {
      ...objectOf(this.#s3, key),
      Body: body,
      ContentLength: body.length,
      ContentType: 'application/octet-stream',
      StorageClass: this.#s3.storageClass as PutObjectCommandInput['StorageClass'],
      ServerSideEncryption: this.#s3.serverSideEncryption as PutObjectCommandInput['ServerSideEncryption'],
      SSEKMSKeyId: this.#s3.kmsKeyId,
      ...(conditional ? { IfNoneMatch: '*' } : {}),
      ...(options.retainUntilMs === undefined
        ? {}
        : { ObjectLockMode: lockModeOf(this.#s3), ObjectLockRetainUntilDate: new Date(options.retainUntilMs) }),
    };
    await this.#client.send(new PutObjectCommand(input), requestOptions(this.#signal));
  }
}

/** The SDK takes one buffer; a stream as body would be refused by some servers. */
function joined(parts: readonly Uint8Array[]): Buffer {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  return Buffer.concat(parts);
}
