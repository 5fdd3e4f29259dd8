/**
 * Managing data keys: who can open them, and starting a new one. Rewrapping goes over keys/ first, then
 * over the copy beside each backup; killed half-way it is simply run again.
 */
import { LifeboatError, messageOf } from '../lib/errors.ts';
import {
  encodeKeyFile,
  entryBelongsTo,
  parseKeyFile,
  wrapDataKey,
  type KeyEntry,
  type ReadKeyFile,
} from './keys/file.ts';
import { hasSymmetricKey, type KeyMaterial } from './keys/material.ts';
import type { Keyring, OpenedKey } from './keys/keyring.ts';
import { acquireLease } from './leases/acquire.ts';
import type { Repository } from './repository.ts';

/** Keys to wrap for: identities and trusted keys play no part. */
export type WrapFor = Pick<KeyMaterial, 'rawKey' | 'passphrases' | 'recipients'>;

export interface RewrapChange {
  readonly add?: WrapFor;
  /** Entries that belong to these keys or recipients go. */
  readonly remove?: WrapFor;
}

export interface RewrapReport {
  /** Data keys whose key file was written anew. */
  readonly changed: readonly string[];
  /** Data keys we cannot open, with the reason: they are as they were. */
  readonly unopened: readonly { readonly id: string; readonly reason: string }[];
  /** Copies beside backups that were written anew. */
  readonly copies: number;
}

export interface KeyDescription {
  readonly id: string;
  readonly createdAt: string;
  readonly recipients: readonly { readonly type: KeyEntry['type']; readonly recipient: string | undefined }[];
  /** By what we can open it; undefined: not at all, `reason` says why. */
  readonly openedBy: OpenedKey['openedBy'] | undefined;
  readonly reason: string | undefined;
  /** It is wrapped for others than the ones configured now. */
  readonly differsFromConfiguration: boolean;
}

/** Every data key, newest first, for `keys list` and status; needs no key. */
export async function describeKeys(repository: Repository): Promise<KeyDescription[]> {
  const keyring = keyringOf(repository);
  const { files, damaged: broken } = await keyring.keyFiles();
  const described: KeyDescription[] = [];
  for (const file of files) {
    const opened = await attemptOpen(keyring, file.id);
    described.push({
      id: file.id,
      createdAt: file.createdAt,
      recipients: file.recipients.map((entry) => ({
        type: entry.type,
        recipient: entry.type === 'age' ? entry.recipient : undefined,
      })),
      openedBy: typeof opened === 'string' ? undefined : opened.openedBy,
      reason: typeof opened === 'string' ? opened : undefined,
      differsFromConfiguration: kinds(file.recipients) !== configuredKinds(keyring.material),
    });
  }
  if (broken[0] !== undefined) throw broken[0];
  return described;
}

/**
 * Starts a new data key for what is written next (the next backup is full). Throws LifeboatError `key` when the
 * configured key does not open the present one: it may be mistyped.
 */
export async function rotateKey(repository: Repository, onWarning?: (message: string) => void): Promise<OpenedKey> {
  const keyring = keyringOf(repository);
  await using lease = await acquireLease(repository.storage, { scope: 'keys', command: 'keys rotate' });
  const present = (await keyring.keyFiles()).files.find((file) => file.recipients.some(({ type }) => type !== 'age'));
  if (present !== undefined && hasSymmetricKey(keyring.material)) await keyring.open(present.id);
  await lease.check();
  return await keyring.startDataKey(onWarning);
}

/**
 * Adds and removes recipients of every data key that we can open. Throws LifeboatError `usage` if a data
 * key would be left that nobody can open; then nothing is changed.
 */
