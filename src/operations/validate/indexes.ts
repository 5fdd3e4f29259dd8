/**
 * Reads the indexes of a backup, part by part, and holds each record against the directory of the pack
 * that it names: what an index promises must lie where it says.
 */
import type { DataKey } from '../../repository/box/crypto.ts';
import { IndexPart, packKey, type ChunkRecord } from '../../repository/packs/index-part.ts';
import type { ManifestArtifact } from '../../repository/manifests/manifest.ts';
import type { Storage } from '../../storage/storage.ts';
import type { DamageBook, Fault } from './damage.ts';
import { artifactsOf, readIndexPart, type OpenBackup, type Tally } from './objects.ts';
import type { FrameTable, PackSet } from './packs.ts';

/** One record and where its bytes stand in the artifact. */
export interface PlacedRecord {
  readonly record: ChunkRecord;
  readonly start: number;
  readonly end: number;
}

export interface IndexVisitor {
  /** `part` cannot be read. */
  readonly onFault: (artifact: ManifestArtifact, part: string, fault: Fault) => void;
  /** Not called after a part that cannot be read: places are not known then. */
  readonly onRecord: (artifact: ManifestArtifact, part: string, placed: PlacedRecord) => void | Promise<void>;
  /** After the last part of an artifact whose parts could all be read. */
  readonly onEnd?: (artifact: ManifestArtifact, bytes: number) => void;
}

/** Every record of every artifact; one part in memory at a time. */
export async function visitIndexes(
  storage: Storage,
  backup: OpenBackup,
  tally: Tally,
  visitor: IndexVisitor,
  signal: AbortSignal,
): Promise<void> {
  for (const { artifact } of artifactsOf(backup.manifest)) {
    let at: number | undefined = 0;
    for (const part of artifact.index) {
      signal.throwIfAborted();
      const index = await readIndexPart(storage, backup.dataKey, part, tally);
      if (!(index instanceof IndexPart)) {
        visitor.onFault(artifact, part.object, index);
        at = undefined;
        continue;
      }
      if (at === undefined) continue;
      for (let n = 0; n < index.chunks; n++) {
        const record = index.record(n);
        const end: number = at + record.plainLength;
        const visited = visitor.onRecord(artifact, part.object, { record, start: at, end });
        if (visited !== undefined) await visited;
        at = end;
      }
    }
    if (at !== undefined) visitor.onEnd?.(artifact, at);
  }
}

/**
 * Compares the indexes of a backup with the packs in `tables`; records of other packs are passed over. Returns the
 * number of chunks.
 */
export async function compareIndexes(
  storage: Storage,
  backup: OpenBackup,
  packs: PackSet,
  tables: ReadonlyMap<string, FrameTable>,
  book: DamageBook,
  tally: Tally,
  signal: AbortSignal,
): Promise<number> {
  const { id, dataKey } = backup;
  let chunks = 0;
  const wrong = (artifact: ManifestArtifact, part: string, problem: string): void => {
    book.add(part, { kind: 'damaged', problem });
    book.touchArtifact(part, id, artifact.name, 'all');
  };
  const visitor: IndexVisitor = {
    onFault: (artifact, part, fault) => {
      book.add(part, fault);
      book.touchArtifact(part, id, artifact.name, 'all');
    },
    onRecord: (artifact, part, { record }) => {
      chunks++;
      const problem = problemOf(record, packs, tables, dataKey);
      if (problem !== undefined) wrong(artifact, part, problem);
    },
    onEnd: (artifact, bytes) => {
      const last = artifact.index.at(-1)?.object ?? '';
      if (bytes !== artifact.bytes) {
        wrong(artifact, last, `its chunks have ${bytes} bytes, not the ${artifact.bytes} of the artifact`);
      }
    },
  };
  await visitIndexes(storage, backup, tally, visitor, signal);
  return chunks;
}

function problemOf(
  record: ChunkRecord,
  packs: PackSet,
  tables: ReadonlyMap<string, FrameTable>,
  dataKey: DataKey | undefined,
): string | undefined {
  const pack = record.packId.toString('latin1');
  const table = tables.get(pack);
  if (table === undefined) {
    if (packs.has(pack)) return undefined;
    return `it names ${packKey(record.packId)}, which the table of packs does not have`;
  }
  const isOfKey = dataKey === undefined || dataKey.id.equals(table.header.subarray(8, 24));
  if (table.agrees(record) && isOfKey) return undefined;
  return `it says otherwise of frame ${record.frame} of ${packKey(record.packId)} than that pack itself`;
}
