/**
 * A walk through an RDB file of Redis (versions 1 to 13 and what follows in the same form) or Valkey:
 * every key with its database, type, expiry and the place of its value, functions, auxiliary fields, and
 * the checksum at the end. Streams: memory does not depend on the file's size nor on what it claims.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import { damaged, RdbInput, truncated } from './input.ts';
import { headerBytes, readByte, readLength, readString, tryReadString } from './lengths.ts';
import type { RedisType } from './values.ts';
import { keyMetadataUnits, layoutOf, moduleAuxUnits, slotImportUnits, slotInfoUnits, ValueSkipper } from './values.ts';

/** One key. `key` is valid during the call only: copy it to keep it. */
export interface RdbKey {
  readonly db: number;
  readonly key: Buffer;
  readonly type: RedisType;
  /** The type byte in the file; with the value's bytes it makes a DUMP payload. */
  readonly typeCode: number;
  /** Milliseconds since 1970; undefined: never. */
  readonly expireAtMs: number | undefined;
  /** LRU idle seconds and LFU frequency, where the server recorded them. */
  readonly idleSeconds: number | undefined;
  readonly frequency: number | undefined;
  /** Modules have added something to it, which stands before it and is no part of the value. */
  readonly hasMetadata: boolean;
  /** The value without its type byte: byte range of the file. */
  readonly valueOffset: number;
  readonly valueLength: number;
}

/** A function library: its code, and the bytes in the file (opcode included) that FUNCTION RESTORE takes. */
export interface RdbFunction {
  readonly code: Buffer;
  readonly offset: number;
  readonly length: number;
}

export interface RdbVisitor {
  readonly onKey?: (key: RdbKey) => void | Promise<void>;
  readonly onFunction?: (library: RdbFunction) => void;
  readonly onAux?: (name: string, value: Buffer) => void;
}

export interface RdbEnd {
  readonly version: number;
  readonly valkey: boolean;
  /** unverified: the server wrote no checksum (rdbchecksum no, or a version before 5). */
  readonly crc: 'verified' | 'unverified';
  readonly bytes: number;
}

/**
 * Reads all of a file. Throws a LifeboatError: integrity when it is truncated, damaged or followed by other
 * bytes; tool when it is of a later version and holds a type this program does not know.
 */
export async function walkRdb(source: AsyncIterable<Uint8Array>, visitor: RdbVisitor): Promise<RdbEnd> {
  const input = new RdbInput(source);
  try {
    return await new Walk(input, visitor).run();
  } finally {
    await input.close();
  }
}

/** The newest versions all of whose types and opcodes values.ts and this walk know: Redis 8.6, Valkey 9.1. */
export const newestRdbVersions = { redis: 13, valkey: 80 } as const;

class Walk {
  readonly #input: RdbInput;
  readonly #visitor: RdbVisitor;
  readonly #skipper: ValueSkipper;
  #version = 0;
  #valkey = false;
  #db = 0;
  #expireAtMs: number | undefined;
  #idleSeconds: number | undefined;
  #frequency: number | undefined;
  #hasMetadata = false;

  constructor(input: RdbInput, visitor: RdbVisitor) {
    this.#input = input;
    this.#visitor = visitor;
    this.#skipper = new ValueSkipper(input);
  }

  async run(): Promise<RdbEnd> {
    await this.#header();
    const input = this.#input;
    for (;;) {
      if (input.available < headerBytes) await input.fill(headerBytes);
      const code = readByte(input);
      if (code === 255) return this.#end();
      if (code < 240) await this.#key(code);
      else await this.#opcode(code);
    }
  }

  async #header(): Promise<void> {
    await this.#input.fill(9);
    const text = this.#input.buffer.toString('latin1', 0, 9);
    const match = /^(?:REDIS(\d{4})|VALKEY(\d{3}))$/.exec(text);
    if (match === null) throw damaged(0, 'it does not begin as an RDB file does');
    this.#input.at = 9;
    this.#version = Number(match[1] ?? match[2]);
    this.#valkey = match[2] !== undefined;
    if (this.#version === 0) throw damaged(5, 'RDB version 0');
  }

