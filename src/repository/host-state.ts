/**
 * What this host remembers of one repository, under `<state>/repositories/<id>/`: the newest backup of
 * each target and the newest data key it has seen (so that a repository put back to an older state is
 * noticed), its own data key where it holds only public recipients, and opened data keys where a
 * passphrase would be too slow to stretch each time. Secrets are files of mode 0600 and expire.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { link, readFile, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCodeOf } from '../lib/errors.ts';
import { fileError, stateFolderHint, tellingFileErrors } from '../lib/file-errors.ts';
import { ensureFolder, writeFileAtomic } from '../lib/fs.ts';
import { isAheadOfClocks } from './clocks.ts';
import type { DataKey } from './box/crypto.ts';
import { signerFromSeed, type Signer } from './box/signing.ts';

export interface SeenBackup {
  readonly id: string;
  /** 64 hex digits. */
  readonly seal: string;
  /** RFC 3339, UTC. */
  readonly startedAt: string;
}

/** Of the audit log of a host: number and seal of a record. */
export interface SeenAudit {
  readonly host: string;
  readonly number: number;
  /** 64 hex digits. */
  readonly seal: string;
}

export interface SeenDataKey {
  /** 32 hex digits. */
  readonly id: string;
  readonly createdAt: string;
}

export interface OwnDataKey extends DataKey {
  readonly createdAt: string;
}

interface CachedSecret {
  readonly name: string;
  readonly secret: string;
  readonly salt: string;
  readonly tag: string;
  readonly expiresAt: string;
}

const dayMs = 86_400_000;
/** A host with only public recipients starts a new data key (and a full backup) after this. */
export const ownDataKeyLifeMs = 30 * dayMs;
/** A stretched passphrase's results are kept so long. */
export const cachedSecretLifeMs = dayMs;

export class RepositoryState {
  readonly stateDir: string;
  readonly #folder: string;

  /** `stateDir` is absolute; folders are made (0700) when something is first kept. */
  constructor(stateDir: string, repositoryId: string) {
    this.stateDir = stateDir;
    this.#folder = join(stateDir, 'repositories', repositoryId);
  }

