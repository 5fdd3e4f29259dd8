/**
 * Turns artifacts into packs and indexes: chunks that the previous backup (or this one) has already are
 * referenced, the others compressed, sealed and packed. Several artifacts may be stored side by side.
 * Nothing it writes is visible as a backup until a manifest names it.
 */
import type { CompressionConfig } from '../../config/config.ts';
import { Places } from '../../lib/concurrency.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Artifact, Json } from '../../source/source.ts';
import type { Storage } from '../../storage/storage.ts';
import { boxKind } from '../box/layout.ts';
import { chunkIdKey } from '../box/chunk-id.ts';
import { sealBox } from '../box/box.ts';
import { ChunkThreads } from '../chunks/stream.ts';
import { encode, type Encoded } from '../box/codec.ts';
import { sha256, type DataKey } from '../box/crypto.ts';
import { defaultChunkSizes, smallChunkSizes } from '../chunks/cut-points.ts';
import { gearTable } from '../chunks/gear.ts';
import { ArtifactIndex } from './artifact-index.ts';
import type { ChunkPlace } from './index-part.ts';
import { OwnChunks } from './own-chunks.ts';
import { checkReusedPacks } from './reused-packs.ts';
import type { ManifestArtifact } from '../manifests/manifest.ts';
import { encodePackTable, PackUsage, type PackUse } from './usage.ts';
import { Packer, type StoredPack } from './packer.ts';
import { ParentIndex, type ParentBackup } from './parent-index.ts';
import { putBox, putOnce } from './put-box.ts';
import { BackupTotals, type Totals } from './totals.ts';
import type { Chunk } from '../chunks/slab.ts';
import { factsKey, indexKey, packsKey } from '../object-keys.ts';

export interface BackupWriterOptions {
  readonly storage: Storage;
  readonly repositoryId: string;
  readonly backupId: string;
  readonly dataKey: DataKey | undefined;
  readonly compression: CompressionConfig;
  readonly hangTimeoutMs: number;
  /** Refuse (exit 15) to store more than this. */
  readonly maxStoredBytes: number | undefined;
  /** The backup to deduplicate against; it must have been sealed under the same data key. */
  readonly parent: ParentBackup | undefined;
  /** Chunks compressed side by side. */
  readonly compressors: number;
  readonly context: RunContext;
}

/** Sealed index parts held back until the packs they name are stored. */
const maxPendingBytes = 4 * 1024 * 1024;

export class BackupWriter {
  readonly #options: BackupWriterOptions;
  readonly #threads = new ChunkThreads();
  readonly #gear: Uint32Array;
  readonly #idKey: Buffer | undefined;
  readonly #parent: ParentIndex | undefined;
  readonly #own = new OwnChunks();
  readonly #usage = new PackUsage();
  readonly #storedPacks = new Map<string, StoredPack>();
  readonly #packer: Packer;
  readonly #packing = new Places(1);
  readonly #compressing: Places;
  readonly #totals: BackupTotals;
  #pending: { readonly key: string; readonly parts: readonly Uint8Array[] }[] = [];
  #pendingBytes = 0;

