/**
 * How the frames of one box are sealed and opened: AES-256-GCM under a key of the box's own, or a checksum where the
 * repository is not encrypted. Each frame is bound to its box and its number.
 */
import { createCipheriv, createDecipheriv, createHash, timingSafeEqual } from 'node:crypto';
import { derive, type DataKey } from './crypto.ts';
import { damagedBox, headerBytes, parseHeader, tagBytes, type BoxKind } from './layout.ts';

/**
 * The cipher to open a box with: checks the header against `kind` and that it was sealed under exactly `dataKey` (or
 * without encryption).
 */
export function cipherFor(header: Buffer, kind: BoxKind, dataKey: DataKey | undefined): BoxCipher {
  const keyId = parseHeader(header, kind);
  if (keyId === undefined && dataKey !== undefined) throw damagedBox('a box is not encrypted although its backup is');
  if (keyId !== undefined && dataKey?.id.equals(keyId) !== true) {
    throw damagedBox('a box was sealed under another key than its backup');
  }
  return new BoxCipher(header, dataKey);
}

/** Seals and opens the frames of one box. */
export class BoxCipher {
  readonly header: Buffer;
  readonly #key: Buffer | undefined;

  /** `header` must have passed `parseHeader`, or come from `newHeader`. */
  constructor(header: Buffer, dataKey: DataKey | undefined) {
    this.header = header;
    const kind = header[5] ?? 0;
    this.#key =
      dataKey === undefined ? undefined : derive(dataKey.key, header.subarray(24, 56), `lifeboat/1/box/${kind}`);
  }

  /** Writes body and tag into `target` at `at`; returns the number of bytes written. */
  sealInto(target: Uint8Array, at: number, n: number, body: Uint8Array): number {
    return this.#seal(target, at, frameNonce(n), this.#aad(n), body);
  }

  sealDirectory(frameCount: number, directory: Uint8Array): Buffer {
    const sealed = Buffer.allocUnsafe(directory.length + tagBytes);
    this.#seal(sealed, 0, directoryNonce(frameCount), this.#aad(frameCount), directory);
    return sealed;
  }

  /** The body of frame `n`; throws (integrity) when it was not sealed as that. */
  open(n: number, stored: Uint8Array): Uint8Array {
    return this.#open(frameNonce(n), this.#aad(n), stored);
  }

  openDirectory(frameCount: number, stored: Uint8Array): Uint8Array {
    return this.#open(directoryNonce(frameCount), this.#aad(frameCount), stored);
  }

  #aad(n: number): Buffer {
    const aad = Buffer.allocUnsafe(headerBytes + 8);
    this.header.copy(aad);
    aad.writeBigUInt64LE(BigInt(n), headerBytes);
    return aad;
  }

  #seal(target: Uint8Array, at: number, nonce: Buffer, aad: Buffer, body: Uint8Array): number {
    if (this.#key === undefined) {
      target.set(body, at);
      target.set(plainTag(this.header, nonce, body), at + body.length);
      return body.length + tagBytes;
    }
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    cipher.setAAD(aad);
    target.set(cipher.update(body), at);
    cipher.final();
    target.set(cipher.getAuthTag(), at + body.length);
    return body.length + tagBytes;
  }

  #open(nonce: Buffer, aad: Buffer, stored: Uint8Array): Uint8Array {
    if (stored.length < tagBytes) throw damagedBox('a frame is shorter than its tag');
    const body = stored.subarray(0, stored.length - tagBytes);
    const tag = stored.subarray(stored.length - tagBytes);
    if (this.#key === undefined) {
      if (!timingSafeEqual(plainTag(this.header, nonce, body), tag)) throw damagedBox('a frame fails its checksum');
      return body;
    }
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(aad);
    decipher.setAuthTag(tag);
    const plain = decipher.update(body);
    try {
      decipher.final();
    } catch (cause) {
      throw damagedBox('a frame fails its authentication', cause);
    }
    return plain;
  }
}

function frameNonce(n: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(n), 4);
  return nonce;
}

function directoryNonce(frameCount: number): Buffer {
  const nonce = frameNonce(frameCount);
  nonce.writeUInt32BE(1, 0);
  return nonce;
}

function plainTag(header: Buffer, nonce: Buffer, body: Uint8Array): Buffer {
  return createHash('sha256').update(header).update(nonce).update(body).digest().subarray(0, tagBytes);
}
