/** An RDB file that grows: written in pieces of 1 MiB, with its checksum at the end. */
import type { FileHandle } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import { Crc64 } from './rdb/crc64.ts';
import { endOpcode } from './rdb/writer.ts';
import type { SnapshotLimit } from './snapshot-limit.ts';

export class RdbFileWriter {
  readonly #file: FileHandle;
  readonly #crc = new Crc64();
  readonly #onBytes: (bytes: number) => void;
  readonly #buffer = Buffer.allocUnsafe(1024 * 1024);
  readonly #limit: SnapshotLimit;
  #used = 0;
  #written = 0;

  constructor(file: FileHandle, onBytes: (bytes: number) => void, limit: SnapshotLimit) {
    this.#file = file;
    this.#onBytes = onBytes;
    this.#limit = limit;
  }

  /** Throws (source, space) where so many bytes more would pass the limit: before they are waited for. */
  announce(bytes: number): void {
    if (this.#written + this.#used + bytes > this.#limit.bytes) throw this.#limit.exceeded();
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#crc.update(bytes);
    await this.#put(bytes);
  }

  /** True if so many bytes can be written at once. */
  hasRoom(bytes: number): boolean {
    return this.#used + bytes <= this.#buffer.length;
  }

  /** The same without waiting; only with room. */
  writeAtOnce(bytes: Uint8Array): void {
    this.#crc.update(bytes);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** The end and the checksum; on disk when it returns. */
  async end(): Promise<void> {
    await this.write(endOpcode);
    await this.#put(this.#crc.digest());
    await this.#flush(this.#buffer.subarray(0, this.#used));
  }

  async #put(bytes: Uint8Array): Promise<void> {
    if (this.#used + bytes.length > this.#buffer.length) {
      await this.#flush(this.#buffer.subarray(0, this.#used));
      this.#used = 0;
      if (bytes.length > this.#buffer.length) return this.#flush(bytes);
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  async #flush(bytes: Uint8Array): Promise<void> {
    if (this.#written + bytes.length > this.#limit.bytes) throw this.#limit.exceeded();
    try {
      for (let at = 0; at < bytes.length;) at += (await this.#file.write(bytes, at)).bytesWritten;
    } catch (error) {
      throw new LifeboatError('space', 'cannot write the Redis snapshot to the scratch folder', {
        hint: 'free some space there, or name another folder by TMPDIR',
        cause: error,
      });
    }
    this.#onBytes((this.#written += bytes.length));
  }
}
