/**
 * The worked example of lifeboat-repository(7): every value computed by the code, so that the page cannot drift from
 * it.
 */
import { createCipheriv } from 'node:crypto';
import { BoxCipher } from '../../../src/repository/box/cipher.ts';
import { boxKind, headerBytes, tagBytes } from '../../../src/repository/box/layout.ts';
import { chunkIdKey, chunkIdOf } from '../../../src/repository/box/chunk-id.ts';
import { closing } from '../../../src/repository/box/box.ts';
import { derive, sha256 } from '../../../src/repository/box/crypto.ts';
import { stretchPassphrase } from '../../../src/repository/keys/stretch.ts';
import { sealDocument } from '../../../src/repository/box/seal.ts';
import { signerFromSeed, signingSeed } from '../../../src/repository/box/signing.ts';

const count = (from: number, length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => from + i));

export const exampleDataKey = { id: count(0xa0, 16), key: count(0x00, 32) };
export const exampleBoxName = 'backups/b/facts';
export const exampleBoxBody = Buffer.from('{"answer":42}');

/** The lines of the example, in order: no-fill text for the page. */
export async function formatVectors(): Promise<string[]> {
  const rawKey = count(0x40, 32);
  const wrapSalt = count(0x60, 32);
  const repositoryId = '00010203-0405-4607-8809-0a0b0c0d0e0f';
  const signer = signerFromSeed(signingSeed(rawKey));
  const document = { format: 1, object: 'notes/b/n.json', dataKey: exampleDataKey.id.toString('hex'), hold: true };
  return [
    ...values({
      'data key id': exampleDataKey.id,
      'data key': exampleDataKey.key,
      'chunk id key': derive(exampleDataKey.key, '', 'lifeboat/1/chunk-id'),
      'chunk id of "abc"': chunkIdOf(chunkIdKey(exampleDataKey), Buffer.from('abc')),
      'the same without encryption': chunkIdOf(undefined, Buffer.from('abc')),
      'key of manifest seals': derive(exampleDataKey.key, '', 'lifeboat/1/manifest'),
      'key of key file seals': derive(exampleDataKey.key, '', 'lifeboat/1/key-file'),
      'seed of the gear table': derive(exampleDataKey.key, '', 'lifeboat/1/gear'),
    }),
    '',
    `A box of kind 4, written as ${exampleBoxName}, that holds ${exampleBoxBody.toString()} in one raw frame:`,
    ...values({ 'box key': derive(exampleDataKey.key, boxHeader(true).subarray(24, 56), 'lifeboat/1/box/4') }),
    ...parts(exampleBox(true)),
    '',
    'The same without encryption:',
    ...parts(exampleBox(false)),
    '',
    'The data key wrapped for a raw key:',
    ...values({
      'raw key': rawKey,
      salt: wrapSalt,
      'wrapping key': derive(rawKey, wrapSalt, 'lifeboat/1/wrap'),
      wrapped: wrap(derive(rawKey, wrapSalt, 'lifeboat/1/wrap')),
    }),
    '',
    'A passphrase, and signing keys:',
    ...values({
      passphrase: Buffer.from('f\u00fcnf'),
      'scrypt salt': count(0x80, 16),
      'recipient key': await stretchPassphrase('f\u00fcnf', count(0x80, 16)),
    }),
    `repository id                  ${repositoryId}`,
    ...values({
      'scrypt salt for signing': sha256(Buffer.from(repositoryId)).subarray(0, 16),
      'signing seed of the raw key': signingSeed(rawKey),
      'its public key': signer.publicKey,
    }),
    '',
    'A sealed document, signed with that key:',
    ...sealDocument(document, exampleDataKey, signer).toString().trimEnd().split('\n'),
  ];
}

/** Header, frame, directory, trailer. */
export function exampleBox(encrypted: boolean): readonly [Buffer, Buffer, Buffer, Buffer] {
  const dataKey = encrypted ? exampleDataKey : undefined;
  const header = boxHeader(encrypted);
  const cipher = new BoxCipher(header, dataKey);
  const stored = Buffer.alloc(exampleBoxBody.length + tagBytes);
  cipher.sealInto(stored, 0, 0, exampleBoxBody);
  const frame = {
    offset: headerBytes,
    storedLength: stored.length,
    plainLength: exampleBoxBody.length,
    codec: 0,
    chunkId: chunkIdOf(chunkIdKey(dataKey), exampleBoxBody),
  };
  return [header, stored, ...closing(cipher, exampleBoxName, [frame], headerBytes + stored.length)];
}

function boxHeader(encrypted: boolean): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write('LFBT');
  header.set([1, boxKind.document, encrypted ? 1 : 0], 4);
  if (encrypted) exampleDataKey.id.copy(header, 8);
  count(0x20, 32).copy(header, 24);
  return header;
}

function wrap(wrappingKey: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', wrappingKey, Buffer.alloc(12));
  cipher.setAAD(exampleDataKey.id);
  return Buffer.concat([cipher.update(exampleDataKey.key), cipher.final(), cipher.getAuthTag()]);
}

function parts([header, frame, directory, trailer]: readonly [Buffer, Buffer, Buffer, Buffer]): string[] {
  return values({ header, frame, directory, trailer });
}

/** One line a value; long ones go on, indented, after 16 bytes. */
function values(named: Readonly<Record<string, Buffer>>): string[] {
  return Object.entries(named).flatMap(([name, bytes]) => {
    const lines = bytes.toString('hex').match(/.{1,32}/g) ?? [];
    return lines.map((line, n) => `${(n === 0 ? name : '').padEnd(31)}${line}`);
  });
}

/** The example as it stands in the page's source. */
export async function pageLines(): Promise<string[]> {
  return (await formatVectors()).map((line) =>
    line
      .replaceAll('\\', String.raw`\e`)
      .replaceAll('-', String.raw`\-`)
      .replace(/^([.'])/, String.raw`\&$1`),
  );
}

// node test/helpers/repository/format-vectors.ts prints what belongs between the page's "vectors" comments.
if (import.meta.main) console.log((await pageLines()).join('\n'));
