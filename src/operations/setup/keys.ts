/** Keys: make one, list who can open the repository, add and remove readers, start a new data key. */
import { randomBytes } from 'node:crypto';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { fileError } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { writeNewFile } from '../../lib/held-files.ts';
import { newIdentity, recipientOf } from '../../repository/keys/age.ts';
import { parseEncryptionKey, parseKeyMaterial } from '../../repository/keys/material.ts';
import {
  describeKeys,
  rewrapKeys,
  rotateKey as startDataKey,
  type KeyDescription,
  type RewrapReport,
  type WrapFor,
} from '../../repository/rekey.ts';
import { audited } from '../audit/audited.ts';
import { withRepository } from '../open-repository.ts';
import { noteWarnings } from '../warnings.ts';
import {
  keysGenerateDefaults,
  type KeysAddRequest,
  type KeysChangeResult,
  type KeysGenerateOptions,
  type KeysGenerateRequest,
  type KeysGenerateResult,
  type KeysListRequest,
  type KeysListResult,
  type KeysRemoveOptions,
  type KeysRemoveRequest,
  type KeysRotateRequest,
} from './request.ts';
import type { Operation } from '../operation.ts';
import { given, pathOf, repositoryNeeds } from '../complete.ts';

export const keysGenerateOperation: Operation<KeysGenerateOptions, KeysGenerateRequest, KeysGenerateResult> = {
  need: () => ({}),
  complete: (options, { cwd }) => ({ ...keysGenerateDefaults, ...given(options), file: pathOf(options.file, cwd) }),
  run: async (_loaded, request) => generateKey(request),
};

/** A new key, printed or in a new 0600 file; needs no configuration. */
export async function generateKey({ kind, file }: KeysGenerateRequest): Promise<KeysGenerateResult> {
  const key = kind === 'raw' ? randomBytes(32).toString('hex') : await newIdentity();
  const recipient = kind === 'age' ? await recipientOf(key) : undefined;
  if (file !== undefined) await writeNewSecret(file, key);
  return { kind, key: file === undefined ? key : undefined, file, recipient };
}

/**
 * Throws `usage` if the file exists or cannot be written: a key that is overwritten is lost with all backups under it.
 */
export async function writeNewSecret(file: string, secret: string): Promise<void> {
  try {
    await writeNewFile(file, `${secret}\n`, { flush: true });
  } catch (cause) {
    if (systemCodeOf(cause) === 'EEXIST') {
      throw new LifeboatError('usage', `${file} exists already`, {
        state: 'nothing was changed',
        hint: 'choose another file: a key that is overwritten is lost, and with it all backups under it',
        cause,
      });
    }
    throw fileError(cause, `cannot write ${file}`, {
      state: 'nothing was changed',
      hint: 'name another file, in a folder that is there and that this user may write to',
    });
  }
}

export const keysListOperation: Operation<KeysListRequest, KeysListRequest, KeysListResult> = {
  need: () => repositoryNeeds,
  complete: (options) => options,
  run: listKeys,
};

export async function listKeys(loaded: LoadedConfig, _request: object, context: RunContext): Promise<KeysListResult> {
  return withRepository(loaded, context, async (repository) => {
    if (repository.keyring === undefined) {
      return { repository: repository.storage.location, keys: [], warnings: ['this repository is not encrypted'] };
    }
    const described = await describeKeys(repository);
    const current = described[0];
    const warnings = described.flatMap(warningsOf);
    for (const message of warnings) context.emit({ type: 'warning', message });
    return {
      repository: repository.storage.location,
      keys: described
        .toReversed()
        .map((key) => ({
          id: key.id,
          createdAt: key.createdAt,
          recipients: key.recipients.map(({ type, recipient }) => recipient ?? type),
          opens: key.openedBy !== undefined,
          current: key === current,
        })),
      warnings,
    };
  });
}

function warningsOf(key: KeyDescription): string[] {
  const warnings: string[] = [];
  if (key.openedBy === undefined) warnings.push(`data key ${key.id} does not open: ${key.reason ?? 'unknown'}`);
  if (key.differsFromConfiguration) {
    warnings.push(`data key ${key.id} is wrapped for others than the key and recipients that are configured`);
  }
  return warnings;
}

