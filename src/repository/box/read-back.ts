/** Reads back what was just stored: the ends of a box and one of its frames must open as they were sealed. */
import { LifeboatError } from '../../lib/errors.ts';
import type { Storage } from '../../storage/storage.ts';
import { chunkIdKey, chunkIdOf } from './chunk-id.ts';
import { cipherFor } from './cipher.ts';
import { headerBytes, parseDirectory, parseTrailer, trailerBytes, type BoxKind } from './layout.ts';
import { decode } from './codec.ts';
import type { DataKey } from './crypto.ts';

export interface StoredBox {
  readonly kind: BoxKind;
  readonly dataKey: DataKey | undefined;
  readonly objectBytes: number;
  readonly directoryBytes: number;
  /** Which frame to open; ignored in a box without frames. */
  readonly frame: number;
}

/** Throws (integrity, storage) unless trailer, directory and the chosen frame are as they were written. */
export async function checkStoredBox(storage: Storage, key: string, box: StoredBox): Promise<void> {
  try {
    const end = box.objectBytes - trailerBytes;
    const { sizeBytes } = await storage.stat(key);
    if (sizeBytes !== box.objectBytes) {
      throw new LifeboatError('integrity', `it has ${sizeBytes} bytes, not ${box.objectBytes}`);
    }
    const [header, tail] = await Promise.all([
      storage.get(key, { start: 0, end: headerBytes }),
      storage.get(key, { start: end - box.directoryBytes, end: box.objectBytes }),
    ]);
    const cipher = cipherFor(header, box.kind, box.dataKey);
    const trailer = parseTrailer(tail.subarray(box.directoryBytes), box.objectBytes);
    const { frames } = parseDirectory(
      cipher.openDirectory(trailer.frameCount, tail.subarray(0, box.directoryBytes)),
      key,
      trailer,
    );
    const frame = frames[box.frame];
    if (frame === undefined) return;
    const stored = await storage.get(key, { start: frame.offset, end: frame.offset + frame.storedLength });
    const plain = await decode(cipher.open(box.frame, stored), frame.codec, frame.plainLength);
    if (!chunkIdOf(chunkIdKey(box.dataKey), plain).equals(frame.chunkId)) {
      throw new LifeboatError('integrity', 'a frame has another chunk id than its directory says');
    }
  } catch (error) {
    if (!(error instanceof LifeboatError) || !['integrity', 'not_found'].includes(error.code)) throw error;
    throw new LifeboatError('integrity', `${key} was not stored as written: ${error.message}`, {
      hint: 'the storage changed or lost bytes; do not trust it before that is understood',
      cause: error,
    });
  }
}
