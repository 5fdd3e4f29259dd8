/**
 * Boxes of write-ahead log (kind 3): frames of 1 MiB, and with encryption the writer's signature at the end
 * of the directory, since no manifest vouches for them. Layout: man lifeboat-repository(7), "Sealed box".
 * Their frames have no chunk ids: nothing refers to a frame by its content, and hashing took a third of a push.
 */
import type { CompressionConfig } from '../../config/config.ts';
import { libuvThreads, Places } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { BoxCipher } from '../box/cipher.ts';
import {
  boxKind,
  encodeDirectory,
  encodeTrailer,
  headerBytes,
  newHeader,
  parseHeader,
  tagBytes,
  type FrameEntry,
} from '../box/layout.ts';
import { noChunkId } from '../box/chunk-id.ts';
import { openBoxFrames, openWholeBox } from '../box/box.ts';
import { encode } from '../box/codec.ts';
import { distrustOf, keyNeeded, type SealingKey } from '../keys/sealed-records.ts';
import type { OpenedKey } from '../keys/cached-open.ts';
import type { Keyring } from '../keys/keyring.ts';
import { damaged, DamagedError } from '../box/seal.ts';
import { isSignedBy } from '../box/signing.ts';

const frameBytes = 1024 * 1024;
/** Of all files together: a compressor holds some MiB. */
const compressing = new Places(libuvThreads);
/** A file of log, or the list of the parts of one. */
type LogKind = typeof boxKind.wal | typeof boxKind.parts;

const publicKeyBytes = 32;
const signatureBytes = 64;

/**
 * Seals a file of write-ahead log under the name `key`; the frames are compressed side by side. Returns the parts of
 * the object, its header first.
 */
export async function sealWalBox(
  key: string,
  body: Uint8Array,
  sealing: SealingKey,
  compression: CompressionConfig,
  kind: LogKind = boxKind.wal,
): Promise<Uint8Array[]> {
  const { dataKey, signer } = sealing;
  if (dataKey !== undefined && signer === undefined) {
    throw new TypeError('an encrypted box of write-ahead log needs a signer');
  }
  const cipher = new BoxCipher(newHeader(kind, dataKey, body.subarray(0, frameBytes)), dataKey);
  const plain = Array.from({ length: Math.ceil(body.length / frameBytes) }, (_, n) =>
    body.subarray(n * frameBytes, (n + 1) * frameBytes),
  );
  const encoded = await Promise.all(plain.map((each) => compressing.run(() => encode(each, compression))));
  const parts: Uint8Array[] = [cipher.header];
  const frames: FrameEntry[] = [];
  let offset = headerBytes;
  for (const [n, { codec, body: stored }] of encoded.entries()) {
    const sealed = Buffer.allocUnsafe(stored.length + tagBytes);
    cipher.sealInto(sealed, 0, n, stored);
    frames.push({ offset, storedLength: sealed.length, plainLength: plain[n]?.length ?? 0, codec, chunkId: noChunkId });
    offset += sealed.length;
    parts.push(sealed);
  }
  let directory = encodeDirectory(key, frames);
  if (signer !== undefined && dataKey !== undefined) {
    const signed = Buffer.concat([directory, signer.publicKey]);
    directory = Buffer.concat([signed, signer.sign(Buffer.concat([cipher.header, signed]))]);
  }
  const sealed = cipher.sealDirectory(frames.length, directory);
  return [
    ...parts,
    sealed,
    encodeTrailer({ directoryOffset: offset, directoryLength: sealed.length, frameCount: frames.length }),
  ];
}

/** The salt that makes a box's header unlike any other's. */
export function saltOf(header: Uint8Array): Buffer {
  return Buffer.from(header.subarray(24, 56));
}

/**
 * Opens a box that was read as `key`; every frame and the signature are checked. `keyring` is undefined without
 * encryption. Throws LifeboatError `integrity` for damage, `key` when its data key cannot be opened or, without
 * `force`, when no trusted writer signed it.
 */
export async function openWalBox(
  bytes: Buffer,
  key: string,
  keyring: Keyring | undefined,
  { force = false, kind = boxKind.wal }: { readonly force?: boolean; readonly kind?: LogKind } = {},
): Promise<Buffer> {
  try {
    const dataKey = await dataKeyOf(bytes, key, kind, keyring);
    await checkSignature(bytes, { key, kind, dataKey, keyring, force });
    const parts: Uint8Array[] = [];
    for await (const plain of openBoxFrames(bytes, kind, key, dataKey)) parts.push(plain);
    return Buffer.concat(parts);
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'integrity' && !(error instanceof DamagedError)) {
      throw damaged(key, error.message, error);
    }
    throw error;
  }
}

/** The data key that the header names. */
async function dataKeyOf(
  bytes: Buffer,
  key: string,
  kind: LogKind,
  keyring: Keyring | undefined,
): Promise<OpenedKey | undefined> {
  const id = parseHeader(bytes.subarray(0, headerBytes), kind);
  if (keyring === undefined) {
    if (id !== undefined) throw keyNeeded(`read ${key}`);
    return undefined;
  }
  if (id === undefined) throw damaged(key, 'it is not encrypted, in an encrypted repository');
  return keyring.open(id.toString('hex'));
}

interface Opening {
  readonly key: string;
  readonly kind: LogKind;
  readonly dataKey: OpenedKey | undefined;
  readonly keyring: Keyring | undefined;
  readonly force: boolean;
}

async function checkSignature(bytes: Buffer, { key, kind, dataKey, keyring, force }: Opening): Promise<void> {
  const { rest, signed } = openWholeBox(bytes, kind, key, dataKey);
  if (dataKey === undefined || keyring === undefined) {
    if (rest.length > 0) throw damaged(key, 'its directory is too long');
    return;
  }
  if (rest.length !== publicKeyBytes + signatureBytes) throw damaged(key, 'it holds no signature');
  const publicKey = rest.subarray(0, publicKeyBytes);
  const value = rest.subarray(publicKeyBytes);
  if (!(await isSignedBy(publicKey, Buffer.concat([bytes.subarray(0, headerBytes), signed, publicKey]), value))) {
    throw damaged(key, 'its signature does not match');
  }
  const doubt = distrustOf({
    authenticity: await keyring.authenticity(dataKey, { key: publicKey, value }),
    signedBy: publicKey.toString('base64'),
  });
  if (doubt === undefined || force) return;
  throw new LifeboatError('key', `${key} is not trusted: ${doubt}`, {
    hint: 'add the writer to encryption.trustedKeys, or take it as it is with --force',
  });
}
