/**
 * Managing data keys: who can open them, and starting a new one. Rewrapping goes over keys/ first, then
 * over the copy beside each backup; killed half-way it is simply run again.
 */
import { LifeboatError, messageOf } from '../lib/errors.ts';
import { isDamage } from './keys/failures.ts';
import {
  countPassphrases,
  entryBelongsTo,
  maxPassphraseEntries,
  parseKeyFile,
  wrapDataKey,
  type KeyEntry,
  type ReadKeyFile,
} from './keys/file.ts';
import { notVouchedFor, tooManyPassphrases } from './keys/failures.ts';
import { putKeyFile, type NewKeyFile } from './keys/put-key-file.ts';
import { hasSymmetricKey, type KeyMaterial } from './keys/material.ts';
import type { OpenedKey } from './keys/cached-open.ts';
import type { Keyring } from './keys/keyring.ts';
import { NotFoundError } from '../storage/storage.ts';
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
  /** Data keys that are as they were, with the reason: we cannot open them, or nobody vouches for them. */
  readonly unchanged: readonly { readonly id: string; readonly reason: string }[];
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
  const planned: NewKeyFile[] = [];
  const unchanged: { id: string; reason: string }[] = [];
  for (const { id } of files) {
    const plan = await planRewrap(keyring, id, change);
    if (typeof plan === 'string') unchanged.push({ id, reason: plan });
    else if (plan !== undefined) planned.push(plan);
  }
  await lease.check();
  const { rawKey, passphrases } = change.add ?? noKeys;
  const openers = { ...keyring.material, rawKey, passphrases, identities: [] };
  for (const each of planned) await putKeyFile(repository.storage, each, openers, { replace: true });
  return { changed: planned.map(({ file }) => file.id), unchanged, copies: await refreshCopies(repository, keyring) };
}

/** What becomes of one data key: a new file, nothing (undefined), or the reason why it has to stay as it is. */
async function planRewrap(
  keyring: Keyring,
  id: string,
  change: RewrapChange,
): Promise<NewKeyFile | string | undefined> {
  const opened = await attemptOpen(keyring, id);
  if (typeof opened === 'string') return opened;
  const file = await attemptRead(keyring, id);
  if (typeof file === 'string') return file;
  const recipients = await changedEntries(file, opened, change);
  if (recipients.length === 0) {
    throw new LifeboatError('usage', `data key ${id} would be left without anybody who can open it`, {
      state: 'nothing was changed',
      hint: 'add the new key or recipient first',
    });
  }
  if (countPassphrases(recipients) > maxPassphraseEntries) throw tooManyPassphrases(id, maxPassphraseEntries);
  if (recipients.length === file.recipients.length && recipients.every((entry, n) => entry === file.recipients[n])) {
    return undefined;
  }
  const isVouchedFor = await keyring.vouchesFor(file);
  // Who opens a data key by a raw key or passphrase writes under it, and believes what is sealed under it.
  if (!isVouchedFor && recipients.some((entry) => entry.type !== 'age' && !file.recipients.includes(entry))) {
    return notVouchedFor(file);
  }
  return {
    file: { id, createdAt: file.createdAt, recipients },
    dataKey: opened,
    signer: isVouchedFor ? await keyring.signer() : undefined,
  };
}

/**
 * Makes each backups/<id>/keys.json what its data key's file in keys/ is now, where that one is as it was sealed.
 * Returns how many were not.
 */
async function refreshCopies({ storage }: Repository, keyring: Keyring): Promise<number> {
  const current = new Map<string, Buffer | undefined>();
  let copies = 0;
  for await (const { key } of storage.list('backups/')) {
    if (!key.endsWith('/keys.json')) continue;
    const copy = await storage.get(key);
    const id = idIn(copy, key);
    if (id === undefined) continue;
    if (!current.has(id)) current.set(id, await keyring.keyFileOf(id).catch(undefinedWhereUnusable));
    const now = current.get(id);
    if (now === undefined || now.equals(copy)) continue;
    await storage.put(key, [now], { replace: true });
    copies++;
  }
  return copies;
}

/** A copy that is no key file is for `validate` to tell. */
function idIn(copy: Buffer, object: string): string | undefined {
  try {
    return parseKeyFile(copy, object, undefined).id;
  } catch (error) {
    return undefinedWhereUnusable(error);
  }
}

/** A key file that is gone, damaged, or that we do not open: the copies may be all that is left of it. */
function undefinedWhereUnusable(error: unknown): undefined {
  const isKey = error instanceof LifeboatError && error.code === 'key';
  if (!isKey && !isDamage(error) && !(error instanceof NotFoundError)) throw error;
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
  return [
    ...(keys.rawKey === undefined ? [] : [{ ...noKeys, rawKey: keys.rawKey }]),
    ...keys.passphrases.map((passphrase) => ({ ...noKeys, passphrases: [passphrase] })),
    ...keys.recipients.map((recipient) => ({ ...noKeys, recipients: [recipient] })),
  ];
}

const noKeys: WrapFor = { rawKey: undefined, passphrases: [], recipients: [] };

async function attemptOpen(keyring: Keyring, id: string): Promise<OpenedKey | string> {
  try {
    return await keyring.open(id);
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'key') return messageOf(error);
    throw error;
  }
}

/** The file as it was sealed; else why there is none. */
async function attemptRead(keyring: Keyring, id: string): Promise<ReadKeyFile | string> {
  try {
    return parseKeyFile(await keyring.keyFileOf(id), `keys/${id}.json`, id);
  } catch (error) {
    if (isDamage(error)) return messageOf(error);
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
