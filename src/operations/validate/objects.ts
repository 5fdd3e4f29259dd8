/**
 * What lies beside the packs of one backup: facts, table of packs, copy of the key file, key file, index
 * parts. Each is read and held against the hash that the sealed manifest gives.
 */
import type { DataKey } from '../../repository/box/crypto.ts';
import { sha256 } from '../../repository/box/crypto.ts';
import { boxKind } from '../../repository/box/layout.ts';
import { openBox } from '../../repository/box/box.ts';
import { IndexPart, packKey } from '../../repository/packs/index-part.ts';
import { parseKeyFile } from '../../repository/keys/file.ts';
import type { Manifest, ManifestArtifact, ManifestIndexPart } from '../../repository/manifests/manifest.ts';
import { decodePackTable, type PackUse } from '../../repository/packs/usage.ts';
import { checkSeal, damaged } from '../../repository/box/seal.ts';
import type { Storage } from '../../storage/storage.ts';
import { asFault, faultOf, SizeError, type DamageBook, type Fault } from './damage.ts';
import { factsKey, keyCopyKey, packsKey } from '../../repository/object-keys.ts';

/** A backup whose manifest is sealed and whose data key is open. */
export interface OpenBackup {
  readonly id: string;
  readonly seal: string;
  readonly manifest: Manifest;
  /** Undefined without encryption. */
  readonly dataKey: DataKey | undefined;
}

/** What the work has cost so far. */
export interface Tally {
  objects: number;
  bytes: number;
}

/**
 * Facts, table of packs and key files. Returns the packs it uses; undefined where the table cannot be had.
 * The faults go into the book.
 */
export async function checkBeside(
  storage: Storage,
  backup: OpenBackup,
  book: DamageBook,
  tally: Tally,
): Promise<PackUse[] | undefined> {
  const { id, manifest, dataKey } = backup;
  const look = async (object: string, check: (bytes: Buffer) => void | Promise<void>): Promise<Fault | undefined> => {
    tally.objects++;
    const fault = await faultOf(storage, object, async (bytes) => {
      tally.bytes += bytes.length;
      await check(bytes);
    });
    if (fault !== undefined) book.add(object, fault);
    return fault;
  };
  const facts = factsKey(id);
  // No restore begins without them: they say what is in which artifact.
  if (await look(facts, async (bytes) => checkFacts(bytes, facts, manifest, dataKey))) book.touchWhole(facts, id);
  let packs: PackUse[] | undefined;
  const table = packsKey(id);
  const tableFault = await look(table, (bytes) => {
    if (sha256(bytes).toString('hex') !== manifest.packsSha256) {
      throw damaged(table, 'it is not what the manifest names');
    }
    packs = [...decodePackTable(bytes)];
  });
  if (tableFault !== undefined) book.touch(table, id);
  if (dataKey !== undefined) {
    const copy = keyCopyKey(id);
    if (await look(copy, async (bytes) => checkKeyFile(bytes, copy, dataKey))) book.touch(copy, id);
  }
  return packs;
}

async function checkFacts(
  bytes: Buffer,
  object: string,
  manifest: Manifest,
  dataKey: DataKey | undefined,
): Promise<void> {
  if (sha256(bytes).toString('hex') !== manifest.factsSha256) {
    throw damaged(object, 'it is not what the manifest names');
  }
  await openBox(bytes, boxKind.document, object, dataKey);
}

/** Each backup holds a copy of its key file; the original must be there, too. The faults go into the book. */
export async function checkKeyFiles(
  storage: Storage,
  backups: readonly OpenBackup[],
  book: DamageBook,
  tally: Tally,
): Promise<void> {
  const checked = new Map<string, Fault | undefined>();
  for (const { id, dataKey } of backups) {
    if (dataKey === undefined) continue;
    const object = `keys/${dataKey.id.toString('hex')}.json`;
    if (!checked.has(object)) {
      tally.objects++;
      checked.set(object, await faultOf(storage, object, async (bytes) => checkKeyFile(bytes, object, dataKey)));
    }
    const fault = checked.get(object);
    if (fault === undefined) continue;
    book.add(object, fault);
    book.touch(object, id);
  }
}

/** That it is the key file of this very data key. */
export async function checkKeyFile(bytes: Buffer, object: string, dataKey: DataKey): Promise<void> {
  await checkSeal(parseKeyFile(bytes, object, dataKey.id.toString('hex')).split, dataKey, object, 'key-file');
}

/** Opens one part of an artifact's chunk list, or tells what is wrong with it. */
export async function readIndexPart(
  storage: Storage,
  dataKey: DataKey | undefined,
  part: ManifestIndexPart,
  tally: Tally,
): Promise<IndexPart | Fault> {
  const { object } = part;
  try {
    const bytes = await storage.get(object);
    tally.objects++;
    tally.bytes += bytes.length;
    checkIndexBytes(bytes, part);
    const index = new IndexPart(await openBox(bytes, boxKind.index, object, dataKey));
    if (index.chunks !== part.chunks) throw damaged(object, `it lists ${index.chunks} chunks, not ${part.chunks}`);
    return index;
  } catch (error) {
    return asFault(error, object);
  }
}

function checkIndexBytes(bytes: Buffer, part: ManifestIndexPart): void {
  if (bytes.length !== part.bytes) throw new SizeError(bytes.length, part.bytes);
  if (sha256(bytes).toString('hex') !== part.sha256) throw damaged(part.object, 'it is not what the manifest names');
}

/** Every artifact of a backup with its component's name. */
export function artifactsOf(manifest: Manifest): { readonly component: string; readonly artifact: ManifestArtifact }[] {
  return manifest.components.flatMap(({ name, artifacts }) =>
    artifacts.map((artifact) => ({ component: name, artifact })),
  );
}

/** Hashes the index parts of a backup; nothing in them is opened. */
export async function hashIndexes(
  storage: Storage,
  { id, manifest }: OpenBackup,
  book: DamageBook,
  tally: Tally,
): Promise<void> {
  for (const { artifact } of artifactsOf(manifest)) {
    for (const part of artifact.index) {
      tally.objects++;
      const fault = await faultOf(storage, part.object, (bytes) => {
        tally.bytes += bytes.length;
        checkIndexBytes(bytes, part);
      });
      if (fault === undefined) continue;
      book.add(part.object, fault);
      book.touchArtifact(part.object, id, artifact.name, 'all');
    }
  }
}

/** The packs that the indexes of a backup name, for want of its table; sizes are not known then. */
export async function packsOfIndexes(
  storage: Storage,
  { manifest, dataKey }: OpenBackup,
  tally: Tally,
): Promise<Buffer[]> {
  const packs = new Map<string, Buffer>();
  for (const { artifact } of artifactsOf(manifest)) {
    for (const part of artifact.index) {
      const index = await readIndexPart(storage, dataKey, part, tally);
      if (!(index instanceof IndexPart)) continue;
      for (let n = 0; n < index.chunks; n++) {
        const { packId } = index.record(n);
        packs.set(packKey(packId), Buffer.from(packId));
      }
    }
  }
  return [...packs.values()];
}
