/**
 * One part of an artifact's ordered chunk list: first the packs it uses (id and header, so that a chunk
 * is one range request), then one record a chunk. Byte by byte in man lifeboat-repository(7).
 */
import { LifeboatError } from '../../lib/errors.ts';
import { headerBytes, tagBytes } from '../box/layout.ts';
import { maxObjectBytes } from '../../storage/storage.ts';
import { codec, maxFramePlainBytes } from '../box/codec.ts';

/** Where a chunk lies. `frame`: its number in the pack; offsets and lengths in bytes. */
export interface ChunkPlace {
  readonly packId: Buffer;
  readonly packHeader: Buffer;
  readonly frame: number;
  readonly offset: number;
  readonly storedLength: number;
  readonly plainLength: number;
  readonly codec: number;
}

export interface ChunkRecord extends ChunkPlace {
  readonly id: Buffer;
}

/** The format's limit of chunks in one part. */
const maxChunks = 250_000;
const packRecordBytes = 16 + headerBytes;
const chunkRecordBytes = 57;

/** The key of a pack in the repository. */
export function packKey(packId: Buffer): string {
  const id = packId.toString('hex');
  return `packs/${id.slice(0, 2)}/${id}.pack`;
}

/** Builds one part; `add` in stream order. */
export class IndexPartBuilder {
  readonly #packs = new Map<string, { readonly number: number; readonly place: ChunkPlace }>();
  readonly #records: Buffer[] = [];

  get chunks(): number {
    return this.#records.length;
  }

  add(id: Buffer, place: ChunkPlace): void {
    const packId = place.packId.toString('latin1');
    let pack = this.#packs.get(packId);
    if (pack === undefined) this.#packs.set(packId, (pack = { number: this.#packs.size, place }));
    const record = Buffer.allocUnsafe(chunkRecordBytes);
    id.copy(record, 0);
    record.writeUInt32LE(pack.number, 32);
    record.writeUInt32LE(place.frame, 36);
    record.writeBigUInt64LE(BigInt(place.offset), 40);
    record.writeUInt32LE(place.storedLength, 48);
    record.writeUInt32LE(place.plainLength, 52);
    record.writeUInt8(place.codec, 56);
    this.#records.push(record);
  }

  encode(): Buffer {
    const packs = [...this.#packs.values()].flatMap(({ place }) => [place.packId, place.packHeader]);
    return Buffer.concat([u32(this.#packs.size), ...packs, u32(this.#records.length), ...this.#records]);
  }
}

/**
 * One part as it was stored, opened; reads records in place. Throws (integrity) on anything that is not exactly such a
 * part.
 */
export class IndexPart {
  readonly bytes: Buffer;
  readonly chunks: number;
  readonly #packs: { readonly packId: Buffer; readonly packHeader: Buffer }[] = [];
  readonly #recordsAt: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    const packCount = bytes.length < 8 ? -1 : bytes.readUInt32LE(0);
    const countAt = 4 + packCount * packRecordBytes;
    if (packCount < 0 || countAt + 4 > bytes.length) throw damaged();
    for (let at = 4; at < countAt; at += packRecordBytes) {
      this.#packs.push({
        packId: bytes.subarray(at, at + 16),
        packHeader: bytes.subarray(at + 16, at + packRecordBytes),
      });
    }
    this.chunks = bytes.readUInt32LE(countAt);
    this.#recordsAt = countAt + 4;
    if (this.chunks > maxChunks || this.#recordsAt + this.chunks * chunkRecordBytes !== bytes.length) throw damaged();
  }

  /** The id of chunk `n`, a view. */
  id(n: number): Buffer {
    const at = this.#recordsAt + n * chunkRecordBytes;
    return this.bytes.subarray(at, at + 32);
  }

  record(n: number): ChunkRecord {
    const at = this.#recordsAt + n * chunkRecordBytes;
    const pack = this.#packs[this.bytes.readUInt32LE(at + 32)];
    if (pack === undefined) throw damaged();
    const record = {
      id: this.id(n),
      packId: pack.packId,
      packHeader: pack.packHeader,
      frame: this.bytes.readUInt32LE(at + 36),
      offset: Number(this.bytes.readBigUInt64LE(at + 40)),
      storedLength: this.bytes.readUInt32LE(at + 48),
      plainLength: this.bytes.readUInt32LE(at + 52),
      codec: this.bytes.readUInt8(at + 56),
    };
    if (
      record.codec > codec.lz4 ||
      record.plainLength > maxFramePlainBytes ||
      record.storedLength < tagBytes ||
      record.offset < headerBytes + record.frame * tagBytes ||
      record.offset > maxObjectBytes
    ) {
      throw damaged();
    }
    return record;
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function damaged(): LifeboatError {
  return new LifeboatError('integrity', 'an index part is not well formed');
}