export const addKey = audited('keys add', wrapForOneMore);

export const keysAddOperation: Operation<KeysAddRequest, KeysAddRequest, KeysChangeResult> = {
  need: () => repositoryNeeds,
  complete: (options) => options,
  run: addKey,
};

async function wrapForOneMore(
  loaded: LoadedConfig,
  { add }: KeysAddRequest,
  context: RunContext,
): Promise<KeysChangeResult> {
  return withRepository(loaded, context, async (repository) =>
    changed(await rewrapKeys(repository, { add: readerOf(add) })),
  );
}

function readerOf(add: KeysAddRequest['add']): WrapFor {
  if (add.type === 'age') return { rawKey: undefined, passphrases: [], recipients: [add.recipient] };
  const text = add.secret.reveal();
  const key = add.type === 'key' ? parseEncryptionKey(text) : text.normalize('NFC');
  return typeof key === 'string'
    ? { rawKey: undefined, passphrases: [key], recipients: [] }
    : { rawKey: key, passphrases: [], recipients: [] };
}

export const removeKey = audited('keys remove', takeOff);

export const keysRemoveOperation: Operation<KeysRemoveOptions, KeysRemoveRequest, KeysChangeResult> = {
  need: () => repositoryNeeds,
  complete: (options, { confirm }) => ({ confirm, ...given(options) }),
  run: removeKey,
};

async function takeOff(
  loaded: LoadedConfig,
  { recipient, confirm }: KeysRemoveRequest,
  context: RunContext,
): Promise<KeysChangeResult> {
  return withRepository(loaded, context, async (repository) => {
    const remove = removedReader(loaded, recipient);
    await confirm({
      name: recipient,
      consequences: [
        `${recipient} will no longer open the data keys of ${repository.storage.location}`,
        'what it could read before, it may have copied: run lifeboat keys rotate afterwards',
      ],
    });
    return changed(await rewrapKeys(repository, { remove }));
  });
}

/** "raw" and "passphrase" mean the configured ones: an entry does not tell whose key it is. */
function removedReader({ config }: LoadedConfig, recipient: string): WrapFor {
  const material = parseKeyMaterial(config.encryption);
  const none: WrapFor = { rawKey: undefined, passphrases: [], recipients: [] };
  if (recipient === 'raw' && material?.rawKey !== undefined) return { ...none, rawKey: material.rawKey };
  if (recipient === 'passphrase' && material !== undefined && material.passphrases.length > 0) {
    return { ...none, passphrases: material.passphrases };
  }
  if (/^age1[0-9a-z]+$/i.test(recipient)) return { ...none, recipients: [recipient.toLowerCase()] };
  throw new LifeboatError(
    'usage',
    `"${recipient}" is neither an age recipient nor the configured raw key or passphrase`,
    { hint: 'lifeboat keys list shows who can open the repository; configure the key that is to be removed' },
  );
}

function changed(report: RewrapReport): KeysChangeResult {
  return {
    changed: report.changed,
    unchanged: report.unchanged.map(({ id }) => id),
    warnings: report.unchanged.map(({ id, reason }) => `data key ${id} was not changed: ${reason}`),
  };
}

export const rotateKey = audited('keys rotate', startAnew);

export const keysRotateOperation: Operation<KeysRotateRequest, KeysRotateRequest, KeysChangeResult> = {
  need: () => repositoryNeeds,
  complete: (options) => options,
  run: rotateKey,
};

async function startAnew(loaded: LoadedConfig, _request: object, context: RunContext): Promise<KeysChangeResult> {
  const { context: noting, warnings } = noteWarnings(context);
  return withRepository(loaded, noting, async (repository) => {
    const key = await startDataKey(repository, (message) => noting.emit({ type: 'warning', message }));
    const id = key.id.toString('hex');
    return { changed: [id], unchanged: [], current: id, warnings };
  });
}
