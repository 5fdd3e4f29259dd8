/** What is asked of an SFTP server, a function each, over one session. Paths are bytes of UTF-8. */
import { type Channel, expectOk, expectType, StatusError } from './channel.ts';
import {
  type FileAttributes,
  MalformedError,
  type NamedFile,
  openFlag,
  packetType,
  permissions,
  statusCode,
  uint32,
  uint64,
} from './packets.ts';

/** A file or folder that the server has open. */
export type Handle = Buffer;

/** Extensions of OpenSSH, which other servers have taken over in part. */
export interface Extensions {
  /** Renames over what is there, in one step. */
  readonly posixRename: boolean;
  /** Gives a file a second name, unless that is taken. */
  readonly hardlink: boolean;
  readonly fsync: boolean;
  readonly statvfs: boolean;
  readonly limits: boolean;
}

/** 32 KiB is what every server takes (section 3 of the draft); more is used where it says so. */
const safeBytes = 32 * 1024;
const mostBytes = 255 * 1024;
/** Of one body, in flight. */
const windowBytes = 2 * 1024 * 1024;

export class Session {
  readonly extensions: Extensions;
  readonly #channel: Channel;
  #readBytes = safeBytes;
  #writeBytes = safeBytes;

  private constructor(channel: Channel, told: ReadonlyMap<string, string>) {
    this.#channel = channel;
    const has = (name: string): boolean => told.has(`${name}@openssh.com`);
    this.extensions = {
      posixRename: has('posix-rename'),
      hardlink: has('hardlink'),
      fsync: has('fsync'),
      statvfs: has('statvfs'),
      limits: has('limits'),
    };
  }

  static async begin(channel: Channel): Promise<Session> {
    const session = new Session(channel, await channel.begin());
    if (session.extensions.limits) await session.#learnLimits();
    return session;
  }

  /** An absolute path, without links and "..". */
  async realPath(path: string): Promise<string> {
    const reader = expectType(await this.#channel.request(packetType.realpath, { string: path }), packetType.name);
    if (reader.uint32() !== 1) throw new MalformedError('the server knows no or several real paths');
    return reader.string().toString();
  }

  /** A new file, 0600. */
  async create(path: string): Promise<Handle> {
    const flags = openFlag.write | openFlag.create | openFlag.exclusive;
    return this.#handle(
      await this.#channel.request(packetType.open, { string: path }, uint32(flags), permissions(0o600)),
    );
  }