  /** Everything that is no key and no end. */
  async #opcode(code: number): Promise<void> {
    const input = this.#input;
    switch (code) {
      case 254:
        this.#db = readLength(input);
        if (this.#db > 2 ** 31) throw damaged(input.offset, `a database number of ${this.#db}`);
        return;
      case 253:
        this.#expireAtMs = this.#fixed(4).readInt32LE() * 1000;
        return;
      case 252:
        this.#expireAtMs = Number(this.#fixed(8).readBigInt64LE());
        return;
      case 251:
        readLength(input);
        readLength(input);
        return;
      case 250: {
        const name = (await readString(input)).toString('latin1', 0, 256);
        const value = await readString(input);
        this.#visitor.onAux?.(name, value);
        return;
      }
      case 249:
        this.#frequency = readByte(input);
        return;
      case 248:
        this.#idleSeconds = readLength(input);
        return;
      case 247:
        return this.#skip(moduleAuxUnits);
      case 245:
        return this.#function();
      case 244:
        return this.#skip(slotInfoUnits);
      case 243:
        if (this.#valkey) return this.#skip(slotImportUnits);
        this.#hasMetadata = true;
        return this.#skip(keyMetadataUnits);
      default:
        throw this.#unknown(`opcode ${code}`);
    }
  }

  async #function(): Promise<void> {
    const offset = this.#input.offset - 1;
    const code = await readString(this.#input);
    this.#visitor.onFunction?.({ code, offset, length: this.#input.offset - offset });
  }

  async #key(typeCode: number): Promise<void> {
    const input = this.#input;
    const layout = layoutOf(typeCode, this.#valkey);
    if (layout === undefined) throw this.#unknown(`value type ${typeCode}`);
    const found = tryReadString(input) ?? (await readString(input));
    const valueOffset = input.offset;
    // A view into the buffer must be saved before the buffer is refilled.
    this.#skipper.start(layout.units);
    let key = found;
    if (!this.#skipper.run()) {
      key = Buffer.from(found);
      await this.#finishSkip();
    }
    const seen = this.#visitor.onKey?.({
      db: this.#db,
      key,
      type: layout.type,
      typeCode,
      expireAtMs: this.#expireAtMs,
      idleSeconds: this.#idleSeconds,
      frequency: this.#frequency,
      hasMetadata: this.#hasMetadata,
      valueOffset,
      valueLength: input.offset - valueOffset,
    });
    this.#expireAtMs = this.#idleSeconds = this.#frequency = undefined;
    this.#hasMetadata = false;
    if (seen !== undefined) await seen;
  }

  async #skip(units: Parameters<ValueSkipper['start']>[0]): Promise<void> {
    this.#skipper.start(units);
    if (!this.#skipper.run()) await this.#finishSkip();
  }

  async #finishSkip(): Promise<void> {
    do await this.#input.fill(Math.max(headerBytes, this.#input.available + 1));
    while (!this.#skipper.run());
  }

  #fixed(length: number): Buffer {
    const input = this.#input;
    if (input.available < length) throw truncated(input.offset);
    input.at += length;
    return input.buffer.subarray(input.at - length, input.at);
  }

  async #end(): Promise<RdbEnd> {
    const input = this.#input;
    const result = { version: this.#version, valkey: this.#valkey };
    input.checksum();
    const expected = input.crc.digest();
    let crc: RdbEnd['crc'] = 'unverified';
    if (this.#version >= 5) {
      const stored = Buffer.from(await input.take(8));
      if (!stored.equals(Buffer.alloc(8))) {
        if (!stored.equals(expected)) throw damaged(input.offset - 8, 'its checksum does not match its content');
        crc = 'verified';
      }
    }
    await input.fill(1);
    if (input.available > 0) throw damaged(input.offset, 'something follows its end');
    return { ...result, crc, bytes: input.offset };
  }

  /** In a version whose every type is known here, a type that is not is damage; in a later one it may be news. */
  #unknown(what: string): LifeboatError {
    const version = this.#version;
    if (version <= newestRdbVersions[this.#valkey ? 'valkey' : 'redis']) {
      return damaged(this.#input.offset, `${what} is not part of RDB version ${version}`);
    }
    return new LifeboatError(
      'tool',
      `cannot read the Redis snapshot: ${what} of RDB version ${version} is not known to this version of lifeboat`,
      { hint: 'update lifeboat' },
    );
  }
}
