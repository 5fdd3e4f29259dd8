/**
 * One repository: opened, its manifests listed, read and published, its keys and facts. Configuration
 * alone decides on encryption; what a repository says of itself must agree with it.
 * Layout of every object: man lifeboat-repository(7).
 */
import { z } from 'zod';
import type { EncryptionConfig } from '../config/config.ts';
import { uncompiled } from '../config/uncompiled.ts';
import { faultIn } from '../config/schema-words.ts';
import { parseJson } from '../lib/json.ts';
import { LifeboatError, messageOf } from '../lib/errors.ts';
import { AlreadyExistsError, NotFoundError, type Storage } from '../storage/storage.ts';
import { keyNeeded, type SealingKey } from './keys/sealed-records.ts';
import { openTrue } from './earlier-versions.ts';
import { canDecrypt, parseKeyMaterial, parseTrustedKeys, type KeyMaterial } from './keys/material.ts';
import type { OpenedKey } from './keys/cached-open.ts';
import { Keyring } from './keys/keyring.ts';
import {
  listManifests,
  readListed,
  type ListedManifest,
  type ListOptions,
  type ManifestHome,
} from './manifests/listing.ts';
import { maxManifestBytes, parseManifest, type Manifest, type ManifestDraft } from './manifests/manifest.ts';
import { resolveBackup, type ResolvedBackup, type ResolveOptions } from './manifests/resolve.ts';
import { damaged, sealDocument } from './box/seal.ts';
import type { Signer } from './box/signing.ts';
import { ownPublicKey, ownSigner, RepositoryState } from './host-state.ts';
import { otherRepository, rememberedId, rememberId } from './place.ts';
import { SeenBackups } from './seen-backups.ts';
import { takeBack } from './manifests/take-back.ts';
import { keyCopyKey, manifestKey } from './object-keys.ts';

export const repositoryObject = 'repository.json';

const repositorySchema = z.strictObject({
  format: z.literal(1),
  id: z.uuid(),
  createdAt: z.iso.datetime(),
  encryption: z.enum(['aes-256-gcm', 'none']),
});

/** The content of repository.json. */
export type RepositoryInfo = z.infer<typeof repositorySchema>;

/**
 * Opens an existing repository. Throws LifeboatError `not_found` without a repository.json, `key` when
 * it and the configuration disagree on encryption, `integrity` when it cannot be parsed, or is another one than this
 * host remembers at `place` (undefined: it is not asked).
 */
export async function openRepository(
  storage: Storage,
  encryption: EncryptionConfig,
  stateDir: string,
  place?: string,
): Promise<Repository> {
  const material = parseKeyMaterial(encryption);
  const remembered = place === undefined ? undefined : await rememberedId(stateDir, place);
  const info = await openTrue(storage, repositoryObject, (bytes) => {
    const found = parseRepositoryInfo(bytes);
    if (remembered === undefined || found.id === remembered) return found;
    throw otherRepository(storage.location, found.id, remembered);
  }).catch(noneWhereAbsent);
  if (info === undefined) {
    throw new LifeboatError(
      'not_found',
      `there is no repository at ${storage.location}: it has no ${repositoryObject}`,
      { hint: 'create it with: lifeboat init' },
    );
  }
  refuseMismatch(info, material, storage.location);
  if (place !== undefined && remembered === undefined) {
    // Who may not write there remembers nothing else either: that is told where it matters.
    await rememberId(stateDir, place, info.id).catch(() => {});
  }
  return new Repository(storage, info, material, { stateDir, trustedKeys: parseTrustedKeys(encryption) });
}

/** The parsed repository.json; undefined when there is none. */
export async function readRepositoryInfo(storage: Storage): Promise<RepositoryInfo | undefined> {
  return storage.get(repositoryObject).then(parseRepositoryInfo).catch(noneWhereAbsent);
}

function noneWhereAbsent(error: unknown): undefined {
  if (!(error instanceof NotFoundError)) throw error;
}

/** It has some hundred. */
const maxInfoBytes = 64 * 1024;

