/** What the manifests, live and in trash, say must lie in the repository: the objects beside them, and their packs. */
import { sha256 } from '../../repository/box/crypto.ts';
import { isBackupId } from '../../repository/manifests/ids.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import { decodePackTable } from '../../repository/packs/usage.ts';
import type { Repository } from '../../repository/repository.ts';
import { damaged } from '../../repository/box/seal.ts';
import { openBackup } from '../validate/choose.ts';
import { faultOf, type DamageBook } from '../validate/damage.ts';
import { checkBeside, packsOfIndexes, type Tally } from '../validate/objects.ts';
import { factsKey, keyCopyKey, manifestKey, packsKey, trashKey } from '../../repository/object-keys.ts';

/** A manifest as the accounting needs it. */
export interface KnownBackup {
  readonly id: string;
  readonly folder: 'manifests/' | 'trash/';
  readonly trust: ListedManifest['trust'];
  readonly seal: string | undefined;
  readonly target: string | undefined;
  readonly startedAt: string | undefined;
  readonly previous: Manifest['previous'];
  readonly dataKey: string | undefined;
  readonly head: Manifest['head'];
}

export interface Expectation {
  /** Of objects under backups/: bytes where the manifest tells them. */
  readonly objects: Map<string, { readonly backupId: string; readonly bytes: number | undefined }>;
  /** By 32 hex digits. */
  readonly packs: Map<string, { bytes: number | undefined; readonly backups: string[] }>;
  readonly backups: KnownBackup[];
  /** Whether every manifest's packs are known: else what nobody names may still be in use. */
  isComplete: boolean;
}

/** Reads all manifests and what they name directly; what is wrong with those goes into the book. */
export async function readExpectation(
  repository: Repository,
  book: DamageBook,
  tally: Tally,
  signal: AbortSignal,
): Promise<Expectation> {
  const expected: Expectation = { objects: new Map(), packs: new Map(), backups: [], isComplete: true };
  const live = new Set<string>();
  for (const folder of ['manifests/', 'trash/'] as const) {
    for await (const listed of repository.listManifests({ folder, order: 'oldest-first' })) {
      signal.throwIfAborted();
      // A stray: the listing of all objects tells it.
      if (!isBackupId(listed.id)) continue;
      tally.objects++;
      tally.bytes += listed.sizeBytes;
      expected.backups.push(knownOf(listed, folder));
      // One that is in both is a move that was cut short: byte for byte the same.
      const isCopy = folder === 'trash/' && live.has(listed.id);
      if (folder === 'manifests/') live.add(listed.id);
      if (isCopy && listed.trust === 'damaged') {
        book.add(listed.object, { kind: 'damaged', problem: listed.reason ?? 'it cannot be read' });
      }
      if (!isCopy) await expectOf(repository, listed, expected, book, tally);
    }
  }
  return expected;
}

/** Where the manifest of a backup lies. */
export function objectOf({ id, folder }: Pick<KnownBackup, 'id' | 'folder'>): string {
  return folder === 'manifests/' ? manifestKey(id) : trashKey(id);
}

/** What of a listed backup tells whether it is accounted for. */
export function knownOf({ id, trust, seal, manifest }: ListedManifest, folder: KnownBackup['folder']): KnownBackup {
  return {
    id,
    folder,
    trust,
    seal,
    target: manifest?.target,
    startedAt: manifest?.startedAt,
    previous: manifest?.previous,
    dataKey: manifest?.dataKey,
    head: manifest?.head,
  };
}

async function expectOf(
  repository: Repository,
  listed: ListedManifest,
  expected: Expectation,
  book: DamageBook,
  tally: Tally,
): Promise<void> {
  const { id, manifest } = listed;
  if (manifest === undefined) {
    book.add(listed.object, { kind: 'damaged', problem: listed.reason ?? 'it cannot be read' });
    book.touchWhole(listed.object, id);
    expected.isComplete = false;
    return;
  }
  const names = [factsKey(id), packsKey(id), ...(manifest.dataKey === undefined ? [] : [keyCopyKey(id)])];
  for (const object of names) expected.objects.set(object, { backupId: id, bytes: undefined });
  for (const { artifacts } of manifest.components) {
    for (const part of artifacts.flatMap(({ index }) => index)) {
      expected.objects.set(part.object, { backupId: id, bytes: part.bytes });
    }
  }
  for (const { packId, objectBytes } of await packsOf(repository, listed, manifest, expected, book, tally)) {
    const key = packId.toString('hex');
    const pack = expected.packs.get(key);
    if (pack === undefined) expected.packs.set(key, { bytes: objectBytes, backups: [id] });
    else {
      pack.backups.push(id);
      pack.bytes ??= objectBytes;
    }
  }
}

interface NamedPack {
  readonly packId: Buffer;
  readonly objectBytes: number | undefined;
}

/** The table of packs needs no key; the check of what lies beside it does. */
async function packsOf(
  repository: Repository,
  listed: ListedManifest,
  manifest: Manifest,
  expected: Expectation,
  book: DamageBook,
  tally: Tally,
): Promise<readonly NamedPack[]> {
  const { storage } = repository;
  const open = await openBackup(repository, listed);
  if (open !== undefined) {
    const table = await checkBeside(storage, open, book, tally);
    if (table !== undefined) return table;
    const packs = await packsOfIndexes(storage, open, tally);
    // One of its indexes may be lost, too.
    expected.isComplete = false;
    return packs.map((packId) => ({ packId, objectBytes: undefined }));
  }
  const packs: NamedPack[] = [];
  const fault = await faultOf(storage, packsKey(listed.id), (bytes) => {
    if (sha256(bytes).toString('hex') !== manifest.packsSha256) {
      throw damaged(packsKey(listed.id), 'it is not what the manifest names');
    }
    packs.push(...decodePackTable(bytes));
  });
  if (fault !== undefined) {
    book.add(packsKey(listed.id), fault);
    book.touch(packsKey(listed.id), listed.id);
    expected.isComplete = false;
  }
  return packs;
}
