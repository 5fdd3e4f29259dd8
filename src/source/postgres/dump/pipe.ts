/**
 * A pg_dump that is started before anybody reads what it writes. It writes nothing until it holds its locks and has
 * read the catalog, so its first byte says that it waits for nobody any more; then it waits for us. One that dumps
 * several big tables is read a table at a time, each an artifact of its own.
 */
import { closeSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError, systemCodeOf } from '../../../lib/errors.ts';
import { type PeekableFifo, openPeekableFifo } from '../../../lib/fifo.ts';
import type { Artifact, OpenPipe } from '../../source.ts';
import { type TableArchive, splitArchive } from '../archive/split.ts';
import type { BigTable } from './big-tables.ts';
import { type DumpContext, type PipeCommand, startDump } from './pg-dump.ts';

interface Part {
  readonly artifact: string;
  readonly bytes: number;
  readonly table?: TableArchive;
}

/** Starts it. `hangTimeoutMs`: how long it may take until it writes. Throws `tool` (16), or the signal's reason. */
export async function startPipe(
  command: PipeCommand,
  context: DumpContext,
  signal: AbortSignal,
  hangTimeoutMs: number,
): Promise<DumpPipe> {
  const stop = new AbortController();
  const fifo = await openPeekableFifo();
  try {
    const ending = AbortSignal.any([signal, stop.signal]);
    const { done } = await startDump(command, context, fifo.writeFd, ending);
    return new DumpPipe({ command, database: context.database, fifo, stop, ending, done, hangTimeoutMs });
  } catch (error) {
    closeSync(fifo.readFd);
    closeSync(fifo.peekFd);
    throw error;
  } finally {
    closeSync(fifo.writeFd);
  }
}

interface Started {
  readonly command: PipeCommand;
  readonly database: string;
  readonly fifo: PeekableFifo;
  /** Ends it. */
  readonly stop: AbortController;
  /** By `stop`, or as all others. */
  readonly ending: AbortSignal;
  readonly done: Promise<void>;
  readonly hangTimeoutMs: number;
}

export class DumpPipe {
  /** Resolves when it holds its locks; rejects as `ended`. */
  readonly ready: Promise<void>;
  /** Resolves when all was read and pg_dump ended well; rejects with `source` (13), at once. */
  readonly ended: Promise<void>;
  /** Resolves when it runs no more. */
  readonly gone: Promise<void>;
  readonly #started: Started;
  readonly #allRead = Promise.withResolvers<void>();
  #left: Part[] = [];
  #surplus: Uint8Array = new Uint8Array(0);
  /** Settles when it is not read from any more. */
  #reading: Promise<void> | undefined;

