/**
 * What the configuration gives to encrypt and decrypt with: raw keys, passphrases, age identities and
 * recipients. Parsed once; a key that looks damaged is refused here, before anything is encrypted
 * under something its owner could never type again. Rules: man lifeboat-repository(7), "Keys".
 */
import type { EncryptionConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';

export interface KeyMaterial {
  /** 32 bytes, from BACKUP_ENCRYPTION_KEY. */
  readonly rawKey: Buffer | undefined;
  /** In normal form C. */
  readonly passphrases: readonly string[];
  /** AGE-SECRET-KEY-1…, in upper case. */
  readonly identities: readonly string[];
  /** age1…, in lower case, each once. */
  readonly recipients: readonly string[];
  /** Ed25519 public keys of writers, 32 bytes each. */
  readonly trustedKeys: readonly Buffer[];
}

/**
 * The material that is configured; undefined when encryption is switched off. With encryption on and
 * nothing configured all members are empty: such a repository can be listed, neither read nor written.
 * Throws LifeboatError `key` for damaged keys, `usage` for blank or malformed values; no message holds a secret.
 */
export function parseKeyMaterial(encryption: EncryptionConfig): KeyMaterial | undefined {
  if (!encryption.enabled) return undefined;
  const passphrases: string[] = [];
  let rawKey: Buffer | undefined;
  if (encryption.key !== undefined) {
    const key = parseEncryptionKey(encryption.key.reveal());
    if (typeof key === 'string') passphrases.push(key);
    else rawKey = key;
  }
  if (encryption.passphrase !== undefined) {
    passphrases.push(parsePassphrase(encryption.passphrase.reveal(), 'BACKUP_ENCRYPTION_PASSPHRASE'));
  }
  return {
    rawKey,
    passphrases: [...new Set(passphrases)],
    identities: encryption.identity === undefined ? [] : parseIdentities(encryption.identity.reveal()),
    recipients: [...new Set(encryption.recipients.map(parseRecipient))],
    trustedKeys: parseTrustedKeys(encryption),
  };
}

/** The writers that the configuration trusts; they count without encryption, too. */
export function parseTrustedKeys({ trustedKeys }: EncryptionConfig): readonly Buffer[] {
  return trustedKeys.map(parsePublicKey);
}

/**
 * BACKUP_ENCRYPTION_KEY: 32 bytes (64 hex digits, or base64) as a Buffer, anything else as a passphrase.
 * 40 to 70 characters of those alphabets that are neither are a key with a slip in it: refused.
 */
export function parseEncryptionKey(text: string): Buffer | string {
  const trimmed = text.replaceAll(/^[ \t\r\n]+|[ \t\r\n]+$/g, '');
  if (trimmed === '') {
    throw new LifeboatError('usage', 'the encryption key is set, but blank', {
      hint: 'set BACKUP_ENCRYPTION_KEY to a key, or leave it out',
    });
  }
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, 'hex');
  const bytes = Buffer.from(trimmed, 'base64');
  // The comparison also refuses a last digit whose unused bits are set: no encoder writes it.
  if (bytes.length === 32 && bytes.toString('base64') === trimmed) return bytes;
  if (/^[A-Za-z0-9+/=]{40,70}$/.test(trimmed)) {
    throw new LifeboatError(
      'key',
      `the encryption key is damaged: ${trimmed.length} characters of a key's alphabet are neither 64 hex digits ` +
        'nor base64 of 32 bytes',
      {
        hint: 'compare it with the recovery sheet; a passphrase of this kind belongs into BACKUP_ENCRYPTION_PASSPHRASE',
      },
    );
  }
  return trimmed.normalize('NFC');
}

/** True if there is something to decrypt with. */
export function canDecrypt(material: KeyMaterial): boolean {
  return material.rawKey !== undefined || material.passphrases.length > 0 || material.identities.length > 0;
}

/** True if the material holds a key that both wraps and opens (not only public recipients). */
export function hasSymmetricKey(material: KeyMaterial): boolean {
  return material.rawKey !== undefined || material.passphrases.length > 0;
}

function parsePassphrase(text: string, name: string): string {
  if (text.trim() === '') {
    throw new LifeboatError('usage', `${name} is set, but blank`, {
      hint: `set ${name} to a passphrase, or leave it out`,
    });
  }
  return text.normalize('NFC');
}

function parseIdentities(text: string): string[] {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) {
    throw new LifeboatError('usage', 'the age identity is set, but holds no AGE-SECRET-KEY-1… line', {
      hint: 'age-keygen writes such a file',
    });
  }
  for (const [index, line] of lines.entries()) {
    if (!/^AGE-SECRET-KEY-1[A-Z0-9]{58}$/i.test(line)) {
      const reason = 'it is not an X25519 identity (AGE-SECRET-KEY-1 and 58 characters)';
      const others = 'plugin, ssh and post-quantum identities are not supported';
      throw new LifeboatError('key', `age identity ${index + 1} of ${lines.length} is not usable: ${reason}`, {
        hint: `${others}; age-keygen without options makes one that is`,
      });
    }
  }
  return lines.map((line) => line.toUpperCase());
}

function parseRecipient(text: string): string {
  const recipient = text.trim().toLowerCase();
  if (!/^age1[a-z0-9]{58}$/.test(recipient)) {
    throw new LifeboatError('usage', `"${text}" is not an age recipient (age1 and 58 characters)`, {
      hint: 'age-keygen prints it as "public key"; plugin, ssh and post-quantum recipients are not supported',
    });
  }
  return recipient;
}

function parsePublicKey(text: string): Buffer {
  const bytes = Buffer.from(text.trim(), 'base64');
  if (bytes.length !== 32 || bytes.toString('base64') !== text.trim()) {
    throw new LifeboatError('usage', `"${text}" in encryption.trustedKeys is not a public key (base64 of 32 bytes)`, {
      hint: 'lifeboat init prints the key of each writer',
    });
  }
  return bytes;
}
