/**
 * Fills packs: seals compressed chunks into one 16 MiB buffer after another and stores each when it is
 * full, while the next is filled. All streams of a backup share one packer. The buffers are made once
 * and reused, which is what bounds a backup's memory. Every stored pack is read back and opened before
 * anything may rely on it.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { countGarbage } from '../../lib/collect.ts';
import type { Storage } from '../../storage/storage.ts';
import { BoxCipher } from '../box/cipher.ts';
import { boxKind, headerBytes, newHeader, saltFrom, tagBytes, trailerBytes, type FrameEntry } from '../box/layout.ts';
import { closing } from '../box/box.ts';
import type { Encoded } from '../box/codec.ts';
import type { DataKey } from '../box/crypto.ts';
import { packKey, type ChunkPlace } from './index-part.ts';
import { checkStoredBox } from '../box/read-back.ts';

const packBytes = 16 * 1024 * 1024;
/** One is filled while the other is on its way. */
const buffers = 2;

export interface PackerOptions {
  readonly storage: Storage;
  readonly dataKey: DataKey | undefined;
}

/** A finished pack. */
export interface StoredPack {
  readonly packId: Buffer;
  readonly objectBytes: number;
}

interface OpenPack {
  readonly id: Buffer;
  readonly buffer: Buffer;
  readonly cipher: BoxCipher;
  readonly frames: FrameEntry[];
  length: number;
}

export class Packer {
  readonly #options: PackerOptions;
  readonly #onStored: (pack: StoredPack) => void;
  readonly #free: Buffer[] = [];
  readonly #puts = new Set<Promise<void>>();
  #open: OpenPack | undefined;
  #failure: Error | undefined;

  constructor(options: PackerOptions, onStored: (pack: StoredPack) => void) {
    this.#options = options;
    this.#onStored = onStored;
    for (let n = 0; n < buffers; n++) this.#free.push(newBuffer());
  }

  /** Seals one chunk into the open pack. Calls must not overlap (the caller keeps one at a time). */
  async add(id: Buffer, plainLength: number, encoded: Encoded): Promise<ChunkPlace> {
    if (this.#failure !== undefined) throw this.#failure;
    const storedLength = encoded.body.length + tagBytes;
    if (this.#open !== undefined && this.#open.length + storedLength > packBytes) this.#store(this.#open);
    this.#open ??= await this.#begin(id);
    const pack = this.#open;
    const frame = pack.frames.length;
    const offset = pack.length;
    pack.cipher.sealInto(pack.buffer, offset, frame, encoded.body);
    pack.length += storedLength;
    // The compressor's output and the cipher's.
    countGarbage(2 * storedLength);
    pack.frames.push({ offset, storedLength, plainLength, codec: encoded.codec, chunkId: Buffer.from(id) });
    return {
      packId: pack.id,
      packHeader: pack.cipher.header,
      frame,
      offset,
      storedLength,
      plainLength,
      codec: encoded.codec,
    };
  }

  /** Stores the open pack and waits for all that are on their way. */
  async flush(): Promise<void> {
    if (this.#open !== undefined) this.#store(this.#open);
    await Promise.all(this.#puts);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #begin(firstChunkId: Buffer): Promise<OpenPack> {
    while (this.#free.length === 0) await Promise.race(this.#puts);
    if (this.#failure !== undefined) throw this.#failure;
    const buffer = this.#free.pop() as Buffer;
    const header = newHeader(boxKind.pack, this.#options.dataKey, firstChunkId);
    header.copy(buffer);
    return {
      id: saltFrom(randomBytes(16), firstChunkId).subarray(0, 16),
      buffer,
      cipher: new BoxCipher(header, this.#options.dataKey),
      frames: [],
      length: headerBytes,
    };
  }

  #store(pack: OpenPack): void {
    this.#open = undefined;
    const put = this.#put(pack)
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => {
        this.#puts.delete(put);
        this.#free.push(pack.buffer);
      });
    this.#puts.add(put);
  }

  async #put(pack: OpenPack): Promise<void> {
    const { storage, dataKey } = this.#options;
    const key = packKey(pack.id);
    const [directory, trailer] = closing(pack.cipher, key, pack.frames, pack.length);
    await storage.put(key, [pack.buffer.subarray(0, pack.length), directory, trailer], { randomName: true });
    const objectBytes = pack.length + directory.length + trailerBytes;
    await checkStoredBox(storage, key, {
      kind: boxKind.pack,
      dataKey,
      objectBytes,
      directoryBytes: directory.length,
      frame: randomInt(pack.frames.length),
    });
    this.#onStored({ packId: pack.id, objectBytes });
  }
}

/** Touched as a whole at once: what a backup needs in memory shall not depend on how much it happens to store. */
function newBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(packBytes).fill(0);
}
