/**
 * Reading manifests: all of them for `list`, one by its id. Listing needs no key; whether a manifest
 * can be trusted is told for each, and one bad object never hides the others.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { NotFoundError, type ObjectInfo, type ObjectVersion, type Storage } from '../../storage/storage.ts';
import { openEarlier } from '../earlier-versions.ts';
import { distrustOf, openSplit } from '../keys/sealed-records.ts';
import { isBackupId } from './ids.ts';
import { canDecrypt } from '../keys/material.ts';
import type { Keyring } from '../keys/keyring.ts';
import { maxManifestBytes, parseManifest, type Manifest } from './manifest.ts';
import { damaged, reasonFor, splitDocument } from '../box/seal.ts';

/**
 * - sealed: the seal holds and the writer is trusted; only these count
 * - unchecked: no configured key opens its data key
 * - untrusted: the seal holds, but nobody we trust signed it
 * - damaged: it cannot be read, or its seal does not hold; `manifest` is then undefined
 */
export type ManifestTrust = 'sealed' | 'unchecked' | 'untrusted' | 'damaged';

export interface ListedManifest {
  /** From the object's name. */
  readonly id: string;
  readonly object: string;
  readonly sizeBytes: number;
  /** The storage's stamp, milliseconds since 1970. */
  readonly modifiedMs: number;
  readonly trust: ManifestTrust;
  /** Why it is not sealed; one sentence that does not name it again. */
  readonly reason: string | undefined;
  /** Of the right shape even where it could not be checked. */
  readonly manifest: Manifest | undefined;
  readonly seal: string | undefined;
  /** Public key of the writer, base64. */
  readonly signedBy: string | undefined;
}

export interface ListOptions {
  /** `manifests/` (default) or `trash/`. */
  readonly folder?: 'manifests/' | 'trash/';
  /** Only ids that begin so. */
  readonly idPrefix?: string;
  /** Only ids greater than this text. */
  readonly after?: string;
  readonly order?: 'newest-first' | 'oldest-first';
}

export interface ManifestHome {
  readonly storage: Storage;
  readonly repositoryId: string;
  /** Undefined without encryption. */
  readonly keyring: Keyring | undefined;
}

/** Objects read side by side. */
const parallelGets = 16;

/** Every manifest there is, by id. Ids begin with their time, so this is the order in time. */
export async function* listManifests(home: ManifestHome, options: ListOptions = {}): AsyncGenerator<ListedManifest> {
  const objects: ObjectInfo[] = [];
  const folder = options.folder ?? 'manifests/';
  const after = options.after === undefined ? undefined : `${folder}${options.after}`;
  for await (const info of home.storage.list(`${folder}${options.idPrefix ?? ''}`, after)) {
    objects.push(info);
  }
  if (options.order !== 'oldest-first') objects.reverse();
  const reading: Promise<ListedManifest | undefined>[] = [];
  for (const info of objects) {
    const one = readListed(home, info);
    // It is awaited below, in order; until then a failure must not count as unhandled.
    one.catch(() => {});
    reading.push(one);
    if (reading.length < parallelGets) continue;
    const listed = await reading.shift();
    if (listed !== undefined) yield listed;
  }
  for (const one of reading) {
    const listed = await one;
    if (listed !== undefined) yield listed;
  }
}

/** Reads one manifest object; undefined when it is gone by now. Throws only what the storage throws. */
export async function readListed(home: ManifestHome, info: ObjectInfo): Promise<ListedManifest | undefined> {
  const id = /\/([^/]*)\.json$/.exec(info.key)?.[1] ?? info.key;
  const base = { id, object: info.key, sizeBytes: info.sizeBytes, modifiedMs: info.modifiedMs };
  let bytes: Buffer;
  try {
    if (!isBackupId(id)) throw damaged(info.key, 'its name is not a backup id');
    if (info.sizeBytes > maxManifestBytes) throw damaged(info.key, `${info.sizeBytes} bytes are too many`);
    bytes = await home.storage.get(info.key);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    return (await earlier(home, base)) ?? { ...base, ...asDamaged(error, info.key) };
  }
  const judged = await judge(home, bytes, id, info.key);
  return (isWorse(home, judged) ? await earlier(home, base) : undefined) ?? { ...base, ...judged };
}