  async open(path: string): Promise<Handle> {
    return this.#handle(
      await this.#channel.request(packetType.open, { string: path }, uint32(openFlag.read), uint32(0)),
    );
  }

  async close(handle: Handle): Promise<void> {
    expectOk(await this.#channel.request(packetType.close, { string: handle }));
  }

  /**
   * All of the parts, from the beginning, unless `signal` ends that. Every write has been answered when it settles.
   */
  async write(handle: Handle, parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    const open = new Set<Promise<void>>();
    const failure: { error?: unknown } = {};
    let offset = 0;
    for (const piece of piecesOf(parts, this.#writeBytes)) {
      if ('error' in failure || signal?.aborted === true) break;
      const writing = this.#writeAt(handle, offset, piece).catch((error: unknown) => void (failure.error ??= error));
      open.add(writing);
      void writing.then(() => open.delete(writing));
      offset += piece.length;
      await this.#channel.drained();
      while (open.size * this.#writeBytes >= windowBytes) await Promise.race(open);
    }
    await Promise.all(open);
    signal?.throwIfAborted();
    if ('error' in failure) throw failure.error;
  }

  /** Exactly these bytes; fewer where the file ends before. */
  async read(handle: Handle, start: number, length: number): Promise<Buffer> {
    const body = Buffer.allocUnsafe(length);
    const open = new Set<Promise<void>>();
    const state: { error?: unknown; endsAt: number } = { endsAt: length };
    for (let at = 0; at < state.endsAt && !('error' in state); at += this.#readBytes) {
      const until = Math.min(at + this.#readBytes, length);
      const reading = this.#readInto(body, at, until, handle, start).then(
        (end) => void (end < until && (state.endsAt = Math.min(state.endsAt, end))),
        (error: unknown) => void (state.error ??= error),
      );
      open.add(reading);
      void reading.then(() => open.delete(reading));
      while (open.size * this.#readBytes >= windowBytes) await Promise.race(open);
    }
    await Promise.all(open);
    if ('error' in state) throw state.error;
    return body.subarray(0, state.endsAt);
  }

  async fsync(handle: Handle): Promise<void> {
    expectOk(await this.#extended('fsync', { string: handle }));
  }

  /** Follows links. */
  async stat(path: string): Promise<FileAttributes> {
    return this.#attributes(await this.#channel.request(packetType.stat, { string: path }));
  }

  async lstat(path: string): Promise<FileAttributes> {
    return this.#attributes(await this.#channel.request(packetType.lstat, { string: path }));
  }

  async statOpen(handle: Handle): Promise<FileAttributes> {
    return this.#attributes(await this.#channel.request(packetType.fstat, { string: handle }));
  }

  /** Names in a folder as the server has them, "." and ".." among them. */
  async *readFolder(path: string): AsyncGenerator<NamedFile> {
    const handle = this.#handle(await this.#channel.request(packetType.opendir, { string: path }));
    try {
      for (;;) {
        const names = await this.#nextNames(handle);
        if (names === undefined) return;
        yield* names;
      }
    } finally {
      await this.close(handle).catch(() => {});
    }
  }

  async remove(path: string): Promise<void> {
    expectOk(await this.#channel.request(packetType.remove, { string: path }));
  }

  async makeFolder(path: string): Promise<void> {
    expectOk(await this.#channel.request(packetType.mkdir, { string: path }, permissions(0o700)));
  }

  async removeFolder(path: string): Promise<void> {
    expectOk(await this.#channel.request(packetType.rmdir, { string: path }));
  }

  /** Fails where the new name is taken: section 6.5. */
  async rename(from: string, to: string): Promise<void> {
    expectOk(await this.#channel.request(packetType.rename, { string: from }, { string: to }));
  }

  /** Over what has that name. */
  async replace(from: string, to: string): Promise<void> {
    expectOk(await this.#extended('posix-rename', { string: from }, { string: to }));
  }

  async link(from: string, to: string): Promise<void> {
    expectOk(await this.#extended('hardlink', { string: from }, { string: to }));
  }

  /** Of the file system of a path: what users other than root may still write. */
  async space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    const reader = expectType(await this.#extended('statvfs', { string: path }), packetType.extendedReply);
    const [, fragmentBytes = 0, blocks = 0, , available = 0] = Array.from({ length: 5 }, () => reader.uint64());
    return { freeBytes: available * fragmentBytes, totalBytes: blocks * fragmentBytes };
  }

  async #learnLimits(): Promise<void> {
    const reader = expectType(await this.#extended('limits'), packetType.extendedReply);
    const [, read = 0, write = 0] = Array.from({ length: 3 }, () => reader.uint64());
    const within = (said: number): number => Math.max(safeBytes, Math.min(mostBytes, said));
    this.#readBytes = within(read);
    this.#writeBytes = within(write);
  }

  async #extended(
    name: string,
    ...fields: readonly { readonly string: string | Buffer }[]
  ): ReturnType<Channel['request']> {
    return this.#channel.request(packetType.extended, { string: `${name}@openssh.com` }, ...fields);
  }

  async #writeAt(handle: Handle, offset: number, piece: Buffer): Promise<void> {
    expectOk(await this.#channel.request(packetType.write, { string: handle }, uint64(offset), { string: piece }));
  }

  /** Answers may be shorter than what was asked for, and are asked on. The end of what was read. */
  async #readInto(body: Buffer, from: number, until: number, handle: Handle, start: number): Promise<number> {
    for (let at = from; at < until;) {
      const asked = [{ string: handle }, uint64(start + at), uint32(until - at)] as const;
      const data = await this.#channel
        .request(packetType.read, ...asked)
        .then((answer) => expectType(answer, packetType.data).string())
        .catch(emptyAtEnd);
      if (data === undefined || data.length === 0) return at;
      if (data.length > until - at) throw new MalformedError('the server sent more than was asked for');
      at += data.copy(body, at);
    }
    return until;
  }

  async #nextNames(handle: Handle): Promise<NamedFile[] | undefined> {
    const answer = await this.#channel.request(packetType.readdir, { string: handle });
    const reader = await Promise.resolve()
      .then(() => expectType(answer, packetType.name))
      .catch(emptyAtEnd);
    if (reader === undefined) return undefined;
    const names: NamedFile[] = [];
    for (let left = reader.uint32(); left > 0; left--) {
      const name = reader.string();
      reader.string(); // as `ls -l` has it: for people
      names.push({ name: Buffer.from(name), attributes: reader.attributes() });
    }
    return names;
  }

  #handle(answer: Awaited<ReturnType<Channel['request']>>): Handle {
    return Buffer.from(expectType(answer, packetType.handle).string());
  }

  #attributes(answer: Awaited<ReturnType<Channel['request']>>): FileAttributes {
    return expectType(answer, packetType.attributes).attributes();
  }
}

function emptyAtEnd(error: unknown): undefined {
  if (error instanceof StatusError && error.code === statusCode.eof) return undefined;
  throw error;
}

function* piecesOf(parts: readonly Uint8Array[], bytes: number): Generator<Buffer> {
  let pending: Uint8Array[] = [];
  let room = bytes;
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      const piece = part.subarray(at, at + room);
      pending.push(piece);
      at += piece.length;
      room -= piece.length;
      if (room > 0) continue;
      yield Buffer.concat(pending);
      [pending, room] = [[], bytes];
    }
  }
  if (pending.length > 0) yield Buffer.concat(pending);
}
