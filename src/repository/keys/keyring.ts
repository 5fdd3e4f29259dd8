/**
 * Which data key opens what, and under which one this host writes. A writer encrypts only under a data
 * key that it made itself or opened by a raw key or passphrase, never under one older than the newest
 * it has seen. Rules: man lifeboat-repository(7), "Keys".
 */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import { NotFoundError, type Storage } from '../../storage/storage.ts';
import { sha256, type DataKey } from '../box/crypto.ts';
import { openTrue } from '../earlier-versions.ts';
import { newDataKey, parseKeyFile, wrapDataKey, type ReadKeyFile } from './file.ts';
import { stretchPassphrase } from './stretch.ts';
import { openWithCache, type OpenedKey } from './cached-open.ts';
import { cannotOpen, isDamage, newerKeyGone, noKeyToWrite, noWrappedKey, strangerKey } from './failures.ts';
import { canDecrypt, hasSymmetricKey, type KeyMaterial } from './material.ts';
import { timeOfNext } from './order.ts';
import { isAheadOfClocks } from '../clocks.ts';
import { putKeyFile } from './put-key-file.ts';
import { checkSeal, type DocumentSignature } from '../box/seal.ts';
import { isSignedBy, signerFromSeed, signingSeed, type Signer } from '../box/signing.ts';
import { ownPublicKey, ownSigner, type RepositoryState, type SeenDataKey } from '../host-state.ts';
import { keyCopyKey } from '../object-keys.ts';

/** What a backup writes under. */
export interface WriteKey {
  readonly dataKey: DataKey;
  readonly signer: Signer;
}

/** Who wrote a document whose seal is right: one we trust, nobody says, or one we do not trust. */
export type Authenticity = 'authentic' | 'unsigned' | 'untrusted';

/** How many copies of a lost or unopenable key file are tried before it counts as unopenable. */
const maxCopiesTried = 3;

export class Keyring {
  readonly storage: Storage;
  readonly material: KeyMaterial;
  readonly state: RepositoryState;
  readonly #repositoryId: string;
  readonly #opened = new Map<string, Promise<OpenedKey>>();
  readonly #copiesTried = new Map<string, number>();
  #signer: Promise<Signer> | undefined;
  #ownPublicKey: Buffer | undefined;

  constructor(storage: Storage, repositoryId: string, material: KeyMaterial, state: RepositoryState) {
    this.storage = storage;
    this.material = material;
    this.state = state;
    this.#repositoryId = repositoryId;
  }

  /**
   * The data key `id` (32 hex digits). `backupId` names a backup that holds a copy of the key file, should keys/ have
   * lost it. Throws LifeboatError `key` when nothing configured opens it.
   */
  async open(id: string, backupId?: string): Promise<OpenedKey> {
    const known = this.#opened.get(id);
    if (known !== undefined) {
      const settled = await known.catch(() => undefined);
      const tried = this.#copiesTried.get(id) ?? 0;
      if (settled !== undefined || backupId === undefined || tried >= maxCopiesTried) return known;
    }
    if (backupId !== undefined) this.#copiesTried.set(id, (this.#copiesTried.get(id) ?? 0) + 1);
    const opening = this.#open(id, backupId);
    this.#opened.set(id, opening);
    return opening;
  }

  /**
   * The newest usable data key and our signing key; a host with only public recipients may make a new one. Throws
   * LifeboatError `key`.
   */
  async writeKey(): Promise<WriteKey> {
    return {
      dataKey: hasSymmetricKey(this.material) ? await this.#newestOpened() : await this.#ownKey(),
      signer: await this.signer(),
    };
  }

  /** Our signing key: derived from the raw key or passphrase, else this host's own. */
  async signer(): Promise<Signer> {
    this.#signer ??= this.#makeSigner();
    return this.#signer;
  }

