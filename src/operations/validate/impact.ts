/**
 * What damaged packs touch: every backup of the repository that uses one of them, not only those being
 * checked, and in it the artifacts whose chunks do not open. A pack can be damaged where nobody reads it
 * (its directory, a chunk that only an older backup used), so each chunk is tried as a restore would.
 */
import { boxKind } from '../../repository/box/layout.ts';
import { chunkIdKey, chunkIdOf } from '../../repository/box/chunk-id.ts';
import { cipherFor } from '../../repository/box/cipher.ts';
import { decode } from '../../repository/box/codec.ts';
import { sha256, type DataKey } from '../../repository/box/crypto.ts';
import { packKey, type ChunkRecord } from '../../repository/packs/index-part.ts';
import { decodePackTable } from '../../repository/packs/usage.ts';
import { damaged } from '../../repository/box/seal.ts';
import type { Storage } from '../../storage/storage.ts';
import { asFault, type DamageBook, faultOf } from './damage.ts';
import { visitIndexes } from './indexes.ts';
import { packsOfIndexes, type OpenBackup, type Tally } from './objects.ts';
import { packsKey } from '../../repository/object-keys.ts';

/** A damaged pack; tries single chunks of it. */
export class BadPack {
  readonly key: string;
  readonly #storage: Storage;
  readonly #isMissing: boolean;
  /** By frame. */
  readonly #known = new Map<number, boolean>();
  #bytes: WeakRef<Buffer> | undefined;

  constructor(storage: Storage, packId: Buffer, isMissing: boolean) {
    this.key = packKey(packId);
    this.#storage = storage;
    this.#isMissing = isMissing;
  }

  /** Whether the chunk can be read although its pack is damaged. */
  async opens(record: ChunkRecord, dataKey: DataKey | undefined): Promise<boolean> {
    const known = this.#known.get(record.frame);
    if (known !== undefined) return known;
    const opens = !this.#isMissing && (await this.#tryOpen(record, dataKey));
    this.#known.set(record.frame, opens);
    return opens;
  }

  async #tryOpen(record: ChunkRecord, dataKey: DataKey | undefined): Promise<boolean> {
    try {
      const bytes = await this.#read();
      const cipher = cipherFor(record.packHeader, boxKind.pack, dataKey);
      const body = cipher.open(record.frame, bytes.subarray(record.offset, record.offset + record.storedLength));
      const plain = await decode(body, record.codec, record.plainLength);
      return chunkIdOf(chunkIdKey(dataKey), plain).equals(record.id);
    } catch (error) {
      // Throws what says nothing of the pack.
      asFault(error, this.key);
      return false;
    }
  }

  /** Kept while there is room: the chunks of one pack mostly come one after the other. */
  async #read(): Promise<Buffer> {
    const kept = this.#bytes?.deref();
    if (kept !== undefined) return kept;
    const bytes = await this.#storage.get(this.key);
    this.#bytes = new WeakRef(bytes);
    return bytes;
  }
}

/** Enters into the book which backups and artifacts the damaged packs touch. `bad` by packId as latin1 text. */
export async function findTouched(
  storage: Storage,
  backups: AsyncIterable<OpenBackup>,
  bad: ReadonlyMap<string, BadPack>,
  book: DamageBook,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  if (bad.size === 0) return;
  for await (const backup of backups) {
    const packs = await packIdsOf(storage, backup, tally);
    const used = packs.flatMap((id) => bad.get(id.toString('latin1')) ?? []);
    for (const { key } of used) book.touch(key, backup.id);
    if (used.length > 0) await findInIndexes(storage, backup, bad, book, tally, signal);
  }
}

async function packIdsOf(storage: Storage, backup: OpenBackup, tally: Tally): Promise<Buffer[]> {
  const ids: Buffer[] = [];
  const fault = await faultOf(storage, packsKey(backup.id), (bytes) => {
    if (sha256(bytes).toString('hex') !== backup.manifest.packsSha256) {
      throw damaged(packsKey(backup.id), 'it is not what the manifest names');
    }
    for (const { packId } of decodePackTable(bytes)) ids.push(packId);
  });
  return fault === undefined ? ids : packsOfIndexes(storage, backup, tally);
}

async function findInIndexes(
  storage: Storage,
  backup: OpenBackup,
  bad: ReadonlyMap<string, BadPack>,
  book: DamageBook,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const visitor = {
    // An index that cannot be read is told where that backup is checked itself.
    onFault: () => {},
    onRecord: (
      artifact: { readonly name: string },
      _part: string,
      { record, start, end }: { record: ChunkRecord; start: number; end: number },
    ) => {
      const pack = bad.get(record.packId.toString('latin1'));
      if (pack === undefined) return undefined;
      return pack.opens(record, backup.dataKey).then((opens) => {
        if (!opens) book.touchArtifact(pack.key, backup.id, artifact.name, { start, end });
      });
    },
  };
  await visitIndexes(storage, backup, tally, visitor, signal);
}
