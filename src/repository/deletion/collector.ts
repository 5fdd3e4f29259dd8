/**
 * Garbage collection: expired manifests leave trash, then packs and folders that nobody needs any more go. Can be
 * killed at any moment and repeated: an object goes only after all that named it. Packs are never rewritten.
 */
import type { RunContext } from '../../lib/events.ts';
import type { RetainedObject, Storage } from '../../storage/storage.ts';
import type { UnneededFolder } from './folders.ts';
import { takeSurvey, type Survey, type SurveyOptions } from './survey.ts';
import { collectWal, type CollectedWal, type WalGarbageOptions, type WalRemover } from './wal.ts';
import { hiddenWarning, type HiddenManifest } from './hidden-manifests.ts';
import type { Lease } from '../leases/lease.ts';
import type { ListedManifest } from '../manifests/listing.ts';
import type { Repository } from '../repository.ts';
import { parseWalKey } from '../wal/names.ts';
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

const batch = 500;

/** Throws `locked` when the lease is lost, and what takeSurvey throws; what was removed by then needs no repair. */
export async function collectGarbage(repository: Repository, options: GarbageOptions): Promise<Collected> {
  const { lease, context } = options;
  const surveyOptions = { ...options, act: lease !== undefined, ownLease: lease?.id, signal: context.signal };
  const deleted: DeletedBackup[] = [];
  const later = new Map<string, number>();
  const total = { packs: 0, bytes: 0, laterBytes: 0 };
  const retained: RetainedObject[] = [];
  let wal: readonly CollectedWal[] = [];
  let hidden: readonly HiddenManifest[] = [];
  let after: string | undefined;
  do {
    const survey = await takeSurvey(repository, surveyOptions, after);
    const remover = new Remover(repository.storage, lease, context.signal);
    if (after === undefined) {
      hidden = survey.hidden.unexplained;
      for (const each of hidden) {
        context.emit({
          type: 'warning',
          message: `${hiddenWarning(each).message}: all that it needs stays; ${hiddenWarning(each).hint}`,
        });
      }
      deleted.push(...(await removeExpired(survey, remover, options)));
      total.bytes += await removeFolders(survey, remover, repository.storage);
    }
    if (survey.bases !== undefined) {
      const { found, unreadable } = survey.bases;
      const walRemover = new Remover(repository.storage, lease, context.signal);
      wal = await collectWal(
        repository,
        {
          bases: found,
          unreadable,
          beforeMs: survey.beforeMs,
          ruleOf: options.ruleOf,
          signal: context.signal,
          warn: (message) => context.emit({ type: 'warning', message }),
        },
        walRemover,
      );
      retained.push(...walRemover.retained);
      total.bytes += wal.reduce((sum, { bytes }) => sum + bytes, 0);
    }
    for (const { key, bytes } of survey.packs.unnamed(survey.beforeMs)) {
      await remover.add(key, bytes);
      total.packs++;
      total.bytes += bytes;
    }
    await remover.flush();
    total.packs -= remover.retained.filter(({ key }) => key.startsWith('packs/')).length;
    total.bytes -= remover.retainedBytes;
    retained.push(...remover.retained);
    const going = survey.packs.goingBytes();
    total.laterBytes += going.all;
    for (const [n, bytes] of going.by) {
      later.set(survey.going[n] ?? '', (later.get(survey.going[n] ?? '') ?? 0) + bytes);
    }
    after = survey.packs.next;
  } while (after !== undefined);
  return { deleted, ...total, laterBytesOf: later, retained, wal, hidden };
}

/** Removes objects in batches, old versions too where they are kept; the lease is looked at before each. */
class Remover implements WalRemover {
  readonly retained: RetainedObject[] = [];
  retainedBytes = 0;
  readonly #storage: Storage;
  readonly #lease: Lease | undefined;
  readonly #signal: AbortSignal;
  #sizes = new Map<string, number>();
  #finished = { retained: 0, bytes: 0 };

  constructor(storage: Storage, lease: Lease | undefined, signal: AbortSignal) {
    this.#storage = storage;
    this.#lease = lease;
    this.#signal = signal;
  }

  /** `bytes`: where it counts as freed. */
  async add(key: string, bytes = 0): Promise<void> {
    if (this.#lease === undefined) return;
    this.#sizes.set(key, bytes);
    if (this.#sizes.size >= batch) await this.flush();
  }

  async flush(): Promise<void> {
    const sizes = this.#sizes;
    this.#sizes = new Map();
    if (sizes.size === 0) return;
    await this.#ready();
    const keys = [...sizes.keys()];
    if (this.#storage.removeVersions === undefined) return this.#storage.remove(keys);
    for (const each of await this.#storage.removeVersions(keys)) {
      this.retained.push(each);
      this.retainedBytes += sizes.get(each.key) ?? 0;
    }
  }

  async finish(): Promise<{ readonly segments: number; readonly bytes: number }> {
    await this.flush();
    const since = this.retained.slice(this.#finished.retained);
    const bytes = this.retainedBytes - this.#finished.bytes;
    this.#finished = { retained: this.retained.length, bytes: this.retainedBytes };
    return { segments: since.filter(({ key }) => parseWalKey(key)?.file.kind === 'segment').length, bytes };
  }

  /** Old versions of what was removed before, which only a marker hides. */
  async removeHidden(keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length && this.#storage.removeVersions !== undefined; from += batch) {
      await this.#ready();
      this.retained.push(...(await this.#storage.removeVersions(keys.slice(from, from + batch), { hiddenOnly: true })));
    }
  }

  async #ready(): Promise<void> {
    this.#signal.throwIfAborted();
    await this.#lease?.check();
  }
}

/** Manifests first: what only they named goes when they are gone. */
async function removeExpired(
  { expired, copies, hidden }: Survey,
  remover: Remover,
  { lease, onDeleted, context }: GarbageOptions,
): Promise<DeletedBackup[]> {
  const deleted = expired.map(({ id, seal }: ListedManifest) => ({ id, seal: seal ?? '' }));
  if (lease === undefined) return deleted;
  await lease.check();
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
