/**
 * Packets of the SSH File Transfer Protocol, version 3, as all servers speak it
 * (https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02), and the extensions of OpenSSH
 * (https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL). What comes from a server is read within the bytes that came.
 */

/** Types of packets: section 3. */
export const packetType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** Codes of a status: section 7. */
export const statusCode = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const;

/** Flags of `open`: section 6.3. */
export const openFlag = { read: 0x01, write: 0x02, create: 0x08, exclusive: 0x20 } as const;

/** What a server tells of a file: section 5. Undefined: it told nothing of it. */
export interface FileAttributes {
  readonly sizeBytes: number | undefined;
  /** With the bits of its kind, as in st_mode. */
  readonly mode: number | undefined;
  /** Milliseconds since 1970; the protocol has whole seconds. */
  readonly modifiedMs: number | undefined;
}

export interface NamedFile {
  readonly name: Buffer;
  readonly attributes: FileAttributes;
}

/** The server sent what is no packet of this protocol. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}

/** Numbers are as wide as their position says; `string`s are counted bytes; a Buffer is appended as it is. */
export function packet(type: number, ...fields: readonly (Buffer | { readonly string: string | Buffer })[]): Buffer {
  const body = fields.flatMap((field) => (Buffer.isBuffer(field) ? [field] : counted(field.string)));
  const bytes = body.reduce((sum, part) => sum + part.length, 1);
  return Buffer.concat([uint32(bytes), Buffer.from([type]), ...body]);
}

export function uint32(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

export function uint64(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(8);
  buffer.writeBigUInt64BE(BigInt(value));
  return buffer;
}

/** Attributes that say only which bits of permission a new file has. */
export function permissions(mode: number): Buffer {
  return Buffer.concat([uint32(attributeFlag.permissions), uint32(mode)]);
}

function counted(value: string | Buffer): Buffer[] {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value);
  return [uint32(bytes.length), bytes];
}

const attributeFlag = { size: 0x1, owner: 0x2, permissions: 0x4, times: 0x8, extended: 0x8000_0000 };

/** Reads one packet from its type on. Everything throws MalformedError past its end. */
export class PacketReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  byte(): number {
    return this.#take(1).readUInt8();
  }

  uint32(): number {
    return this.#take(4).readUInt32BE();
  }

  /** Sizes and counts; above 2^53 they are no sizes. */
  uint64(): number {
    const value = Number(this.#take(8).readBigUInt64BE());
    if (!Number.isSafeInteger(value)) throw new MalformedError('a number is larger than any file');
    return value;
  }

  string(): Buffer {
    return this.#take(this.uint32());
  }

  attributes(): FileAttributes {
    const flags = this.uint32();
    const has = (flag: number): boolean => (flags & flag) !== 0;
    const sizeBytes = has(attributeFlag.size) ? this.uint64() : undefined;
    if (has(attributeFlag.owner)) this.#take(8);
    const mode = has(attributeFlag.permissions) ? this.uint32() : undefined;
    const modifiedMs = has(attributeFlag.times) ? (this.#take(4), this.uint32() * 1000) : undefined;
    if (has(attributeFlag.extended)) this.#skipExtended();
    return { sizeBytes, mode, modifiedMs };
  }

  #skipExtended(): void {
    for (let left = this.uint32(); left > 0; left--) {
      this.string();
      this.string();
    }
  }

  #take(bytes: number): Buffer {
    const end = this.#at + bytes;
    if (end > this.#bytes.length) throw new MalformedError('a packet ends before its fields do');
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}
