/** What an operator is told when there is no data key to read or to write with. */
import { LifeboatError } from '../../lib/errors.ts';
import type { ReadKeyFile } from './file.ts';
import { canDecrypt, type KeyMaterial } from './material.ts';

/** Nothing that is configured opens this data key; `failures` say what was tried. */
export function cannotOpen(id: string, failures: readonly string[], material: KeyMaterial): LifeboatError {
  if (!canDecrypt(material)) {
    return new LifeboatError(
      'key',
      `data key ${id} cannot be opened: no key, passphrase or age identity is configured`,
      { hint: 'set BACKUP_ENCRYPTION_KEY (or _PASSPHRASE, or _IDENTITY) to the one on the recovery sheet' },
    );
  }
  return new LifeboatError('key', `data key ${id} cannot be opened: ${failures.join('; ')}`, {
    hint: 'compare the configured key with the recovery sheet of this repository',
  });
}

/** The refusal to write with encryption on and nothing to encrypt with; names the two ways out. */
export function noKeyToWrite(): LifeboatError {
  return new LifeboatError('key', 'encryption is on, but no key to encrypt with is configured', {
    hint:
      'make one with: lifeboat keys generate, and set BACKUP_ENCRYPTION_KEY; or switch encryption off: ' +
      'BACKUP_ENCRYPTION_ENABLED=false',
  });
}

/** The refusal to write where only age recipients, but no key or passphrase, can open a data key. */
export function noWrappedKey(location: string): LifeboatError {
  return new LifeboatError('key', `no data key in ${location} is wrapped for a raw key or a passphrase`, {
    hint: 'start one for the configured key: lifeboat keys rotate',
  });
}

/** The refusal to write under a data key that is older than one this host has `seen`; both by id. */
export function newerKeyGone(location: string, newest: string, seen: string): LifeboatError {
  const message =
    `the newest data key in ${location} is ${newest}, ` +
    `but this host has seen a newer one, ${seen}: its key file is gone`;
  return new LifeboatError('key', message, {
    hint:
      `find out who removed keys/${seen}.json; each backup under it holds a copy (backups/<id>/keys.json). ` +
      'Or start a new one: lifeboat keys rotate',
  });
}

/** The refusal to pass over the newest data key where it does not open, but others are there. */
export function strangerKey(newest: { readonly id: string; readonly createdAt: string }, cause: unknown): unknown {
  if (!(cause instanceof LifeboatError) || cause.code !== 'key') return cause;
  const message = `the newest data key, of ${newest.createdAt}, is not for the configured key: ${cause.message}`;
  return new LifeboatError('key', message, {
    hint:
      `if somebody of yours started it (lifeboat audit: keys rotate), configure that key; if not, somebody else put ` +
      `keys/${newest.id}.json there: move it out of the repository, and find out who can write to it`,
    cause,
  });
}

/** The refusal of one more passphrase than a key file may have entries for. */
export function tooManyPassphrases(id: string, most: number): LifeboatError {
  const message = `data key ${id} would have more than ${most} entries for passphrases`;
  return new LifeboatError('usage', message, {
    state: 'nothing was changed',
    hint: 'take one off first: lifeboat keys remove',
  });
}

/** Why a key file that nobody trusted vouches for gets no raw key or passphrase. */
export function notVouchedFor({ split }: ReadKeyFile): string {
  const who =
    split.signature === undefined
      ? 'nobody signed it'
      : `it is signed by ${split.signature.key.toString('base64')}, which encryption.trustedKeys does not list`;
  return (
    `only an age identity opens it, and ${who}: anybody who knows the recipient may have made it, ` +
    'and could forge what a raw key or passphrase believes'
  );
}

/** Whether an object was read and found damaged, rather than not read. */
export function isDamage(error: unknown): error is LifeboatError {
  return error instanceof LifeboatError && error.code === 'integrity';
}
