/** Making a repository: the first data key, the rescue script, and repository.json last, which is what makes it one. */
import { randomUUID } from 'node:crypto';
import type { EncryptionConfig } from '../config/config.ts';
import { LifeboatError } from '../lib/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { hasSymmetricKey, parseKeyMaterial, parseTrustedKeys } from './keys/material.ts';
import { noKeyToWrite } from './keys/failures.ts';
import { acquireLease } from './leases/acquire.ts';
import { installRescue } from './rescue/install.ts';
import { readRepositoryInfo, Repository, repositoryObject, type RepositoryInfo } from './repository.ts';

export interface CreatedRepository {
  readonly repository: Repository;
  /** SHA-256 of rescue/rescue.mjs, for the recovery sheet. */
  readonly rescueSha256: string;
  /**
   * This host's signing key (base64), for `encryption.trustedKeys` of readers with an age identity, and of other hosts
   * without encryption.
   */
  readonly signingKey: string;
}

/**
 * Creates a repository where there is none. Throws LifeboatError `usage` when there is one already or
 * backups lie there without a repository.json, `key` when encryption is on and nothing to encrypt with is configured.
 * Killed half-way it can be repeated.
 */
export async function createRepository(
  storage: Storage,
  encryption: EncryptionConfig,
  stateDir: string,
): Promise<CreatedRepository> {
  const material = parseKeyMaterial(encryption);
  if (material !== undefined && !hasSymmetricKey(material) && material.recipients.length === 0) throw noKeyToWrite();
  await using lease = await acquireLease(storage, { scope: 'repository', command: 'init' });
  await refuseOccupied(storage);
  const info: RepositoryInfo = {
    format: 1,
    id: randomUUID(),
    createdAt: new Date().toISOString(),
    encryption: material === undefined ? 'none' : 'aes-256-gcm',
  };
  const trustedKeys = parseTrustedKeys(encryption);
  const repository = new Repository(storage, info, material, { stateDir, trustedKeys });
  await repository.keyring?.startDataKey();
  const signer = await repository.signer();
  const rescueSha256 = await installRescue(storage);
  await lease.check();
  await storage.put(repositoryObject, [Buffer.from(`${JSON.stringify(info, undefined, 2)}\n`)]);
  return { repository, rescueSha256, signingKey: signer.publicKey.toString('base64') };
}

async function refuseOccupied(storage: Storage): Promise<void> {
  if ((await readRepositoryInfo(storage)) !== undefined) {
    throw new LifeboatError('usage', `there is a repository at ${storage.location} already`, {
      state: 'nothing was changed',
      hint: 'lifeboat list shows what is in it',
    });
  }
  const putBack = `put ${repositoryObject} back: its id is the member "repository" of each manifest`;
  for await (const { key } of storage.list('manifests/')) {
    throw new LifeboatError('usage', `${storage.location} holds backups (${key}), but no ${repositoryObject}`, {
      state: 'nothing was changed',
      hint: `${putBack}; or choose an empty place`,
    });
  }
}
