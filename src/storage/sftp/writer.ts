/** Writing to an SFTP server: the whole of an object under a name that only we know, then its own name in one step. */
import { posix } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import { AlreadyExistsError, maxObjectBytes, type PutOptions, StorageError } from '../storage.ts';
import { SessionLostError, StatusError } from './channel.ts';
import type { Connections } from './connections.ts';
import { isAbsent } from './errors.ts';
import { aboveOf, SftpFolders } from './folders.ts';
import { statusCode } from './packets.ts';
import { publish } from './publish.ts';
import type { Session } from './session.ts';
import { temporaryName } from './temporaries.ts';

export interface WriterOptions {
  readonly location: string;
  /** The root may be made. */
  readonly create: boolean;
  /** A whole object. */
  readonly read: ReadObject;
  /** Ends what is being written. */
  readonly signal: AbortSignal | undefined;
}

type ReadObject = (session: Session, key: string) => Promise<Buffer>;

/** How often a put starts over when a cleanup removes its empty folder under its feet. */
const folderAttempts = 20;

export class SftpWriter {
  readonly folders: SftpFolders;
  readonly #connections: Connections;
  readonly #location: string;
  readonly #signal: AbortSignal | undefined;
  /** Paths of temporaries that could not be removed, since the connection was lost. */
  readonly #left = new Set<string>();
  readonly #read: ReadObject;
  /** By the caller's parts, which are the same in each try of one call: keys whose naming ended without an answer. */
  readonly #unclear = new WeakMap<readonly Uint8Array[], Set<string>>();

  constructor(connections: Connections, { location, create, read, signal }: WriterOptions) {
    this.#connections = connections;
    this.folders = new SftpFolders(connections, create);
    this.#location = location;
    this.#signal = signal;
    this.#read = read;
  }

  /** As Storage.put; the key has been checked. May be called again with the same parts after a passing failure. */
  async put(session: Session, key: string, parts: readonly Uint8Array[], options: PutOptions): Promise<void> {
    const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (sizeBytes > maxObjectBytes) {
      throw new StorageError(`cannot write ${key}: ${sizeBytes} bytes are more than an object may have`);
    }
    for (let attempt = 1; ; attempt++) {
      try {
        await this.removeLeft(session);
        await this.folders.ensure(session, aboveOf(key));
        return await this.#write(session, key, parts, options);
      } catch (error) {
        if (error instanceof AlreadyExistsError) return this.#settle(session, key, parts, error);
        if (!isAbsent(error) || attempt === folderAttempts) throw await this.#orFull(session, sizeBytes, error);
        this.folders.forget(aboveOf(key));
      }
    }
  }

  async #write(session: Session, key: string, parts: readonly Uint8Array[], options: PutOptions): Promise<void> {
    const path = this.#connections.pathOf(key);
    const temporary = posix.join(posix.dirname(path), temporaryName());
    let isGone = false;
    try {
      await writeDurably(session, temporary, parts, this.#signal);
      if (options.replace === true || options.randomName === true) {
        await session.replace(temporary, path);
        isGone = true;
      } else await this.#publish(session, temporary, key, parts);
    } finally {
      if (!isGone) await this.#removeTemporary(session, temporary);
    }
  }

  async #publish(session: Session, temporary: string, key: string, parts: readonly Uint8Array[]): Promise<void> {
    try {
      const taken = new AlreadyExistsError(this.#location, key);
      await publish(session, temporary, this.#connections.pathOf(key), taken);
    } catch (error) {
      if (error instanceof SessionLostError) {
        this.#unclear.set(parts, (this.#unclear.get(parts) ?? new Set<string>()).add(key));
      }
      throw error;
    }
  }

  /** Of this writer's own. */
  async removeLeft(session: Session): Promise<void> {
    for (const path of Array.from(this.#left)) {
      this.#left.delete(path);
      await this.#removeTemporary(session, path);
    }
  }

  async #removeTemporary(session: Session, path: string): Promise<void> {
    await session.remove(path).catch((error: unknown) => {
      if (error instanceof SessionLostError) this.#left.add(path);
    });
  }

  /** An object of that name is there: done if it may be ours and has our bytes. */
  async #settle(session: Session, key: string, parts: readonly Uint8Array[], taken: AlreadyExistsError): Promise<void> {
    if (this.#unclear.get(parts)?.has(key) !== true) throw taken;
    if (!Buffer.concat(parts).equals(await this.#read(session, key))) throw taken;
  }

  /** A full disk is told as any failure. */
  async #orFull(session: Session, sizeBytes: number, error: unknown): Promise<unknown> {
    const isAny = error instanceof StatusError && error.code === statusCode.failure;
    if (!isAny || !session.extensions.statvfs) return error;
    const space = await session.space(this.#connections.pathOf('')).catch(() => undefined);
    if (space === undefined || space.freeBytes > sizeBytes + 1024 * 1024) return error;
    return new LifeboatError('space', `the disk of ${this.#location} is full`, {
      hint: 'free some space there, or run: lifeboat cleanup',
      cause: error,
    });
  }
}

async function writeDurably(
  session: Session,
  path: string,
  parts: readonly Uint8Array[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const handle = await session.create(path);
  try {
    await session.write(handle, parts, signal);
    if (session.extensions.fsync) await session.fsync(handle);
  } catch (error) {
    await session.close(handle).catch(() => {});
    throw error;
  }
  await session.close(handle);
}
