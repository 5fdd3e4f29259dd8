/**
 * Packs: all that the checked backups use, each once however many of them share it. Presence and size by
 * one listing; then whole objects are read, a few side by side, and every frame is authenticated.
 */
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { boxKind, headerBytes, type FrameEntry } from '../../repository/box/layout.ts';
import { openWholeBox } from '../../repository/box/box.ts';
import type { DataKey } from '../../repository/box/crypto.ts';
import { packKey, type ChunkRecord } from '../../repository/packs/index-part.ts';
import { damaged } from '../../repository/box/seal.ts';
import { NotFoundError, type ObjectInfo, type Storage } from '../../storage/storage.ts';
import { asFault, SizeError, type Fault } from './damage.ts';

export interface PackEntry {
  readonly id: Buffer;
  readonly dataKey: DataKey | undefined;
  /** Undefined when no table tells it. */
  bytes: number | undefined;
  isPresent: boolean;
}

/** By packId as latin1 text. */
export type PackSet = Map<string, PackEntry>;

/** Adds one pack that a backup uses. */
export function addPack(packs: PackSet, id: Buffer, bytes: number | undefined, dataKey: DataKey | undefined): void {
  const known = packs.get(id.toString('latin1'));
  if (known === undefined) packs.set(id.toString('latin1'), { id: Buffer.from(id), dataKey, bytes, isPresent: false });
  else known.bytes ??= bytes;
}

/** From so many packs on, one listing costs less than a look at each. */
const listFrom = 300;
const sideBySide = 16;

/** Which packs are missing or have another size. */
export async function checkPresence(
  storage: Storage,
  packs: PackSet,
  signal: AbortSignal,
): Promise<Map<PackEntry, Fault>> {
  const faults = new Map<PackEntry, Fault>();
  const seen = (pack: PackEntry, { sizeBytes }: ObjectInfo): void => {
    pack.isPresent = true;
    if (pack.bytes !== undefined && pack.bytes !== sizeBytes) {
      faults.set(pack, asFault(new SizeError(sizeBytes, pack.bytes), ''));
    }
    pack.bytes ??= sizeBytes;
  };
  if (packs.size > listFrom) {
    for await (const info of storage.list('packs/')) {
      signal.throwIfAborted();
      const id = /^packs\/[0-9a-f]{2}\/([0-9a-f]{32})\.pack$/.exec(info.key)?.[1];
      const pack = id === undefined ? undefined : packs.get(Buffer.from(id, 'hex').toString('latin1'));
      if (pack !== undefined && packKey(pack.id) === info.key) seen(pack, info);
    }
  }
  // Few packs, or such as the listing did not show: each is asked for before it counts as lost.
  const unseen = packs.values().filter(({ isPresent }) => !isPresent);
  const ask = async (pack: PackEntry): Promise<void> => {
    try {
      seen(pack, await storage.stat(packKey(pack.id)));
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      faults.set(pack, asFault(error, ''));
    }
  };
  await forEachSideBySide(unseen, sideBySide, ask, signal);
  return faults;
}

/** The frames of a pack as its own directory tells them, in 16 bytes each: what index records are compared with. */
export class FrameTable {
  readonly header: Buffer;
  readonly frames: number;
  readonly #table: Buffer;

  constructor(header: Buffer, frames: readonly FrameEntry[]) {
    this.header = Buffer.from(header);
    this.frames = frames.length;
    this.#table = Buffer.allocUnsafe(frames.length * 16);
    for (const [n, frame] of frames.entries()) writeFrame(this.#table, n * 16, frame.offset, frame.chunkId, frame);
  }

  /** Whether an index record says of its chunk what the pack itself says. */
  agrees(record: ChunkRecord): boolean {
    if (record.frame >= this.frames || !record.packHeader.equals(this.header)) return false;
    writeFrame(scratch, 0, record.offset, record.id, record);
    return scratch.equals(this.#table.subarray(record.frame * 16, record.frame * 16 + 16));
  }
}

const scratch = Buffer.alloc(16);

/**
 * Offsets lie below 64 MiB, plain lengths up to 16 MiB; four bytes of the chunk id tell slips apart (both sides are
 * authenticated).
 */
function writeFrame(
  target: Buffer,
  at: number,
  offset: number,
  chunkId: Buffer,
  { storedLength, plainLength, codec }: Pick<FrameEntry, 'storedLength' | 'plainLength' | 'codec'>,
): void {
  target.writeUInt32LE(offset % 2 ** 32, at);
  target.writeUInt32LE(storedLength, at + 4);
  target.writeUInt32LE(((codec << 28) | plainLength) >>> 0, at + 8);
  chunkId.copy(target, at + 12, 0, 4);
}

/** Authenticates every byte of a pack. Throws (integrity). */
export function verifyPack(bytes: Buffer, pack: PackEntry): FrameTable {
  const key = packKey(pack.id);
  if (pack.bytes !== undefined && bytes.length !== pack.bytes) throw new SizeError(bytes.length, pack.bytes);
  const { cipher, frames, rest } = openWholeBox(bytes, boxKind.pack, key, pack.dataKey);
  if (rest.length > 0) throw damaged(key, 'its directory is too long');
  for (const [n, frame] of frames.entries()) {
    cipher.open(n, bytes.subarray(frame.offset, frame.offset + frame.storedLength));
  }
  return new FrameTable(bytes.subarray(0, headerBytes), frames);
}

export interface PackReading {
  readonly storage: Storage;
  /** Packs read side by side: while one is being read, others are checked. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
  readonly onFault: (pack: PackEntry, fault: Fault) => void;
}

/** Reads packs until `queue` is empty or so many frames are known that the caller should use them. */
export async function readPacks(
  reading: PackReading,
  queue: Iterator<PackEntry>,
  maxFrames: number,
): Promise<Map<string, FrameTable>> {
  const tables = new Map<string, FrameTable>();
  let frames = 0;
  const next = function* (): Generator<PackEntry> {
    while (frames < maxFrames) {
      const { value, done } = queue.next();
      if (done === true) return;
      yield value;
    }
  };
  const read = async (pack: PackEntry): Promise<void> => {
    try {
      const bytes = await reading.storage.get(packKey(pack.id));
      reading.onBytes(bytes.length);
      const table = verifyPack(bytes, pack);
      frames += table.frames;
      tables.set(pack.id.toString('latin1'), table);
    } catch (error) {
      reading.onFault(pack, asFault(error, packKey(pack.id)));
    }
  };
  await forEachSideBySide(next(), reading.jobs, read, reading.signal);
  return tables;
}
