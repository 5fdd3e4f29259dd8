/**
 * Who moved a backup to trash: sealed records notes/<backup>/<UTC time>-<4 hex>-<moved|back>.json, written before the
 * move and before the way back. Whoever can write to a bucket can copy a manifest to trash/ and delete the original;
 * only what a record says that we moved leaves trash, and its time counts from that record. A record that does not
 * count, or cannot be read, may have said "back": then nothing is known of the move. Where versions are kept a deleted
 * or overwritten record goes on counting. Layout: man lifeboat-repository(7).
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { uncompiled } from '../../config/uncompiled.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { ownIdentity } from '../../lib/process-identity.ts';
import { compactUtc } from '../../lib/time.ts';
import { everStored, openEarlier, type StoredOnce } from '../earlier-versions.ts';
import { distrustOf, openRecord, sealRecord, type OpenedDocument } from '../keys/sealed-records.ts';
import { isBackupId } from '../manifests/ids.ts';
import type { Repository } from '../repository.ts';

const recordSchema = z.object({ at: z.iso.datetime(), manifestSeal: z.string(), state: z.enum(['moved', 'back']) });

export type TrashState = z.infer<typeof recordSchema>['state'];

/** A backup as its manifest stands there. */
export interface TrashedManifest {
  readonly id: string;
  /** 64 hex digits; undefined where it cannot be read. */
  readonly seal: string | undefined;
  /** 32 hex digits; undefined without encryption. */
  readonly dataKey: string | undefined;
}

/** A record that counts. Times in milliseconds since 1970. */
interface TrashRecord {
  readonly state: TrashState;
  /** Of the manifest that it speaks of. */
  readonly seal: string;
  /** As it says itself. */
  readonly atMs: number;
  /** That, or the storage's stamp of it if that is later. */
  readonly sinceMs: number;
}

const name = /^notes\/([^/]+)\/\d{8}T\d{6}Z-[0-9a-f]{4}-(?:moved|back)\.json$/;

/** The backup of a record by its key; undefined: it is none. */
export function trashRecordOf(key: string): string | undefined {
  const id = name.exec(key)?.[1];
  return id !== undefined && isBackupId(id) ? id : undefined;
}

/**
 * Writes down that a backup goes to trash, or comes back; under the `cleanup` lease. `atMs`, milliseconds since 1970,
 * is put behind the times of earlier records. Throws `key` without the backup's key.
 */
export async function writeTrashRecord(
  repository: Repository,
  { id, seal, dataKey }: TrashedManifest,
  state: TrashState,
  atMs = Date.now(),
): Promise<void> {
  const before = await (await TrashRecords.list(repository, id)).newest(id);
  const at = new Date(Math.max(atMs, (before?.atMs ?? 0) + 1));
  const object = `notes/${id}/${compactUtc(at)}-${randomBytes(2).toString('hex')}-${state}.json`;
  const { host, user } = ownIdentity();
  const key = {
    dataKey: dataKey === undefined ? undefined : await repository.keyring?.open(dataKey, id),
    // Without encryption the seal vouches for nothing; this signature does.
    signer: await repository.signer(),
  };
  const members = { at: at.toISOString(), host, user, manifestSeal: seal, state };
  await repository.storage.put(object, [sealRecord(object, members, key)]);
}

/** The records of all backups, or of one. */
export class TrashRecords {
  readonly #repository: Repository;
  readonly #byBackup: ReadonlyMap<string, readonly StoredOnce[]>;

  private constructor(repository: Repository, byBackup: ReadonlyMap<string, readonly StoredOnce[]>) {
    this.#repository = repository;
    this.#byBackup = byBackup;
  }

  /** Costs one listing. Throws what the storage throws. */
  static async list(repository: Repository, backupId?: string): Promise<TrashRecords> {
    const byBackup = new Map<string, StoredOnce[]>();
    for await (const record of everStored(
      repository.storage,
      backupId === undefined ? 'notes/' : `notes/${backupId}/`,
    )) {
      const id = trashRecordOf(record.key);
      if (id !== undefined) byBackup.set(id, [...(byBackup.get(id) ?? []), record]);
    }
    return new TrashRecords(repository, byBackup);
  }

  /** What has records at all. */
  ids(): Iterable<string> {
    return this.#byBackup.keys();
  }

  /** Undefined where there is none, or one that does not count. Throws only what the storage throws. */
  async newest(id: string): Promise<TrashRecord | undefined> {
    const read = await Promise.all((this.#byBackup.get(id) ?? []).map(async (each) => this.#read(each)));
    if (read.includes(undefined)) return undefined;
    return read.toSorted((a, b) => (a?.atMs ?? 0) - (b?.atMs ?? 0)).at(-1);
  }

  /**
   * Since when a manifest is in trash because we moved it, milliseconds since 1970: as the record says, as it is
   * stamped and as the copy is stamped, whichever is the latest; undefined where nothing says so.
   */
  async movedMs({ id, seal, modifiedMs }: TrashedCopy): Promise<number | undefined> {
    const newest = await this.newest(id);
    return newest?.state === 'moved' && newest.seal === seal ? Math.max(newest.sinceMs, modifiedMs) : undefined;
  }

  /** Those of a backup that do not count, or cannot be read. */
  async useless(id: string): Promise<string[]> {
    const useless: string[] = [];
    for (const each of this.#byBackup.get(id) ?? []) {
      if ((await this.#read(each)) === undefined) useless.push(each.key);
    }
    return useless;
  }

  async #read(stored: StoredOnce): Promise<TrashRecord | undefined> {
    try {
      return await this.#openTrue(stored);
    } catch (error) {
      if (error instanceof LifeboatError && ['integrity', 'key', 'not_found'].includes(error.code)) return undefined;
      throw error;
    }
  }

  /** The oldest version that counts, so its stamp is that of its first writing. */
  async #openTrue({ key: object, modifiedMs }: StoredOnce): Promise<TrashRecord> {
    const { storage } = this.#repository;
    const open = async (bytes: Buffer, stampMs: number): Promise<TrashRecord> => {
      const opened = await openRecord(bytes, object, this.#repository.keyring);
      const parsed = recordSchema.safeParse(opened.members, uncompiled);
      if (!parsed.success || (await this.#isForeign(opened))) {
        throw new LifeboatError('integrity', `${object} does not count`);
      }
      const atMs = Date.parse(parsed.data.at);
      return { state: parsed.data.state, seal: parsed.data.manifestSeal, atMs, sinceMs: Math.max(atMs, stampMs) };
    };
    const found = await openEarlier(storage, object, async (bytes, version) => open(bytes, version.modifiedMs));
    return found === undefined ? open(await storage.get(object), modifiedMs) : found.opened;
  }

  async #isForeign(opened: OpenedDocument): Promise<boolean> {
    if (distrustOf(opened) !== undefined) return true;
    return !(await this.#repository.vouchesFor({ trust: 'sealed', signedBy: opened.signedBy }));
  }
}

/** A manifest in trash, with the storage's stamp of the copy in milliseconds since 1970. */
interface TrashedCopy extends Pick<TrashedManifest, 'id' | 'seal'> {
  readonly modifiedMs: number;
}