type Base = Pick<ListedManifest, 'id' | 'object' | 'sizeBytes' | 'modifiedMs'>;

/** Could an earlier version be more than that? Without a key nobody can tell. */
function isWorse({ keyring }: ManifestHome, { trust }: Judged): boolean {
  return (
    trust === 'damaged' ||
    trust === 'untrusted' ||
    (trust === 'unchecked' && keyring !== undefined && canDecrypt(keyring.material))
  );
}

/** The oldest version whose seal holds; undefined when there is none. */
async function earlier(home: ManifestHome, base: Base): Promise<ListedManifest | undefined> {
  if (!isBackupId(base.id)) return undefined;
  const found = await openEarlier(
    home.storage,
    base.object,
    async (bytes, { sizeBytes, modifiedMs }): Promise<ListedManifest> => {
      if (sizeBytes > maxManifestBytes) throw damaged(base.object, `${sizeBytes} bytes are too many`);
      const judged = await judge(home, bytes, base.id, base.object);
      if (judged.trust !== 'sealed') throw damaged(base.object, judged.reason ?? 'its seal does not hold');
      return { ...base, sizeBytes, modifiedMs, ...judged };
    },
  );
  if (found !== undefined) {
    home.storage.history?.fellBack(
      `${base.object} was overwritten; an earlier version of it, whose seal holds, is used`,
    );
  }
  return found?.opened;
}

/**
 * One manifest that a delete marker hides: its oldest version whose seal holds, else the oldest that is a manifest at
 * all; one that is damaged when none is. `versions` oldest first, without markers.
 */
export async function readHiddenManifest(
  home: ManifestHome,
  object: string,
  versions: readonly ObjectVersion[],
): Promise<ListedManifest> {
  const id = /\/([^/]*)\.json$/.exec(object)?.[1] ?? object;
  const judged: ListedManifest[] = [];
  for (const { id: versionId, sizeBytes, modifiedMs } of versions) {
    if (sizeBytes > maxManifestBytes || home.storage.history === undefined) continue;
    const each = {
      id,
      object,
      sizeBytes,
      modifiedMs,
      ...(await judge(home, await home.storage.history.get(object, versionId), id, object)),
    };
    if (each.trust === 'sealed') return each;
    judged.push(each);
  }
  const [first] = versions;
  const lost = {
    id,
    object,
    sizeBytes: first?.sizeBytes ?? 0,
    modifiedMs: first?.modifiedMs ?? 0,
    ...asDamaged(damaged(object, 'no version of it can be read'), object),
  };
  return judged.find(({ trust }) => trust !== 'damaged') ?? lost;
}

type Judged = Pick<ListedManifest, 'trust' | 'reason' | 'manifest' | 'seal' | 'signedBy'>;

async function judge(home: ManifestHome, bytes: Buffer, id: string, object: string): Promise<Judged> {
  try {
    const split = splitDocument(bytes, object);
    const manifest = parseManifest(split.members, id, home.repositoryId, object);
    const shown = { manifest, seal: split.seal, signedBy: split.signature?.key.toString('base64') };
    try {
      const document = await openSplit(split, object, home.keyring, id);
      const reason = distrustOf(document);
      return { ...shown, trust: reason === undefined ? 'sealed' : 'untrusted', reason };
    } catch (error) {
      if (error instanceof LifeboatError && error.code === 'key') {
        return { ...shown, trust: 'unchecked', reason: error.message };
      }
      throw error;
    }
  } catch (error) {
    return asDamaged(error, object);
  }
}

function asDamaged(error: unknown, object: string): Judged {
  if (!(error instanceof LifeboatError) || error.code !== 'integrity') throw error;
  const reason = reasonFor(object, error);
  return { trust: 'damaged', reason, manifest: undefined, seal: undefined, signedBy: undefined };
}
