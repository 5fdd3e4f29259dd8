/**
 * Garbage collection: expired manifests leave trash, then packs and folders that nobody needs any more go. Can be
 * killed at any moment and repeated: an object goes only after all that named it. Packs are never rewritten.
 */
import type { RunContext } from '../../lib/events.ts';
import type { RetainedObject, Storage } from '../../storage/storage.ts';
import type { UnneededFolder } from './folders.ts';
import { Remover } from './remover.ts';
import { takeSurvey, type Survey, type SurveyOptions } from './survey.ts';
import { writeTrashRecord } from './trash-records.ts';
import { collectWal, type CollectedWal, type WalGarbageOptions } from './wal.ts';
import { hiddenWarning, type HiddenManifest } from './hidden-manifests.ts';
import type { Lease } from '../leases/lease.ts';
import type { ListedManifest } from '../manifests/listing.ts';
import type { Repository } from '../repository.ts';
import { manifestKey } from '../object-keys.ts';

export interface GarbageOptions
  extends Omit<SurveyOptions, 'act' | 'ownLease' | 'signal'>, Pick<WalGarbageOptions, 'ruleOf'> {
  /** The `cleanup` lease; undefined: nothing is written, only told what would go. */
  readonly lease: Lease | undefined;
  /** Told of backups directly before their manifests leave trash: for the audit log, which must not miss one. */
  readonly onDeleted: (deleted: readonly DeletedBackup[]) => Promise<void>;
  readonly context: RunContext;
}

/** A backup that is deleted for good. */
export interface DeletedBackup {
  readonly id: string;
  /** 64 hex digits; empty where the manifest could not be read any more. */
  readonly seal: string;
}

/** What went, or would go. */
export interface Collected {
  readonly deleted: readonly DeletedBackup[];
  readonly packs: number;
  /** Bytes of packs, indexes, facts, evidence and notes. */
  readonly bytes: number;
  /** Bytes of packs that will be free when what is in trash, or leaving, has passed its grace time. */
  readonly laterBytes: number;
  /** Of these what only one backup holds, by its id. */
  readonly laterBytesOf: ReadonlyMap<string, number>;
  /** What nobody needs, but object lock retains for now. */
  readonly retained: readonly RetainedObject[];
  /** By cluster; its bytes are part of `bytes`. */
  readonly wal: readonly CollectedWal[];
  /** Backups that somebody else hid: all that they need stays. */
  readonly hidden: readonly HiddenManifest[];
}

/** Throws `locked` when the lease is lost, and what takeSurvey throws; what was removed by then needs no repair. */
export async function collectGarbage(repository: Repository, options: GarbageOptions): Promise<Collected> {
  const { lease, context } = options;
  // Asked once: in a later pass it would let still more go.
  let leaving: ReadonlySet<string> | undefined;
  const surveyOptions: SurveyOptions = {
    ...options,
    act: lease !== undefined,
    ownLease: lease?.id,
    signal: context.signal,
    mayLeave: (ids) => (leaving ??= options.mayLeave(ids)),
  };
  let survey = await takeSurvey(repository, surveyOptions, undefined);
  const { unexplained: hidden } = survey.hidden;
  for (const each of hidden) context.emit({ type: 'warning', message: staysFor(each) });
  const remover = new Remover(repository.storage, lease, context.signal);
  const deleted = await removeExpired(repository, survey, remover, options);
  const folderBytes = (await removeFolders(survey, remover, repository.storage)) - remover.retainedBytes;
  const wal = await removeWal(repository, survey, options);
  const total = new PackTotal([...remover.retained, ...wal.retained]);
  await removePacks(repository, survey, options, total);
  while (survey.packs.next !== undefined) {
    survey = await takeSurvey(repository, surveyOptions, survey.packs.next);
    await removePacks(repository, survey, options, total);
  }
  const { packs, laterBytes, laterBytesOf, retained } = total;
  const bytes = total.bytes + folderBytes + wal.collected.reduce((sum, each) => sum + each.bytes, 0);
  return { deleted, packs, bytes, laterBytes, laterBytesOf, retained, wal: wal.collected, hidden };
}

