/**
 * A repository on an SFTP server. An object is written to `.tmp-<random>` beside its place, synced, and only then given
 * its name, so that no reader ever sees half of one; nothing is removed before what replaces it is whole. Files are
 * 0600, folders 0700. One connection serves all calls at once; a lost one is replaced by the next call.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SftpLocation } from '../../config/config.ts';
import { sftpUrl } from '../../config/repository-place.ts';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { checkKey, checkPrefix } from '../key.ts';
import {
  checkRange,
  maxObjectBytes,
  NotFoundError,
  StorageError,
  TooShortError,
  type ByteRange,
  type ObjectInfo,
  type PutOptions,
  type RemoveOptions,
  type Storage,
  type StorageCapabilities,
} from '../storage.ts';
import { isKind, sizeAndStamp } from './attributes.ts';
import { StatusError } from './channel.ts';
import { Connections } from './connections.ts';
import { ignoreAbsent, isAbsent, sftpError } from './errors.ts';
import { aboveOf } from './folders.ts';
import { walk, type Walked } from './list.ts';
import type { Extensions, Session } from './session.ts';
import { removeTemporaries } from './temporaries.ts';
import { SftpWriter } from './writer.ts';

export interface SftpOptions {
  /** Ends waits, with its reason; what is under way on the server goes on. */
  readonly signal?: AbortSignal | undefined;
  /** The root folder may be made; default false: a missing root is an error. */
  readonly create?: boolean | undefined;
  /** With requests open, so long without an answer ends a connection; default 20 s. */
  readonly idleTimeoutMs?: number | undefined;
}

const removesAtOnce = 32;
/** How long a close waits for what is under way. */
const closingMs = 3000;

/** Rejects with a StorageError (20) if the server does not answer, is not known, or refuses the user. */
export async function openSftpStorage(location: SftpLocation, options: SftpOptions = {}): Promise<Storage> {
  const connections = new Connections(location, {
    idleTimeoutMs: options.idleTimeoutMs ?? 20_000,
    create: options.create ?? false,
  });
  try {
    const { extensions } = await abortable(connections.session(), options.signal);
    return new SftpStorage(location, connections, { ...options, extensions });
  } catch (error) {
    await connections.close();
    throw sftpError(`cannot open ${sftpUrl(location)}`, error);
  }
}

class SftpStorage implements Storage {
  readonly location: string;
  readonly capabilities: StorageCapabilities;
  readonly #connections: Connections;
  readonly #signal: AbortSignal | undefined;
  readonly #writer: SftpWriter;
  readonly #walked: Walked;
  readonly #running = new Set<Promise<unknown>>();

