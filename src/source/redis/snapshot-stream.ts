/**
 * A snapshot as a replica receives it, that wants nothing but the RDB file: we introduce ourselves, ask for a full
 * synchronisation, and write what comes until its length or its delimiter says that it is whole (the replication
 * protocol of Redis and Valkey, their replication.c). By ourselves and not by redis-cli, since Valkey 9 writes for a
 * replica that does not tell its version what Valkey 7.2 can read, and gives up where that cannot hold the data.
 */
import type { FileHandle } from 'node:fs/promises';
import { createFileAt } from '../../lib/held-files.ts';
import { type LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { BulkConnection } from './bulk-connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { commandOf, maxLineBytes, notProtocol } from './protocol.ts';
import { cutOff, failedSnapshot, hungSnapshot, noRoomForSnapshot, refusedSync } from './replication-errors.ts';
import type { ServerVersion } from './server-info.ts';
import type { SnapshotLimit } from './snapshot-limit.ts';

export interface SnapshotPlace {
  /** The file to make (0600); must not exist. */
  readonly path: string;
  readonly limit: SnapshotLimit;
  /** So long without bytes is a server that hangs; default: 10 minutes. */
  readonly hangTimeoutMs?: number | undefined;
  /** What the server says it is: it hears that its replica is the same. */
  readonly version: Pick<ServerVersion, 'flavour' | 'version'>;
}

/** So long without bytes is a server that hangs, unless another time is named. */
export const defaultHangTimeoutMs = 600_000;

/**
 * Writes a snapshot. `onBytes` hears of its growth. Throws a ReplicationRefusedError where it did not begin, and
 * LifeboatError: source, space.
 */
export async function receiveSnapshot(
  endpoint: RedisEndpoint,
  place: SnapshotPlace,
  { signal }: RunContext,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hangTimeoutMs = place.hangTimeoutMs ?? defaultHangTimeoutMs;
  await using file = await createFileAt(place.path);
  await using link = await BulkConnection.open(endpoint, signal, hangTimeoutMs);
  const out = new SnapshotFile(file, place.limit, onBytes);
  try {
    await introduce(link, place.version);
    await link.send(commandOf(['SYNC']));
    await new Receiver(link, out).run();
  } catch (error) {
    signal.throwIfAborted();
    if (link.isSilent) throw hungSnapshot(endpoint, hangTimeoutMs);
    if (!link.isLost(error)) throw error;
    throw out.hasBegun ? failedSnapshot(endpoint, 'the connection was lost', error) : cutOff(endpoint, error);
  }
}

/** What a server refuses of this does no harm: what SYNC gets decides. */
async function introduce(link: BulkConnection, { flavour, version }: SnapshotPlace['version']): Promise<void> {
  const told = [['capa', 'eof'], ['rdb-only', '1'], ...(flavour === 'valkey' ? [['version', version]] : [])];
  for (const words of told) {
    await link.send(commandOf(['REPLCONF', ...words]));
    const { kind } = await link.head();
    if (kind !== 'simple' && kind !== 'error') throw link.refuse('an answer of another kind than asked for');
  }
}

/** The file that grows. */
class SnapshotFile {
  /** The server has said that it comes. */
  hasBegun = false;
  readonly limit: SnapshotLimit;
  readonly #file: FileHandle;
  readonly #onBytes: (bytes: number) => void;
  #written = 0;

  constructor(file: FileHandle, limit: SnapshotLimit, onBytes: (bytes: number) => void) {
    this.#file = file;
    this.limit = limit;
    this.#onBytes = onBytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#written + bytes.length > this.limit.bytes) throw this.limit.exceeded();
    try {
      for (let at = 0; at < bytes.length;) at += (await this.#file.write(bytes, at)).bytesWritten;
    } catch (error) {
      if (/ENOSPC|EDQUOT|EFBIG/.test(systemCodeOf(error) ?? '')) throw noRoomForSnapshot(error);
      throw error;
    }
    this.#onBytes((this.#written += bytes.length));
  }
}

class Receiver {
  readonly #link: BulkConnection;
  readonly #out: SnapshotFile;
  readonly #pieces: AsyncGenerator<Buffer, never>;

  constructor(link: BulkConnection, out: SnapshotFile) {
    this.#link = link;
    this.#out = out;
    this.#pieces = link.pieces();
  }

  async run(): Promise<void> {
    const { line, rest } = await this.#firstLine();
    const delimiter = /^\$EOF:([\x21-\x7e]{40})$/.exec(line)?.[1];
    const length = /^\$(\d{1,15})$/.exec(line)?.[1];
    if (delimiter === undefined && length === undefined) throw this.#refusal(line);
    this.#out.hasBegun = true;
    if (delimiter !== undefined) await this.#until(Buffer.from(delimiter, 'latin1'), rest);
    else await this.#exactly(Number(length), rest);
  }

  /** While the server prepares the snapshot it sends line ends, so that nobody takes it for lost. */
  async #firstLine(): Promise<{ readonly line: string; readonly rest: Buffer }> {
    let seen = Buffer.alloc(0);
    for (let length = 0; length <= maxLineBytes;) {
      const piece = await this.#next();
      length += piece.length;
      seen = withoutLineEnds(Buffer.concat([seen, piece]));
      const end = seen.indexOf('\r\n');
      if (end !== -1) return { line: seen.toString('latin1', 0, end), rest: seen.subarray(end + 2) };
    }
    throw this.#link.refuse('a line without end');
  }

  #refusal(line: string): LifeboatError {
    if (!line.startsWith('-')) return this.#link.refuse(notProtocol);
    const { endpoint } = this.#link;
    const reply = line.slice(1);
    return (
      refusedSync(reply, endpoint, undefined) ?? failedSnapshot(endpoint, reply.slice(0, maxReplyChars), undefined)
    );
  }

  /** A snapshot whose length was told; what follows it are commands for a replica. */
  async #exactly(length: number, first: Buffer): Promise<void> {
    if (length > this.#out.limit.bytes) throw this.#out.limit.exceeded();
    let left = length;
    for (let piece = first; ; piece = await this.#next()) {
      const part = piece.subarray(0, left);
      if (part.length > 0) await this.#out.write(part);
      left -= part.length;
      if (left === 0) return;
    }
  }

  /** One that was not saved before it is sent ends with 40 bytes that were drawn for it. */
  async #until(delimiter: Buffer, first: Buffer): Promise<void> {
    let held = Buffer.alloc(0);
    for (let piece = first; ; piece = await this.#next()) {
      const bytes = Buffer.concat([held, piece]);
      const end = bytes.indexOf(delimiter);
      if (end !== -1) return this.#out.write(bytes.subarray(0, end));
      // What may be the beginning of the delimiter waits for more.
      const sure = Math.max(0, bytes.length - delimiter.length + 1);
      if (sure > 0) await this.#out.write(bytes.subarray(0, sure));
      held = bytes.subarray(sure);
    }
  }

  async #next(): Promise<Buffer> {
    return (await this.#pieces.next()).value;
  }
}

function withoutLineEnds(bytes: Buffer): Buffer<ArrayBuffer> {
  let at = 0;
  while (bytes[at] === newline) at++;
  return Buffer.from(bytes.subarray(at));
}

const newline = 10;
/** Of what a server says, that much is told. */
const maxReplyChars = 300;
