/**
 * What this host remembers of one repository, under `<state>/repositories/<id>/`: the newest data key it has seen (so
 * that a repository put back to an older state is noticed; which backups, see seen-backups.ts), its own data key where
 * it holds only public recipients, and opened data keys where a passphrase would be too slow to stretch each time.
 * Secrets are files of mode 0600 and expire.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { link } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { LifeboatError, systemCodeOf } from '../lib/errors.ts';
import { fileError, stateFolderHint } from '../lib/file-errors.ts';
import { removeFile } from '../lib/held-files.ts';
import { HeldFolder } from '../lib/held-folder.ts';
import { readStateFile, undefinedWhereDamaged, writeStateFile } from './state-file.ts';
import { maxAuditNumber } from './audit-names.ts';
import { isAheadOfClocks } from './clocks.ts';
import type { DataKey } from './box/crypto.ts';
import { signerFromSeed, type Signer } from './box/signing.ts';

const hex = (digits: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
/** RFC 3339 in UTC; years beyond 9999 too, which older versions could remember. */
const time = z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'it is not a time');
/** 32 bytes in base64. */
const bytes32 = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);

const seenAuditSchema = z.object({ host: z.string(), number: z.int().min(1).max(maxAuditNumber), seal: hex(64) });
const seenDataKeySchema = z.object({ id: hex(32), createdAt: time });
const ownDataKeySchema = z.object({ id: hex(32), key: bytes32, createdAt: time });
const cachedSecretSchema = z.object({
  name: z.string(),
  secret: bytes32,
  salt: z.string(),
  tag: hex(4),
  expiresAt: time,
});
const signingKeySchema = z.object({ seed: bytes32 });

/** Of the audit log of a host: number and seal (64 hex digits) of a record. */
export type SeenAudit = Readonly<z.infer<typeof seenAuditSchema>>;

/** Its id has 32 hex digits. */
export type SeenDataKey = Readonly<z.infer<typeof seenDataKeySchema>>;

export interface OwnDataKey extends DataKey {
  readonly createdAt: string;
}

type CachedSecret = Readonly<z.infer<typeof cachedSecretSchema>>;

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

  /** The newest record that this host has written to the audit log of `host`. */
  async newestAudit(host: string): Promise<SeenAudit | undefined> {
    return readStateFile(join(this.#folder, `audit-${host}.json`), seenAuditSchema, {
      hint: 'if the end of the audit log is there, remove that file: the next record goes behind the newest one',
    });
  }

  /** Of two runs at once the greater number stays. */
  async rememberAudit({ host, number, seal }: SeenAudit): Promise<void> {
    if (((await this.newestAudit(host))?.number ?? 0) < number) {
      await writeStateFile(join(this.#folder, `audit-${host}.json`), { host, number, seal });
    }
  }

  async newestDataKey(): Promise<SeenDataKey | undefined> {
    return readStateFile(join(this.#folder, 'newest-data-key.json'), seenDataKeySchema, {
      hint: 'if lifeboat keys list shows the data keys that should be there, remove that file: it is made anew',
    });
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
    const kept = await readStateFile(path, ownDataKeySchema, {
      hint: 'remove that file: a new data key is started, and the next backup is a whole one',
    });
    if (kept === undefined) return undefined;
    if (now - Date.parse(kept.createdAt) > ownDataKeyLifeMs) {
      await removeFile(path);
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

  /** A file of this folder for what a room above remembers. Throws as readStateFile. */
  async readOwn<T>(name: string, shape: z.ZodType<T>): Promise<T | undefined> {
    return readStateFile(join(this.#folder, name), shape, {});
  }

  /** Throws `usage` where this user may not write. */
  async writeOwn(name: string, value: unknown): Promise<void> {
    await writeStateFile(join(this.#folder, name), value);
  }

  async #cached(): Promise<CachedSecret[]> {
    const file = join(this.#folder, 'opened-keys.json');
    // It only spares time, and is written anew.
    const kept = await readStateFile(file, z.array(cachedSecretSchema), {}).catch(undefinedWhereDamaged);
    return kept ?? [];
  }

  async #writeCached(secrets: readonly CachedSecret[]): Promise<void> {
    await writeStateFile(join(this.#folder, 'opened-keys.json'), secrets).catch(() => {});
  }
}

/**
 * This host's own signing key (`<state>/signing-key.json`, 0600); made when first needed. Throws `usage` for one that
 * is damaged: another one would be trusted by nobody.
 */
export async function ownSigner(stateDir: string): Promise<Signer> {
  const known = await readSigningKey(stateDir);
  if (known !== undefined) return known;
  await makeSigningKey(signingKeyPath(stateDir));
  const made = await readSigningKey(stateDir);
  if (made !== undefined) return made;
  throw new LifeboatError('usage', `cannot make ${signingKeyPath(stateDir)}: something is there that is not a file`, {
    hint: 'remove it, or set BACKUP_STATE_DIR to a folder of this user',
  });
}

/** The public part of ownSigner, if this host has made one; nothing is made. */
export async function ownPublicKey(stateDir: string): Promise<Buffer | undefined> {
  return (await readSigningKey(stateDir))?.publicKey;
}

function signingKeyPath(stateDir: string): string {
  return join(stateDir, 'signing-key.json');
}

async function readSigningKey(stateDir: string): Promise<Signer | undefined> {
  const known = await readStateFile(signingKeyPath(stateDir), signingKeySchema, {
    hint:
      "put it back from a copy of this host's state; or remove it: a new key is made, which readers with an age " +
      'identity have to list in encryption.trustedKeys (lifeboat init prints it)',
  });
  return known === undefined ? undefined : signerFromSeed(Buffer.from(known.seed, 'base64'));
}

/** Of two processes that get here at once only one may win; rename would let both. */
async function makeSigningKey(path: string): Promise<void> {
  const mine = `${path}.${randomBytes(4).toString('hex')}`;
  await writeStateFile(mine, { seed: randomBytes(32).toString('base64') });
  try {
    using folder = HeldFolder.open(dirname(path));
    await link(folder.child(basename(mine)), folder.child(basename(path)));
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') {
      throw fileError(error, 'cannot write to the state folder', { hint: stateFolderHint });
    }
  } finally {
    await removeFile(mine);
  }
}

/**
 * Binds a cached secret to the passphrase it came from, so that a changed passphrase is asked for anew.
 * Two bytes only: enough to notice a change, too little to test guesses of the passphrase against.
 */
function passphraseTag(salt: string, passphrase: string): Buffer {
  return createHmac('sha256', Buffer.from(salt, 'base64')).update(passphrase).digest().subarray(0, 2);
}
