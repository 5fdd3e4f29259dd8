/**
 * Wrapping a data key to age recipients. The library is loaded when the first age entry is met: most runs have none.
 */
import { LifeboatError } from '../../lib/errors.ts';

/**
 * A binary age file that holds `plain`, for one recipient (age1…). A recipient with a wrong checksum: LifeboatError
 * `usage`.
 */
export async function encryptToRecipient(plain: Uint8Array, recipient: string): Promise<Buffer> {
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  try {
    encrypter.addRecipient(recipient);
  } catch (cause) {
    throw new LifeboatError('usage', `age recipient ${recipient} is mistyped: its checksum does not match`, { cause });
  }
  return Buffer.from(await encrypter.encrypt(plain));
}

/**
 * The plain text of a binary age file, or undefined if no identity opens it. A malformed identity: LifeboatError `key`.
 */
export async function decryptWithIdentities(
  file: Uint8Array,
  identities: readonly string[],
): Promise<Buffer | undefined> {
  const { Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  for (const [index, identity] of identities.entries()) {
    try {
      decrypter.addIdentity(identity);
    } catch (cause) {
      throw new LifeboatError(
        'key',
        `age identity ${index + 1} of ${identities.length} is mistyped: its checksum does not match`,
        { cause },
      );
    }
  }
  try {
    return Buffer.from(await decrypter.decrypt(file));
  } catch {
    return undefined;
  }
}

/** The public recipient (age1…) of an identity. */
export async function recipientOf(identity: string): Promise<string> {
  const { identityToRecipient } = await import('age-encryption');
  return identityToRecipient(identity);
}

/** A new identity (AGE-SECRET-KEY-1…), for `keys generate`. */
export async function newIdentity(): Promise<string> {
  const { generateX25519Identity } = await import('age-encryption');
  return generateX25519Identity();
}