function staysFor(hidden: HiddenManifest): string {
  const { message, hint } = hiddenWarning(hidden);
  return `${message}: all that it needs stays; ${hint}`;
}

interface RemovedWal {
  readonly collected: readonly CollectedWal[];
  readonly retained: readonly RetainedObject[];
}

async function removeWal(
  repository: Repository,
  { bases, beforeMs }: Survey,
  { lease, ruleOf, context }: GarbageOptions,
): Promise<RemovedWal> {
  if (bases === undefined) return { collected: [], retained: [] };
  const { found, unreadable } = bases;
  const remover = new Remover(repository.storage, lease, context.signal);
  const warn = (message: string): void => context.emit({ type: 'warning', message });
  const options = { bases: found, unreadable, beforeMs, ruleOf, signal: context.signal, warn };
  const collected = await collectWal(repository, options, remover);
  return { collected, retained: remover.retained };
}

/** What all passes come to. */
class PackTotal {
  packs = 0;
  bytes = 0;
  laterBytes = 0;
  readonly laterBytesOf = new Map<string, number>();
  readonly retained: RetainedObject[];

  /** `retained`: what else stayed. */
  constructor(retained: readonly RetainedObject[]) {
    this.retained = [...retained];
  }

  addLater({ packs, going }: Survey): void {
    const later = packs.goingBytes();
    this.laterBytes += later.all;
    for (const [n, bytes] of later.by) {
      const id = going[n] ?? '';
      this.laterBytesOf.set(id, (this.laterBytesOf.get(id) ?? 0) + bytes);
    }
  }
}

async function removePacks(
  { storage }: Repository,
  survey: Survey,
  { lease, context }: GarbageOptions,
  total: PackTotal,
): Promise<void> {
  const remover = new Remover(storage, lease, context.signal);
  for (const { key, bytes } of survey.packs.unnamed(survey.beforeMs)) {
    await remover.add(key, bytes);
    total.packs++;
    total.bytes += bytes;
  }
  await remover.flush();
  total.packs -= remover.retained.length;
  total.bytes -= remover.retainedBytes;
  total.retained.push(...remover.retained);
  total.addLater(survey);
}

/** Manifests first: what only they named goes when they are gone. */
async function removeExpired(
  repository: Repository,
  { expired, copies, unmoved, hidden }: Survey,
  remover: Remover,
  { lease, onDeleted, context }: GarbageOptions,
): Promise<DeletedBackup[]> {
  const deleted = expired.map(({ id, seal }: ListedManifest) => ({ id, seal: seal ?? '' }));
  if (lease === undefined) return deleted;
  await lease.check();
  // Else who moves them after us has our record.
  for (const { id, seal, manifest } of unmoved) {
    await writeTrashRecord(repository, { id, seal, dataKey: manifest?.dataKey }, 'back');
  }
  if (deleted.length > 0) await onDeleted(deleted);
  // Before the copy that tells of them goes.
  await remover.removeHidden([...expired, ...hidden.recorded].map(({ id }) => manifestKey(id)));
  for (const { object, id } of expired) {
    context.emit({ type: 'debug', message: `backup ${id} leaves trash for good` });
    await remover.add(object);
  }
  for (const object of copies) await remover.add(object);
  await remover.flush();
  return deleted;
}

/** Returns their bytes. */
async function removeFolders(
  { folders, known, beforeMs }: Survey,
  remover: Remover,
  storage: Storage,
): Promise<number> {
  const unneeded: UnneededFolder[] = [...(folders?.unneeded(known, beforeMs) ?? [])];
  for (const { prefix } of unneeded) {
    // Names are not held for all: listed again, and only what was there before.
    for await (const { key, sizeBytes, modifiedMs } of storage.list(prefix)) {
      if (modifiedMs < beforeMs) await remover.add(key, sizeBytes);
    }
  }
  await remover.flush();
  return unneeded.reduce((sum, { bytes }) => sum + bytes, 0);
}