  /**
   * Starts a new data key, wrapped for the configured key and recipients only; what is written next uses it. That it
   * cannot be remembered once it is there is told to `onWarning`; without one it is thrown.
   */
  async startDataKey(onWarning?: (message: string) => void): Promise<OpenedKey> {
    const entriesFor = this.material;
    if (!hasSymmetricKey(entriesFor) && entriesFor.recipients.length === 0) throw noKeyToWrite();
    // One that only its maker writes under needs no place in the order.
    const before = hasSymmetricKey(entriesFor) ? await this.#newestThatCounts() : undefined;
    const createdAt = timeOfNext(before);
    const dataKey = newDataKey();
    const id = dataKey.id.toString('hex');
    const file = { id, createdAt, recipients: await wrapDataKey(dataKey, entriesFor) };
    // Before it is there: one that this host could not keep would be of no use to it. A kept one without its file is
    // passed over.
    if (!hasSymmetricKey(entriesFor)) await this.state.keepOwnDataKey({ ...dataKey, createdAt });
    await putKeyFile(this.storage, { file, dataKey, signer: await this.signer() }, entriesFor);
    await this.state.rememberDataKey({ id, createdAt }).catch((error: unknown) => {
      if (onWarning === undefined) throw error;
      onWarning(`data key ${id} is started, but this host does not remember it: ${messageOf(error)}`);
    });
    const opened: OpenedKey = { ...dataKey, createdAt, openedBy: openedByOwner(entriesFor) };
    this.#opened.set(id, Promise.resolve(opened));
    return opened;
  }

  /**
   * Every key file under keys/, newest first, none of them opened; and the failures of those that cannot even be
   * parsed.
   */
  async keyFiles(): Promise<{ readonly files: ReadKeyFile[]; readonly damaged: LifeboatError[] }> {
    const files: ReadKeyFile[] = [];
    const damaged: LifeboatError[] = [];
    for await (const { key } of this.storage.list('keys/')) {
      const id = /^keys\/([0-9a-f]{32})\.json$/.exec(key)?.[1];
      if (id === undefined) continue;
      try {
        files.push(await openTrue(this.storage, key, (bytes) => parseKeyFile(bytes, key, id)));
      } catch (error) {
        if (!isDamage(error)) throw error;
        damaged.push(error);
      }
    }
    return { files: files.toSorted((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt)), damaged };
  }

  /** The bytes of the key file of a data key that we have, as they are in the storage; only while they open it. */
  async keyFileOf(id: string): Promise<Buffer> {
    const dataKey = await this.open(id);
    const object = `keys/${id}.json`;
    return openTrue(this.storage, object, async (bytes) => {
      await checkSeal(parseKeyFile(bytes, object, id).split, dataKey, object, 'key-file');
      return bytes;
    });
  }

  /**
   * Whether somebody whom we trust made this key file: we opened it with a key that only we hold, or a writer that
   * counts signed it. Anybody who knows a public recipient can make one that an age identity opens.
   */
  async vouchesFor(file: ReadKeyFile): Promise<boolean> {
    const { signature, signedBytes } = file.split;
    if (signature !== undefined && signedBytes !== undefined && (await this.#isTrusted(signature.key))) {
      return isSignedBy(signature.key, signedBytes, signature.value);
    }
    const opened = await this.open(file.id).catch(undefinedWithoutKey);
    if (opened === undefined || opened.openedBy === 'age') return false;
    return checkSeal(file.split, opened, file.object, 'key-file').then(
      () => true,
      () => false,
    );
  }

  /** Whether a signature (already verified) makes a document under `key` authentic for us. */
  async authenticity(key: OpenedKey, signature: DocumentSignature | undefined): Promise<Authenticity> {
    if (key.openedBy === 'raw' || key.openedBy === 'passphrase') return 'authentic';
    if (signature === undefined) return 'unsigned';
    return (await this.#isTrusted(signature.key)) ? 'authentic' : 'untrusted';
  }

  /** What we signed ourselves needs no listing: nobody else has that key. */
  async #isTrusted(publicKey: Buffer): Promise<boolean> {
    if (this.material.trustedKeys.some((each) => each.equals(publicKey))) return true;
    if (hasSymmetricKey(this.material)) return (await this.signer()).publicKey.equals(publicKey);
    this.#ownPublicKey ??= await ownPublicKey(this.state.stateDir);
    return this.#ownPublicKey?.equals(publicKey) === true;
  }

  async #open(id: string, backupId: string | undefined): Promise<OpenedKey> {
    const failures: string[] = [];
    if (canDecrypt(this.material)) {
      for (const object of backupId === undefined ? [`keys/${id}.json`] : [`keys/${id}.json`, keyCopyKey(backupId)]) {
        try {
          return await openTrue(this.storage, object, async (bytes) => {
            const opened = await openWithCache(parseKeyFile(bytes, object, id), this.material, this.state);
            if (opened === undefined) {
              throw new LifeboatError('integrity', `the configured key does not open ${object}`);
            }
            return opened;
          });
        } catch (error) {
          // Damaged or absent: the backup's copy may still be good. Anything else is a failure of the storage or of the
          // key itself.
          if (!(error instanceof NotFoundError) && !isDamage(error)) throw error;
          failures.push(messageOf(error));
        }
      }
    }
    const own = await this.state.ownDataKey();
    if (own?.id.toString('hex') === id) return { ...own, openedBy: 'own' };
    throw cannotOpen(id, failures, this.material);
  }