function parseRepositoryInfo(bytes: Buffer): RepositoryInfo {
  if (bytes.length > maxInfoBytes) throw damaged(repositoryObject, `${bytes.length} bytes are too many`);
  let value: unknown;
  try {
    value = parseJson(bytes.toString());
  } catch (cause) {
    throw damaged(repositoryObject, 'it is not JSON', cause);
  }
  const parsed = repositorySchema.safeParse(value, uncompiled);
  if (parsed.success) return parsed.data;
  const format = typeof value === 'object' && value !== null && 'format' in value ? value.format : undefined;
  throw damaged(
    repositoryObject,
    typeof format === 'number' && format > 1
      ? `format ${format} is newer than this version of lifeboat knows`
      : `it does not describe a repository: ${faultIn(parsed.error)}`,
  );
}

/** What one host has for judging by. */
export interface HostTrust {
  /** Absolute. */
  readonly stateDir: string;
  /** Ed25519 public keys of writers, 32 bytes each. */
  readonly trustedKeys: readonly Buffer[];
}

export class Repository implements ManifestHome {
  readonly storage: Storage;
  readonly info: RepositoryInfo;
  readonly repositoryId: string;
  readonly state: RepositoryState;
  readonly seen: SeenBackups;
  /** Undefined without encryption. */
  readonly keyring: Keyring | undefined;
  readonly #trustedKeys: readonly Buffer[];

  /** Use openRepository or createRepository. */
  constructor(storage: Storage, info: RepositoryInfo, material: KeyMaterial | undefined, trust: HostTrust) {
    const { stateDir, trustedKeys } = trust;
    this.storage = storage;
    this.#trustedKeys = trustedKeys;
    this.info = info;
    this.repositoryId = info.id;
    this.state = new RepositoryState(stateDir, info.id);
    this.seen = new SeenBackups(stateDir, info.id);
    this.keyring = material === undefined ? undefined : new Keyring(storage, info.id, material, this.state);
  }

  get encryption(): RepositoryInfo['encryption'] {
    return this.info.encryption;
  }

  /** False when the repository is encrypted and nothing is configured to decrypt with. */
  get canRead(): boolean {
    return this.keyring === undefined || canDecrypt(this.keyring.material);
  }

  /** What to write under; without encryption there is only a signer. Throws LifeboatError `key`. */
  async writeKey(): Promise<SealingKey> {
    return this.keyring === undefined ? { dataKey: undefined, signer: await this.signer() } : this.keyring.writeKey();
  }

  /** Our signing key: without encryption that of this host. */
  async signer(): Promise<Signer> {
    return this.keyring === undefined ? ownSigner(this.state.stateDir) : this.keyring.signer();
  }

  /**
   * Whether a key that only trusted people have stands behind a backup. Without encryption all that is whole counts,
   * whoever made it; but only what this host or a listed writer signed may also say who gets which rights.
   */
  async vouchesFor({ trust, signedBy }: Pick<ListedManifest, 'trust' | 'signedBy'>): Promise<boolean> {
    if (trust !== 'sealed') return false;
    if (this.keyring !== undefined) return true;
    const own = await ownPublicKey(this.state.stateDir);
    return [...this.#trustedKeys, ...(own === undefined ? [] : [own])].some(
      (key) => key.toString('base64') === signedBy,
    );
  }

  /**
   * The data key that a manifest names; undefined without encryption. Throws LifeboatError `key` when it cannot be
   * opened.
   */
  async dataKeyOf(manifest: Manifest): Promise<OpenedKey | undefined> {
    if (this.keyring === undefined) return undefined;
    if (manifest.dataKey === undefined) throw keyNeeded(`read backup ${manifest.id}`);
    return this.keyring.open(manifest.dataKey, manifest.id);
  }

  /** All manifests, newest first unless told otherwise; needs no key. */
  listManifests(options?: ListOptions): AsyncGenerator<ListedManifest> {
    return listManifests(this, options);
  }

  /** One manifest by its full id, whatever its trust. Throws LifeboatError `not_found`. */
  async readManifest(backupId: string): Promise<ListedManifest> {
    const found = await readListed(this, await this.storage.stat(manifestKey(backupId)));
    if (found === undefined) throw new NotFoundError(this.storage.location, manifestKey(backupId));
    return found;
  }

  /** See resolveBackup. */
  async resolve(text: string, options?: ResolveOptions): Promise<ResolvedBackup> {
    return resolveBackup(this, text, options);
  }