export async function rewrapKeys(repository: Repository, change: RewrapChange): Promise<RewrapReport> {
  const keyring = keyringOf(repository);
  await using lease = await acquireLease(repository.storage, { scope: 'keys', command: 'keys' });
  const { files, damaged: broken } = await keyring.keyFiles();
  if (broken[0] !== undefined) throw broken[0];
  const planned: { readonly file: ReadKeyFile; readonly bytes: Buffer }[] = [];
  const unopened: { id: string; reason: string }[] = [];
  for (const file of files) {
    const opened = await attemptOpen(keyring, file.id);
    if (typeof opened === 'string') {
      unopened.push({ id: file.id, reason: opened });
      continue;
    }
    const recipients = await changedEntries(file, opened, change);
    if (recipients.length === 0) {
      throw new LifeboatError('usage', `data key ${file.id} would be left without anybody who can open it`, {
        state: 'nothing was changed',
        hint: 'add the new key or recipient first',
      });
    }
    if (recipients.length !== file.recipients.length || recipients.some((entry, n) => entry !== file.recipients[n])) {
      planned.push({ file, bytes: encodeKeyFile({ id: file.id, createdAt: file.createdAt, recipients }, opened) });
    }
  }
  await lease.check();
  for (const { file, bytes } of planned) await repository.storage.put(file.object, [bytes], { replace: true });
  return { changed: planned.map(({ file }) => file.id), unopened, copies: await refreshCopies(repository) };
}

/** Makes each backups/<id>/keys.json what its data key's file in keys/ is now. Returns how many were not. */
async function refreshCopies(repository: Repository): Promise<number> {
  let copies = 0;
  for await (const { key } of repository.storage.list('backups/')) {
    if (!key.endsWith('/keys.json')) continue;
    const copy = await repository.storage.get(key);
    const { id } = parseKeyFile(copy, key, undefined);
    const current = await repository.storage.get(`keys/${id}.json`);
    if (current.equals(copy)) continue;
    parseKeyFile(current, `keys/${id}.json`, id);
    await repository.storage.put(key, [current], { replace: true });
    copies++;
  }
  return copies;
}

async function changedEntries(file: ReadKeyFile, dataKey: OpenedKey, change: RewrapChange): Promise<KeyEntry[]> {
  const belongsTo = async (entry: KeyEntry, keys: WrapFor): Promise<boolean> =>
    entryBelongsTo(entry, file.id, { ...keys, identities: [], trustedKeys: [] });
  const kept: KeyEntry[] = [];
  for (const entry of file.recipients) {
    if (change.remove === undefined || !(await belongsTo(entry, change.remove))) kept.push(entry);
  }
  for (const single of change.add === undefined ? [] : eachAlone(change.add)) {
    const already = await Promise.all(kept.map((entry) => belongsTo(entry, single)));
    if (!already.includes(true)) kept.push(...(await wrapDataKey(dataKey, single)));
  }
  return kept;
}

/** One key or recipient at a time, so that what is wrapped for already is not wrapped twice. */
function eachAlone(keys: WrapFor): WrapFor[] {
  const none: WrapFor = { rawKey: undefined, passphrases: [], recipients: [] };
  return [
    ...(keys.rawKey === undefined ? [] : [{ ...none, rawKey: keys.rawKey }]),
    ...keys.passphrases.map((passphrase) => ({ ...none, passphrases: [passphrase] })),
    ...keys.recipients.map((recipient) => ({ ...none, recipients: [recipient] })),
  ];
}

async function attemptOpen(keyring: Keyring, id: string): Promise<OpenedKey | string> {
  try {
    return await keyring.open(id);
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'key') return messageOf(error);
    throw error;
  }
}

function kinds(entries: readonly KeyEntry[]): string {
  return entries
    .map((entry) => (entry.type === 'age' ? entry.recipient : entry.type))
    .toSorted()
    .join();
}

function configuredKinds(material: KeyMaterial): string {
  return [
    ...(material.rawKey === undefined ? [] : ['raw']),
    ...material.passphrases.map(() => 'passphrase'),
    ...material.recipients,
  ]
    .toSorted()
    .join();
}

function keyringOf(repository: Repository): Keyring {
  if (repository.keyring !== undefined) return repository.keyring;
  throw new LifeboatError('usage', `the repository at ${repository.storage.location} is not encrypted: it has no keys`);
}