  constructor(options: BackupWriterOptions) {
    const { dataKey, parent, storage, context } = options;
    this.#options = options;
    this.#gear = gearTable(dataKey, options.repositoryId);
    this.#idKey = chunkIdKey(dataKey);
    this.#compressing = new Places(options.compressors);
    this.#totals = new BackupTotals(options.maxStoredBytes);
    this.#parent =
      parent === undefined
        ? undefined
        : new ParentIndex(storage, dataKey, parent, (message) => context.emit({ type: 'warning', message }));
    this.#packer = new Packer({ storage, dataKey }, (pack) =>
      this.#storedPacks.set(pack.packId.toString('latin1'), pack),
    );
  }

  /** Totals of a component, live. */
  totals(component: string): Totals {
    return this.#totals.of(component);
  }

  /** Stores one artifact to its end. Rejects if its body fails; what was stored by then is garbage for cleanup. */
  async store(
    component: string,
    artifact: Artifact,
    signal: AbortSignal = this.#options.context.signal,
  ): Promise<ManifestArtifact> {
    const failure = new AbortController();
    const artifactIndex = new ArtifactIndex((part, body) =>
      this.#seal(indexKey(this.#options.backupId, artifact.name, part), body),
    );
    let tail = Promise.resolve();
    try {
      const slabs = this.#threads.cut(artifact.body, {
        gear: this.#gear,
        idKey: this.#idKey,
        sizes: artifact.chunkSize === 'small' ? smallChunkSizes : defaultChunkSizes,
        hangTimeoutMs: this.#options.hangTimeoutMs,
        signal: AbortSignal.any([signal, failure.signal]),
      });
      let position = 0;
      for await (const slab of slabs) {
        await this.#parent?.prepare(artifact.name, position);
        position += slab.count;
        for (const chunk of slab.chunks) tail = this.#keepOrder(tail, component, chunk, artifactIndex);
        tail = tail.then(() => slab.release());
        tail.catch((error: unknown) => failure.abort(error));
      }
    } finally {
      await tail;
    }
    const stored = { name: artifact.name, mediaType: artifact.mediaType, ...(await artifactIndex.finish()) };
    this.#options.context.emit({
      type: 'artifact',
      component,
      name: artifact.name,
      bytes: stored.bytes,
      storedBytes: artifactIndex.newStoredBytes,
    });
    return stored;
  }

  /**
   * Puts what is still held back: packs first, then the indexes that name them. From then on what was stored can be
   * read.
   */
  async flush(): Promise<void> {
    await this.#packing.run(async () => {
      const pending = this.#pending;
      this.#pending = [];
      this.#pendingBytes = 0;
      await this.#packer.flush();
      for (const { key, parts } of pending) await putBox(this.#options, key, boxKind.index, parts);
    });
  }

  /** Stores facts and the rest of what a manifest names, after all packs and indexes. Everything is read back. */
  async finish(facts: Json): Promise<{ readonly factsSha256: string; readonly packsSha256: string }> {
    const { storage, backupId } = this.#options;
    await this.flush();
    const object = factsKey(backupId);
    const factsBox = await sealBox(
      boxKind.document,
      object,
      this.#options.dataKey,
      Buffer.from(JSON.stringify(facts)),
      this.#options.compression,
    );
    await putBox(this.#options, object, boxKind.document, factsBox);
    const table = encodePackTable([...this.#packUses()]);
    await putOnce(storage, packsKey(backupId), [table]);
    return { factsSha256: sha256(...factsBox).toString('hex'), packsSha256: sha256(table).toString('hex') };
  }

  /** Presence and size of every referenced pack; part of the checks before and after the manifest. */
  async checkPacks(): Promise<void> {
    await checkReusedPacks(this.#options.storage, [...this.#packUses()]);
  }

  async close(): Promise<void> {
    await this.#threads.close();
    // Puts that are still on their way must not outlive the run.
    await this.#packer.flush().catch(() => {});
  }

  /** Compresses at once, packs when all chunks before it are packed. */
  #keepOrder(before: Promise<void>, component: string, chunk: Chunk, index: ArtifactIndex): Promise<void> {
    const known = this.#known(chunk.id);
    known?.catch(() => {});
    const encoding = known === undefined ? this.#encode(chunk.plain) : undefined;
    encoding?.catch(() => {});
    return before.then(async () => {
      const place =
        (await known) ??
        this.#own.find(chunk.id) ??
        (await this.#pack(component, chunk, await (encoding ?? this.#encode(chunk.plain)), index));
      this.#usage.add(place);
      const totals = this.totals(component);
      totals.readBytes += chunk.plain.length;
      this.#options.context.emit({ type: 'progress', component, ...totals });
      await index.add(chunk.id, place);
    });
  }

  /** Undefined: nowhere. Resolves to undefined where it is in a pack that cannot be retained as long as this backup. */
  #known(id: Buffer): Promise<ChunkPlace | undefined> | undefined {
    const own = this.#own.find(id);
    if (own !== undefined) return Promise.resolve(own);
    const place = this.#parent?.find(id);
    return place === undefined
      ? undefined
      : this.#parent?.retain(place.packId).then((retained) => (retained ? place : undefined));
  }

  #encode(plain: Uint8Array): Promise<Encoded> {
    return this.#compressing.run(() => encode(plain, this.#options.compression));
  }

  #pack(component: string, chunk: Chunk, encoded: Encoded, index: ArtifactIndex): Promise<ChunkPlace> {
    return this.#packing.run(async () => {
      const place = await this.#packer.add(chunk.id, chunk.plain.length, encoded);
      this.#own.add(chunk.id, place);
      index.newStoredBytes += place.storedLength;
      this.#totals.addNew(component, chunk.plain.length, place.storedLength);
      return place;
    });
  }

  async #seal(key: string, body: Buffer): Promise<{ object: string; bytes: number; sha256: string }> {
    const parts = await sealBox(boxKind.index, key, this.#options.dataKey, body, this.#options.compression);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#pending.push({ key, parts });
    this.#pendingBytes += bytes;
    if (this.#pendingBytes > maxPendingBytes) await this.flush();
    return { object: key, bytes, sha256: sha256(...parts).toString('hex') };
  }

  *#packUses(): Generator<PackUse> {
    const ownUntil = (this.#options.storage.retention?.untilMs ?? 0) / 1000;
    for (const { packId, usedBytes } of this.#usage.packs()) {
      const own = this.#storedPacks.get(packId.toString('latin1'));
      const pack = own ?? this.#parent?.pack(packId);
      if (pack === undefined) {
        throw new Error(`pack ${packId.toString('hex')} is referenced, but was neither stored nor found`);
      }
      yield {
        packId,
        objectBytes: pack.objectBytes,
        usedBytes,
        lockedUntil: own === undefined ? (this.#parent?.pack(packId)?.lockedUntil ?? 0) : ownUntil,
      };
    }
  }
}