  /**
   * The commit point: once this resolves the backup exists. Everything it names must be in place and
   * checked. `stillHolds` (lease and packs) is called directly before the manifest is put and once more
   * after it: if it finds then that they are lost (LifeboatError `locked` or `integrity`), the manifest is taken back.
   * Whatever else goes wrong after it is told to `onWarning`: an abort, a storage that no longer answers, a state
   * folder that is full. Throws LifeboatError `integrity` for a draft that no reader would take.
   */
  async publishManifest(
    draft: ManifestDraft,
    key: SealingKey,
    stillHolds: () => Promise<void> = async () => {},
    onWarning: (message: string) => void = () => {},
  ): Promise<{ readonly manifest: Manifest; readonly seal: string }> {
    const object = manifestKey(draft.id);
    const { components, ...head } = draft;
    const dataKey = key.dataKey === undefined ? {} : { dataKey: key.dataKey.id.toString('hex') };
    const members = { format: 1, repository: this.repositoryId, ...head, ...dataKey, components };
    const bytes = sealDocument(members, key.dataKey, key.signer);
    const asRead = JSON.parse(JSON.stringify(members)) as Record<string, unknown>;
    const manifest = parseManifest(asRead, draft.id, this.repositoryId, object);
    if (bytes.length > maxManifestBytes) {
      const message = `the manifest would have ${bytes.length} bytes, over the limit of ${maxManifestBytes}`;
      throw new LifeboatError('integrity', message, { state: 'nothing was published' });
    }
    await stillHolds();
    await this.storage.put(object, [bytes]).catch(async (error: unknown) => {
      // It may be there although its answer was lost, or not waited for.
      if (!(error instanceof AlreadyExistsError)) {
        await takeBack(this.storage, object, { budgetMs: 5000 }).catch(() => {});
      }
      throw error;
    });
    const exists = `backup ${manifest.id} is stored and can be restored, but`;
    await stillHolds().catch(async (error: unknown) => {
      if (isLoss(error)) {
        await takeBack(this.storage, object);
        throw error;
      }
      onWarning(`${exists} it was not looked at once more (lifeboat validate does it): ${messageOf(error)}`);
    });
    const seal = bytes.toString('latin1', bytes.length - 68, bytes.length - 4);
    const seen = { id: manifest.id, seal, startedAt: manifest.startedAt };
    await this.seen.remember(manifest.target, seen).catch((error: unknown) => {
      onWarning(`${exists} this host does not remember it, nor would notice its loss: ${messageOf(error)}`);
    });
    return { manifest, seal };
  }

  /**
   * Copies the key file of `dataKeyId` beside a backup, should keys/ be lost, and retains it as long as the backup
   * where that is allowed. Before the manifest.
   */
  async copyKeyFile(backupId: string, dataKeyId: string): Promise<void> {
    if (this.keyring === undefined) return;
    await this.storage.put(keyCopyKey(backupId), [await this.keyring.keyFileOf(dataKeyId)]);
    const { retention } = this.storage;
    // The copy is retained in any case, so nothing is lost where this is refused.
    if (retention !== undefined) await this.storage.extendRetention?.(`keys/${dataKeyId}.json`, retention.untilMs);
  }
}

/** That what a backup needs may be gone is found; not, that it could not be looked for. */
function isLoss(error: unknown): boolean {
  return error instanceof LifeboatError && (error.code === 'locked' || error.code === 'integrity');
}

/**
 * Configuration decides: neither may a bucket talk us into writing in the clear, nor is a configured key passed over in
 * silence.
 */
export function refuseMismatch(info: RepositoryInfo, material: KeyMaterial | undefined, location: string): void {
  if (info.encryption === 'none' && material !== undefined) {
    throw new LifeboatError(
      'key',
      `encryption is configured, but the repository at ${location} says it is not encrypted`,
      { hint: 'if that is intended: BACKUP_ENCRYPTION_ENABLED=false; else find out who changed repository.json' },
    );
  }
  if (info.encryption !== 'none' && material === undefined) {
    throw new LifeboatError(
      'key',
      `the repository at ${location} is encrypted, but encryption is switched off in the configuration`,
      { hint: 'remove BACKUP_ENCRYPTION_ENABLED=false and configure its key' },
    );
  }
}
