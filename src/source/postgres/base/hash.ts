/** Files hashed in another thread while they are written; see base-hash-worker.ts. */
import { startThread } from '../../../lib/thread.ts';
import type { HashAnswer, HashJob } from './hash-worker.ts';

export class FileHasher {
  readonly #worker = startThread(import.meta.url, 'hash-worker');
  readonly #waiting = new Map<number, { resolve(sha256: string): void; reject(error: Error): void }>();
  #files = 0;
  #failure: Error | undefined;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', ({ file, sha256, failure }: HashAnswer) => {
      const waiting = this.#waiting.get(file);
      this.#waiting.delete(file);
      if (this.#waiting.size === 0) this.#worker.unref();
      if (sha256 === undefined) waiting?.reject(new Error(`cannot read back what was written: ${failure}`));
      else waiting?.resolve(sha256);
    });
    this.#worker.on('error', (error: unknown) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', () => this.#fail(new Error('the hashing thread ended')));
  }

  /** A number for a file. */
  begin(): number {
    return this.#files++;
  }

  /** All bytes up to `end` are written. */
  written(file: number, fd: number, end: number): void {
    this.#worker.postMessage({ file, fd, end, isLast: false } satisfies HashJob);
  }

  /** SHA-256 in hex of the first `end` bytes, which are all that it holds. The descriptor must stay open until then. */
  async finish(file: number, fd: number, end: number): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    if (this.#waiting.size === 0) this.#worker.ref();
    this.#waiting.set(file, { resolve, reject });
    this.#worker.postMessage({ file, fd, end, isLast: true } satisfies HashJob);
    return promise;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}
