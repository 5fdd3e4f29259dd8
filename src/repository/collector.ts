/**
 * Garbage collection: expired manifests leave trash, then packs and folders that nobody needs any more go. Can be
 * killed at any moment and repeated: an object goes only after all that named it. Packs are never rewritten.
 */
import type { RunContext } from '../lib/events.ts';
import type { Storage } from '../storage/storage.ts';
import type { UnneededFolder } from './garbage-folders.ts';
import { takeSurvey, type Survey, type SurveyOptions } from './garbage-survey.ts';
import type { Lease } from './lease.ts';
import type { ListedManifest } from './listing.ts';
import type { Repository } from './repository.ts';

export interface GarbageOptions extends Omit<SurveyOptions, 'act' | 'ownLease' | 'signal'> {
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
}

const batch = 500;

/** Throws `locked` when the lease is lost, and what takeSurvey throws; what was removed by then needs no repair. */
export async function collectGarbage(repository: Repository, options: GarbageOptions): Promise<Collected> {
  const { lease, context } = options;
  const surveyOptions = { ...options, act: lease !== undefined, ownLease: lease?.id, signal: context.signal };
  const deleted: DeletedBackup[] = [];
  const later = new Map<string, number>();
  const total = { packs: 0, bytes: 0, laterBytes: 0 };
  let after: string | undefined;
  do {
    const survey = await takeSurvey(repository, surveyOptions, after);
    const remover = new Remover(repository.storage, lease, context.signal);
    if (after === undefined) {
      deleted.push(...(await removeExpired(survey, remover, options)));
      total.bytes += await removeFolders(survey, remover, repository.storage);
    }
    for (const { key, bytes } of survey.packs.unnamed(survey.beforeMs)) {
      await remover.add(key);
      total.packs++;
      total.bytes += bytes;
    }
    await remover.flush();
    const going = survey.packs.goingBytes();
    total.laterBytes += going.all;
    for (const [n, bytes] of going.by) later.set(survey.going[n] ?? '', (later.get(survey.going[n] ?? '') ?? 0) + bytes);
    after = survey.packs.next;
  } while (after !== undefined);
  return { deleted, ...total, laterBytesOf: later };
}

/** Removes objects in batches; the lease is looked at before each. */
class Remover {
  readonly #storage: Storage;
  readonly #lease: Lease | undefined;
  readonly #signal: AbortSignal;
  #keys: string[] = [];

  constructor(storage: Storage, lease: Lease | undefined, signal: AbortSignal) {
    this.#storage = storage;
    this.#lease = lease;
    this.#signal = signal;
  }

  async add(key: string): Promise<void> {
    if (this.#lease === undefined) return;
    this.#keys.push(key);
    if (this.#keys.length >= batch) await this.flush();
  }

  async flush(): Promise<void> {
    const keys = this.#keys;
    this.#keys = [];
    if (keys.length === 0) return;
    this.#signal.throwIfAborted();
    await this.#lease?.check();
    await this.#storage.remove(keys);
  }
}

/** Manifests first: what only they named goes when they are gone. */
async function removeExpired({ expired, copies }: Survey, remover: Remover, { lease, onDeleted, context }: GarbageOptions): Promise<DeletedBackup[]> {
  const deleted = expired.map(({ id, seal }: ListedManifest) => ({ id, seal: seal ?? '' }));
  if (lease === undefined) return deleted;
  await lease.check();
  if (deleted.length > 0) await onDeleted(deleted);
  for (const { object, id } of expired) {
    context.emit({ type: 'debug', message: `backup ${id} leaves trash for good` });
    await remover.add(object);
  }
  for (const object of copies) await remover.add(object);
  await remover.flush();
  return deleted;
}

/** Returns their bytes. */
async function removeFolders({ folders, known, beforeMs }: Survey, remover: Remover, storage: Storage): Promise<number> {
  const unneeded: UnneededFolder[] = [...(folders?.unneeded(known, beforeMs) ?? [])];
  for (const { prefix } of unneeded) {
    // Names are not held for all: listed again, and only what was there before.
    for await (const { key, modifiedMs } of storage.list(prefix)) if (modifiedMs < beforeMs) await remover.add(key);
  }
  await remover.flush();
  return unneeded.reduce((sum, { bytes }) => sum + bytes, 0);
}