  async newestBackup(target: string): Promise<SeenBackup | undefined> {
    return readStateFile<SeenBackup>(join(this.#folder, `newest-${target}.json`));
  }

  /** Remembers a backup of `target` unless a newer one is known. */
  async rememberBackup(target: string, backup: SeenBackup): Promise<void> {
    const known = await this.newestBackup(target);
    if (known !== undefined && Date.parse(known.startedAt) > Date.parse(backup.startedAt)) return;
    await writeStateFile(join(this.#folder, `newest-${target}.json`), {
      id: backup.id,
      seal: backup.seal,
      startedAt: backup.startedAt,
    });
  }

  /**
   * The backup this host remembers, if `newest` (the newest there is now) is older than it: somebody removed it or put
   * an older state back.
   */
  async rolledBackFrom(
    target: string,
    newest: Pick<SeenBackup, 'startedAt'> | undefined,
  ): Promise<SeenBackup | undefined> {
    const known = await this.newestBackup(target);
    if (known === undefined) return undefined;
    return newest === undefined || Date.parse(newest.startedAt) < Date.parse(known.startedAt) ? known : undefined;
  }

  /** The newest record that this host has written to the audit log of `host`. */
  async newestAudit(host: string): Promise<SeenAudit | undefined> {
    return readStateFile<SeenAudit>(join(this.#folder, `audit-${host}.json`));
  }

  /** Of two runs at once the greater number stays. */
  async rememberAudit({ host, number, seal }: SeenAudit): Promise<void> {
    if (((await this.newestAudit(host))?.number ?? 0) < number) {
      await writeStateFile(join(this.#folder, `audit-${host}.json`), { host, number, seal });
    }
  }

  async newestDataKey(): Promise<SeenDataKey | undefined> {
    return readStateFile<SeenDataKey>(join(this.#folder, 'newest-data-key.json'));
  }

  async rememberDataKey(key: SeenDataKey): Promise<void> {
    const known = await this.newestDataKey();
    if (known?.id === key.id) return;
    // One that no clock shows would be the newest for ever.
    const isNewer = known !== undefined && Date.parse(known.createdAt) > Date.parse(key.createdAt);
    if (isNewer && !isAheadOfClocks(known.createdAt)) return;
    await writeStateFile(join(this.#folder, 'newest-data-key.json'), { id: key.id, createdAt: key.createdAt });
  }

  /** The data key this host made for itself, until it is too old; then it is forgotten. */
  async ownDataKey(now = Date.now()): Promise<OwnDataKey | undefined> {
    const path = join(this.#folder, 'own-data-key.json');
    const kept = await readStateFile<{ id: string; key: string; createdAt: string }>(path);
    if (kept === undefined) return undefined;
    if (now - Date.parse(kept.createdAt) > ownDataKeyLifeMs) {
      await rm(path, { force: true });
      return undefined;
    }
    return { id: Buffer.from(kept.id, 'hex'), key: Buffer.from(kept.key, 'base64'), createdAt: kept.createdAt };
  }

  async keepOwnDataKey(key: OwnDataKey): Promise<void> {
    await writeStateFile(join(this.#folder, 'own-data-key.json'), {
      id: key.id.toString('hex'),
      key: key.key.toString('base64'),
      createdAt: key.createdAt,
    });
  }

  /**
   * A secret (32 bytes) that was kept under `name` when it was derived from `passphrase`. Expired ones are removed on
   * the way.
   */
  async cachedSecret(name: string, passphrase: string, now = Date.now()): Promise<Buffer | undefined> {
    const all = await this.#cached();
    const alive = all.filter(
      (each) => Date.parse(each.expiresAt) > now && Date.parse(each.expiresAt) <= now + cachedSecretLifeMs,
    );
    if (alive.length < all.length) await this.#writeCached(alive);
    const found = alive.find(
      (each) =>
        each.name === name && timingSafeEqual(passphraseTag(each.salt, passphrase), Buffer.from(each.tag, 'hex')),
    );
    return found === undefined ? undefined : Buffer.from(found.secret, 'base64');
  }

  /** Keeps a secret for a day. A state folder that cannot be written costs only time, so it is no error. */
  async cacheSecret(name: string, passphrase: string, secret: Buffer, now = Date.now()): Promise<void> {
    const salt = randomBytes(32).toString('base64');
    const kept = {
      name,
      secret: secret.toString('base64'),
      salt,
      tag: passphraseTag(salt, passphrase).toString('hex'),
      expiresAt: new Date(now + cachedSecretLifeMs).toISOString(),
    };
    await this.#writeCached([...(await this.#cached()).filter((each) => each.name !== name), kept]);
  }

  async #cached(): Promise<CachedSecret[]> {
    return (await readStateFile<CachedSecret[]>(join(this.#folder, 'opened-keys.json'))) ?? [];
  }

  async #writeCached(secrets: readonly CachedSecret[]): Promise<void> {
    await writeStateFile(join(this.#folder, 'opened-keys.json'), secrets).catch(() => {});
  }
}

/** This host's own signing key (`<state>/signing-key.json`, 0600); made when first needed. */
export async function ownSigner(stateDir: string): Promise<Signer> {
  const path = join(stateDir, 'signing-key.json');
  const known = await readStateFile<{ seed: string }>(path);
  if (known !== undefined) return signerFromSeed(Buffer.from(known.seed, 'base64'));
  const mine = `${path}.${randomBytes(4).toString('hex')}`;
  await writeStateFile(mine, { seed: randomBytes(32).toString('base64') });
  try {
    // Of two processes that get here at once only one may win; rename would let both.
    await link(mine, path);
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') {
      throw fileError(error, 'cannot write to the state folder', { hint: stateFolderHint });
    }
  } finally {
    await unlink(mine);
  }
  return ownSigner(stateDir);
}

/** The public part of ownSigner, if this host has made one; nothing is made. */
export async function ownPublicKey(stateDir: string): Promise<Buffer | undefined> {
  const known = await readStateFile<{ seed: string }>(join(stateDir, 'signing-key.json'));
  return known === undefined ? undefined : signerFromSeed(Buffer.from(known.seed, 'base64')).publicKey;
}

/**
 * Binds a cached secret to the passphrase it came from, so that a changed passphrase is asked for anew.
 * Two bytes only: enough to notice a change, too little to test guesses of the passphrase against.
 */
function passphraseTag(salt: string, passphrase: string): Buffer {
  return createHmac('sha256', Buffer.from(salt, 'base64')).update(passphrase).digest().subarray(0, 2);
}

/**
 * A JSON file of this host's state; undefined if there is none, or it is torn. Throws `usage` where this user may not
 * read.
 */
export async function readStateFile<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw fileError(error, 'cannot read the state folder', {
      hint: 'run it as the user that it belongs to, or set BACKUP_STATE_DIR to a folder of this user',
    });
  }
}

/** A file of this host's state (0600), its folder made if need be. Throws `usage` where this user may not write. */
export async function writeStateFile(path: string, value: unknown): Promise<void> {
  await tellingFileErrors('cannot write to the state folder', { hint: stateFolderHint }, async () => {
    await ensureFolder(dirname(path));
    await writeFileAtomic(path, `${JSON.stringify(value, undefined, 2)}\n`, 0o600);
  });
}
