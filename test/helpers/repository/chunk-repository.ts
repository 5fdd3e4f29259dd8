/** Stores artifacts through the real writer into a folder, without the commands around it. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CompressionConfig } from '../../../src/config/config.ts';
import { openArtifacts } from '../../../src/repository/packs/artifact-reader.ts';
import { BackupWriter } from '../../../src/repository/packs/backup-writer.ts';
import type { Totals } from '../../../src/repository/packs/totals.ts';
import type { DataKey } from '../../../src/repository/box/crypto.ts';
import type { ManifestArtifact } from '../../../src/repository/manifests/manifest.ts';
import type { ParentBackup } from '../../../src/repository/packs/parent-index.ts';
import { startTool } from '../../../src/lib/exec.ts';
import type { Artifact, ArtifactReader } from '../../../src/source/source.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { Storage } from '../../../src/storage/storage.ts';

export interface StoredBackup {
  readonly id: string;
  readonly artifacts: ManifestArtifact[];
  readonly totals: Totals;
  readonly reader: ArtifactReader;
  asParent(): Promise<ParentBackup>;
}

export interface ChunkRepository {
  readonly folder: string;
  readonly storage: Storage;
  readonly dataKey: DataKey | undefined;
  /** Removes the folder. */
  remove(): Promise<void>;
  store(
    artifacts: readonly Artifact[],
    options?: { parent?: StoredBackup; signal?: AbortSignal; hangTimeoutMs?: number; maxStoredBytes?: number },
  ): Promise<StoredBackup>;
}

export async function openChunkRepository(options: {
  encrypted: boolean;
  compression?: CompressionConfig;
  folder?: string;
}): Promise<ChunkRepository> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'chunks-')));
  const storage = await openStorage({ kind: 'local', path: folder });
  // Always the same key, so that the same content is cut at the same places: where the cuts meet again after a change
  // is chance.
  const dataKey = options.encrypted ? { id: randomBytes(16), key: Buffer.alloc(32, 'lifeboat') } : undefined;
  const compression = options.compression ?? { method: 'zstd', level: 3 };
  return {
    folder,
    storage,
    dataKey,
    remove: () => rm(folder, { recursive: true, force: true }),
    store: async (
      artifacts,
      { parent, signal = new AbortController().signal, hangTimeoutMs = 60_000, maxStoredBytes } = {},
    ) => {
      const id = `20260102T030405Z-main-full-${randomBytes(4).toString('hex')}`;
      const writer = new BackupWriter({
        storage,
        repositoryId: 'd8bb0e6e-0000-4000-8000-000000000000',
        backupId: id,
        dataKey,
        compression,
        hangTimeoutMs,
        maxStoredBytes,
        parent: await parent?.asParent(),
        compressors: 2,
        context: { signal, emit: () => {} },
      });
      try {
        const stored = await Promise.all(artifacts.map((artifact) => writer.store('test', artifact)));
        await writer.finish({ facts: 'none' });
        await writer.checkPacks();
        return {
          id,
          artifacts: stored,
          totals: { ...writer.totals('test') },
          reader: openArtifacts({ storage, dataKey, artifacts: stored }),
          asParent: async () => ({ artifacts: stored, packTables: [await storage.get(`backups/${id}/packs`)] }),
        };
      } finally {
        await writer.close();
      }
    },
  };
}

/** An artifact whose bytes a program writes to its standard output. */
export function toolArtifact(name: string, file: string, args: readonly string[]): Artifact {
  return {
    name,
    mediaType: 'application/octet-stream',
    body: {
      from: 'tool',
      run: async (stdout, signal) => {
        const tool = await startTool({ file, args, stdout, signal });
        return { done: tool.result.then(() => {}) };
      },
    },
  };
}

/** An artifact made of the given pieces. */
export function streamArtifact(name: string, pieces: readonly Uint8Array[]): Artifact {
  return {
    name,
    mediaType: 'application/octet-stream',
    body: {
      from: 'stream',
      stream: (async function* () {
        yield* pieces;
      })(),
    },
  };
}

export async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