  /**
   * By whose time a new data key goes: the newest file that somebody trusted vouches for, or what this host remembers.
   * A planted file sets no pace, nor does a memory of one.
   */
  async #newestThatCounts(): Promise<SeenDataKey | undefined> {
    const seen = await this.state.newestDataKey();
    const believed = seen === undefined || isAheadOfClocks(seen.createdAt) ? undefined : seen;
    for (const file of (await this.keyFiles()).files) {
      if (believed !== undefined && Date.parse(file.createdAt) <= Date.parse(believed.createdAt)) return believed;
      if (await this.vouchesFor(file)) return file;
    }
    return believed;
  }

  /** The newest data key that is wrapped for a raw key or passphrase; ours must open it. */
  async #newestOpened(): Promise<DataKey> {
    const { files, damaged } = await this.keyFiles();
    const newest = files.find((file) => file.recipients.some((entry) => entry.type !== 'age'));
    if (newest === undefined && damaged[0] !== undefined) throw damaged[0];
    if (newest === undefined) {
      throw noWrappedKey(this.storage.location);
    }
    const opened = await this.open(newest.id).catch((error: unknown) => {
      const isOnlyOne = files.every(({ id, createdAt }) => id === newest.id || createdAt > newest.createdAt);
      throw isOnlyOne || !canDecrypt(this.material) ? error : strangerKey(newest, error);
    });
    if (opened.openedBy !== 'raw' && opened.openedBy !== 'passphrase') {
      throw cannotOpen(newest.id, ['only an age identity opens it, so somebody else may have made it'], this.material);
    }
    const seen = await this.state.newestDataKey();
    if (seen !== undefined && seen.id !== newest.id && Date.parse(seen.createdAt) > Date.parse(opened.createdAt)) {
      throw newerKeyGone(this.storage.location, newest.id, seen.id);
    }
    await this.state.rememberDataKey(newest);
    return opened;
  }

  /**
   * The data key of a host that holds only public recipients: its own one, while it is young, in place, and wrapped for
   * who is configured now.
   */
  async #ownKey(): Promise<DataKey> {
    if (this.material.recipients.length === 0) throw noKeyToWrite();
    const own = await this.state.ownDataKey();
    if (own === undefined) return this.startDataKey();
    const object = `keys/${own.id.toString('hex')}.json`;
    try {
      const file = parseKeyFile(await this.storage.get(object), object, own.id.toString('hex'));
      await checkSeal(file.split, own, object, 'key-file');
      const recipients = file.recipients.map((entry) => (entry.type === 'age' ? entry.recipient : entry.type));
      if (recipients.toSorted().join() === this.material.recipients.toSorted().join()) return own;
    } catch (error) {
      if (!(error instanceof NotFoundError) && !isDamage(error)) throw error;
    }
    return this.startDataKey();
  }

  async #makeSigner(): Promise<Signer> {
    const { rawKey, passphrases } = this.material;
    if (rawKey !== undefined) return signerFromSeed(signingSeed(rawKey));
    const passphrase = passphrases[0];
    if (passphrase === undefined) return ownSigner(this.state.stateDir);
    const cached = await this.state.cachedSecret('signing', passphrase);
    if (cached !== undefined) return signerFromSeed(cached);
    const seed = signingSeed(
      await stretchPassphrase(passphrase, sha256(Buffer.from(this.#repositoryId)).subarray(0, 16)),
    );
    await this.state.cacheSecret('signing', passphrase, seed);
    return signerFromSeed(seed);
  }
}

function undefinedWithoutKey(error: unknown): undefined {
  if (!(error instanceof LifeboatError) || error.code !== 'key') throw error;
}

function openedByOwner(material: KeyMaterial): OpenedKey['openedBy'] {
  if (material.rawKey !== undefined) return 'raw';
  return material.passphrases.length > 0 ? 'passphrase' : 'own';
}