  constructor(started: Started) {
    this.#started = started;
    this.#onEnding(() => this.#allRead.reject(started.ending.reason));
    this.ready = this.#begin();
    this.ended = Promise.all([started.done, this.ready, this.#allRead.promise]).then(() => {});
    this.gone = Promise.allSettled([started.done, this.ready]).then(() => {});
    void this.#closeInTheEnd();
    for (const each of [this.ready, this.ended, this.#allRead.promise]) each.catch(() => {});
  }

  /** Of artifacts that were not given out. */
  get leftBytes(): number {
    return this.#left.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get isEmpty(): boolean {
    return this.#left.length === 0;
  }

  /** An artifact was given out and is not read to its end yet; resolves when it is. */
  get reading(): Promise<void> | undefined {
    return this.#reading;
  }

  /** The next artifact; call it only where there is one, and none is being read. */
  give(): Artifact {
    const part = this.#left.shift() as Part;
    const { promise, resolve } = Promise.withResolvers<void>();
    const over = (): void => {
      this.#reading = undefined;
      resolve();
    };
    this.#reading = promise;
    // Nobody opens what was given out when all is called off.
    let isOpen = false;
    this.#onEnding(() => isOpen || over());
    const open = (signal: AbortSignal): OpenPipe => {
      // The descriptors may be closed by now.
      this.#started.ending.throwIfAborted();
      isOpen = true;
      return this.#open(part, signal, over);
    };
    return { name: part.artifact, mediaType, body: { from: 'pipe', open } };
  }

  #open({ table }: Part, signal: AbortSignal, over: () => void): OpenPipe {
    const { fifo, stop, ending, done } = this.#started;
    const abort = (): void => stop.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const read = this.#surplus;
    const release = (surplus: Uint8Array): void => {
      signal.removeEventListener('abort', abort);
      this.#surplus = surplus;
      if (this.isEmpty && !ending.aborted) this.#allRead.resolve(table === undefined ? undefined : this.#untilEnd());
      over();
    };
    const pipe = { readFd: fifo.readFd, done, release };
    return table === undefined
      ? { ...pipe, head: read }
      : { ...pipe, head: table.head, frames: { begin: table.begin, read } };
  }

  async #begin(): Promise<void> {
    const { command, stop } = this.#started;
    try {
      this.#left =
        command.tables === undefined
          ? [{ artifact: command.artifact, bytes: command.bytes }]
          : await this.#readContents(command.tables);
      if (command.tables === undefined) this.#surplus = await this.#nextBytes();
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  }

  async #readContents(tables: readonly BigTable[]): Promise<Part[]> {
    let start = await this.#nextBytes();
    let archive = splitArchive(start);
    for (; archive === undefined; archive = splitArchive(start)) {
      start = Buffer.concat([start, await this.#nextBytes()]);
    }
    this.#surplus = start.subarray(archive.dataAt);
    const wanted = new Map(tables.map((table) => [keyOf(table), table]));
    const parts = archive.tables.map((table) => {
      const { artifact, bytes } = wanted.get(keyOf(table)) ?? this.#unexpected(`it holds ${keyOf(table)}`);
      wanted.delete(keyOf(table));
      return { artifact, bytes, table };
    });
    if (wanted.size > 0) this.#unexpected(`it does not hold ${[...wanted.keys()].join(', ')}`);
    return parts;
  }

  #unexpected(what: string): never {
    throw new LifeboatError('source', `cannot use what pg_dump wrote of database ${this.#started.database}: ${what}`, {
      hint: 'this is a bug or a changed pg_dump: please report it with the versions that lifeboat doctor shows',
    });
  }

  /** What there is, once there is something. At the end of all it throws what pg_dump died of. */
  async #nextBytes(): Promise<Buffer> {
    const bytes = await this.#peek();
    if (bytes.length > 0) return bytes;
    await this.#started.done;
    return this.#unexpected('it broke off');
  }

  async #peek(): Promise<Buffer> {
    const { fifo, stop, hangTimeoutMs } = this.#started;
    const hungAt = performance.now() + hangTimeoutMs;
    for (;;) {
      const bytes = readAvailable(fifo.peekFd);
      if (bytes !== undefined) return bytes;
      if (performance.now() > hungAt) stop.abort(hung(hangTimeoutMs));
      await sleep(peekEveryMs);
    }
  }

  /** After the last table. */
  async #untilEnd(): Promise<void> {
    const more = this.#surplus.length > 0 ? this.#surplus : await this.#peek();
    if (more.length > 0) this.#started.stop.abort(new Error('pg_dump wrote more than its tables'));
  }

  #onEnding(listener: () => void): void {
    const { ending } = this.#started;
    if (ending.aborted) listener();
    ending.addEventListener('abort', listener, { once: true });
  }

  async #closeInTheEnd(): Promise<void> {
    const { fifo, done } = this.#started;
    await Promise.allSettled([done, this.ready, this.#allRead.promise]);
    await this.#reading;
    closeSync(fifo.readFd);
    closeSync(fifo.peekFd);
  }
}

const mediaType = 'application/vnd.postgresql.custom-dump';
const peekEveryMs = 20;
/** What a FIFO holds. */
const peekBytes = 64 * 1024;

/** Undefined: nothing yet; empty: nobody writes any more. */
function readAvailable(fd: number): Buffer | undefined {
  const buffer = Buffer.allocUnsafe(peekBytes);
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, null));
  } catch (error) {
    if (systemCodeOf(error) === 'EAGAIN') return undefined;
    throw error;
  }
}

function keyOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return JSON.stringify([schema, name]);
}

function hung(timeoutMs: number): LifeboatError {
  return new LifeboatError('source', `hung: pg_dump wrote nothing for ${Math.round(timeoutMs / 1000)} s`, {
    retryable: true,
    hint: 'look for locks and a full disk on the server; hangTimeoutSeconds sets the limit',
  });
}
