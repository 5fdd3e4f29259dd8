import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { newIdentity, recipientOf } from '../../../../src/repository/keys/age.ts';
import { parseEncryptionKey, parseKeyMaterial } from '../../../../src/repository/keys/material.ts';
import { encryption } from '../../../helpers/repository/repository.ts';

const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7 + 3));
const code =
  (code: string) =>
  (error: unknown): boolean =>
    (error as { code?: string }).code === code;

test('a raw key is 64 hex digits in either case or padded base64, blanks around it trimmed', () => {
  for (const text of [
    key.toString('hex'),
    key.toString('hex').toUpperCase(),
    key.toString('base64'),
    ` \t${key.toString('hex')}\r\n`,
    `${key.toString('base64')}\n`,
  ]) {
    assert.deepEqual(parseEncryptionKey(text), key, text);
  }
});

test('a key with a slip in it is refused, not taken as a passphrase', () => {
  const hex = key.toString('hex');
  const base64 = key.toString('base64');
  const slips = [
    hex.slice(1),
    `${hex}0`,
    hex.replace('0', 'g'),
    base64.slice(0, -1),
    base64.replace('=', ''),
    `${base64.slice(0, 42)}1=`,
    randomBytes(33).toString('base64'),
    'x'.repeat(40),
    'x'.repeat(70),
  ];
  for (const slip of slips) assert.throws(() => parseEncryptionKey(slip), code('key'), slip);
  for (const slip of slips) {
    assert.throws(
      () => parseEncryptionKey(slip),
      (error: Error) => !error.message.includes(slip.slice(4, 20)),
      'the message tells of the key',
    );
  }
});

test('anything else is a passphrase, URL-safe base64 too', () => {
  const urlSafe = Buffer.alloc(32, 0xfb).toString('base64url');
  assert.match(urlSafe, /[-_]/);
  for (const text of [
    'correct horse battery staple',
    'x'.repeat(39),
    'x'.repeat(71),
    urlSafe,
    `${key.toString('hex').slice(1)}!`,
  ]) {
    assert.equal(parseEncryptionKey(text), text);
  }
  assert.equal(parseEncryptionKey(' Ungu\u0308ltig \n'), 'Ung\u00fcltig', 'trimmed and in normal form C');
  assert.throws(() => parseEncryptionKey(' \r\n\t'), code('usage'));
});

test('several kinds can be configured together; BACKUP_ENCRYPTION_PASSPHRASE is never a raw key', async () => {
  const identity = await newIdentity();
  const recipient = await recipientOf(identity);
  const material = parseKeyMaterial(
    encryption({
      key: key.toString('hex'),
      passphrase: key.toString('hex'),
      identity: `# made by age-keygen\r\n\n${identity}\n`,
      recipients: [recipient, recipient.toUpperCase()],
    }),
  );
  assert.deepEqual(material, {
    rawKey: key,
    passphrases: [key.toString('hex')],
    identities: [identity],
    recipients: [recipient],
    trustedKeys: [],
  });
});

test('malformed values are refused, switched-off encryption needs none', () => {
  assert.throws(() => parseKeyMaterial(encryption({ passphrase: '  ' })), code('usage'));
  assert.throws(() => parseKeyMaterial(encryption({ identity: '# nothing\n' })), code('usage'));
  assert.throws(() => parseKeyMaterial(encryption({ identity: 'AGE-SECRET-KEY-1TOOSHORT' })), code('key'));
  assert.throws(() => parseKeyMaterial(encryption({ recipients: ['ssh-ed25519 AAAA'] })), code('usage'));
  assert.throws(
    () => parseKeyMaterial(encryption({ trustedKeys: [Buffer.alloc(31).toString('base64')] })),
    code('usage'),
  );
  assert.equal(parseKeyMaterial(encryption({ enabled: false })), undefined);
  assert.deepEqual(parseKeyMaterial(encryption({})), {
    rawKey: undefined,
    passphrases: [],
    identities: [],
    recipients: [],
    trustedKeys: [],
  });
});
