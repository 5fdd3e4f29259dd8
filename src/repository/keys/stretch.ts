/**
 * Stretching passphrases: what it gives is kept for this process, and how much of it is done for nothing has an end, as
 * whoever can write to the repository can put any number of entries for passphrases there.
 */
import { scrypt as scryptCallback } from 'node:crypto';
import { promisify } from 'node:util';
import { LifeboatError } from '../../lib/errors.ts';

const scrypt = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(
  scryptCallback,
);

/** So often one process may stretch a passphrase for entries that it does not open: a minute or so. */
const ofProcess = { left: 256 };

const stretched = new Map<string, Promise<Buffer>>();

/** The recipient key of a passphrase in normal form C: scrypt, 250 ms and 128 MiB; once for each salt. */
export async function stretchPassphrase(passphrase: string, salt: Buffer): Promise<Buffer> {
  const name = nameOf(passphrase, salt);
  const known = stretched.get(name) ?? scrypt(passphrase, salt, 32, { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 });
  stretched.set(name, known);
  return known;
}

/**
 * What `open` makes of the recipient key of an entry for data key `keyId`, undefined where that does not open it.
 * Throws LifeboatError `key` where as many entries as `budget` says were tried for nothing.
 */
export async function openStretched(
  passphrase: string,
  salt: Buffer,
  keyId: string,
  open: (key: Buffer) => Buffer | undefined,
  budget: { left: number } = ofProcess,
): Promise<Buffer | undefined> {
  const isNew = !stretched.has(nameOf(passphrase, salt));
  if (isNew && budget.left === 0) throw tooManyInVain(keyId);
  const opened = open(await stretchPassphrase(passphrase, salt));
  if (isNew && opened === undefined) budget.left--;
  return opened;
}

function nameOf(passphrase: string, salt: Buffer): string {
  return `${salt.toString('hex')}:${passphrase}`;
}

function tooManyInVain(keyId: string): LifeboatError {
  const message =
    `data key ${keyId} is not tried with the passphrase: too many entries of key files were, and it opened none of ` +
    'them';
  return new LifeboatError('key', message, {
    hint:
      'find out who can write to the repository (lifeboat keys list), and move key files that nobody of yours has ' +
      'made out of its keys/',
  });
}