  constructor(
    location: SftpLocation,
    connections: Connections,
    { signal, create = false, extensions }: SftpOptions & { readonly extensions: Extensions },
  ) {
    this.location = sftpUrl(location);
    this.capabilities = {
      versions: false,
      objectLock: false,
      freeSpace: extensions.statvfs,
      missing: missingIn(extensions),
    };
    this.#connections = connections;
    this.#signal = signal;
    const read = async (session: Session, key: string): Promise<Buffer> => this.#read(session, key, undefined);
    this.#writer = new SftpWriter(connections, { location: this.location, create, read, signal });
    this.#walked = {
      session: async () => abortable(connections.session(), signal),
      pathOf: (key) => connections.pathOf(key),
    };
  }

  async put(key: string, parts: readonly Uint8Array[], options: PutOptions = {}): Promise<void> {
    checkKey(this.location, key);
    await this.#call(`cannot write ${key} to`, async (session) => this.#writer.put(session, key, parts, options));
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    checkKey(this.location, key);
    if (range !== undefined) checkRange(key, range);
    return this.#call(`cannot read ${key} in`, async (session) =>
      this.#orAbsent(session, key, this.#read(session, key, range)),
    );
  }

  async stat(key: string): Promise<ObjectInfo> {
    checkKey(this.location, key);
    return this.#call(`cannot read ${key} in`, async (session) => {
      const found = await this.#orAbsent(session, key, session.lstat(this.#connections.pathOf(key)));
      if (!isKind(found, 'file')) throw new NotFoundError(this.location, key);
      return { key, ...sizeAndStamp(found) };
    });
  }

  async *list(prefix: string, after?: string): AsyncGenerator<ObjectInfo> {
    checkPrefix(this.location, prefix);
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    try {
      // An absent disk must not look like an empty repository.
      await this.#connections.requireRoot(await this.#walked.session());
      yield* walk(this.#walked, folder, prefix, after ?? '');
    } catch (error) {
      throw this.#told(`cannot list ${prefix} in`, error, this.#signal);
    }
  }

  async remove(keys: readonly string[], { afterAbort = false }: RemoveOptions = {}): Promise<void> {
    for (const key of keys) checkKey(this.location, key);
    const work = async (session: Session): Promise<void> => {
      await this.#connections.requireRoot(session);
      await forEachSideBySide(keys, removesAtOnce, async (key) => this.#removeOne(session, key));
      for (const folder of new Set(keys.map(aboveOf))) await this.#writer.folders.removeEmpty(session, folder);
    };
    await this.#call('cannot remove objects from', work, !afterAbort);
  }

  async space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | undefined> {
    if (!this.capabilities.freeSpace) return undefined;
    return this.#call('cannot tell the free space of', async (session) => session.space(this.#connections.pathOf('')));
  }

  async removeStaleTemporaries(olderThanMs: number): Promise<readonly string[]> {
    return this.#call('cannot remove temporary files from', async (session) => {
      await this.#connections.requireRoot(session);
      return removeTemporaries(this.#walked, olderThanMs);
    });
  }

  /** What a stopped run was writing is taken away first, as far as the server answers. */
  async close(): Promise<void> {
    const tidied = Promise.allSettled(this.#running).then(async () => {
      const session = this.#connections.known;
      if (session !== undefined) await this.#writer.removeLeft(session);
    });
    await Promise.race([tidied, sleep(closingMs, undefined, { ref: false })]);
    await this.#connections.close();
  }

  async #call<T>(act: string, work: (session: Session) => Promise<T>, isStoppable = true): Promise<T> {
    const signal = isStoppable ? this.#signal : undefined;
    try {
      signal?.throwIfAborted();
      const task = this.#connections.session().then(work);
      this.#running.add(task);
      const forget = (): void => void this.#running.delete(task);
      task.then(forget, forget);
      return await abortable(task, signal);
    } catch (error) {
      throw this.#told(act, error, signal);
    }
  }

  #told(act: string, error: unknown, signal: AbortSignal | undefined): unknown {
    return signal?.aborted === true ? signal.reason : sftpError(`${act} ${this.location}`, error);
  }

  async #read(session: Session, key: string, range: ByteRange | undefined): Promise<Buffer> {
    const handle = await session.open(this.#connections.pathOf(key));
    try {
      const found = await session.statOpen(handle);
      if (!isKind(found, 'file')) throw new NotFoundError(this.location, key);
      const { sizeBytes } = sizeAndStamp(found);
      const { start, end } = range ?? { start: 0, end: sizeBytes };
      if (end > sizeBytes) throw new TooShortError(`${key} in ${this.location}`, { start, end }, sizeBytes);
      if (end - start > maxObjectBytes) {
        throw new StorageError(
          `cannot read ${key} in ${this.location}: ${end - start} bytes are more than an object may have`,
        );
      }
      const body = await session.read(handle, start, end - start);
      if (body.length < end - start) throw new StorageError('the file became shorter while it was read');
      return body;
    } finally {
      session.close(handle).catch(() => {});
    }
  }

  /** Absent is told only where the root is there. */
  async #orAbsent<T>(session: Session, key: string, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!isAbsent(error)) throw error;
      await this.#connections.requireRoot(session);
      throw new NotFoundError(this.location, key, { cause: error });
    }
  }

  /** A folder of that name is no object. */
  async #removeOne(session: Session, key: string): Promise<void> {
    const path = this.#connections.pathOf(key);
    try {
      await session.remove(path);
    } catch (error) {
      if (isAbsent(error)) return;
      const found = error instanceof StatusError ? await session.lstat(path).catch(ignoreAbsent) : undefined;
      if (found === undefined || !isKind(found, 'folder')) throw error;
    }
  }
}

function missingIn({ hardlink, fsync, statvfs }: Extensions): string[] {
  return [
    ...(hardlink ? [] : ['it gives no second names: two writers of one name are kept apart by its rename only']),
    ...(fsync ? [] : ['it does not sync files when asked: a crash of it may lose what was just written']),
    ...(statvfs ? [] : ['it does not tell how full its disk is']),
  ];
}

/** Rejects with the reason of the signal as soon as that is aborted; the task goes on. */
async function abortable<T>(task: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return task;
  task.catch(() => {});
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal.aborted) throw signal.reason;
    return await Promise.race([task, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
