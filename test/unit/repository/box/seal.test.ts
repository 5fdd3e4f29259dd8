import assert from 'node:assert/strict';
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import { checkSeal, sealDocument, splitDocument } from '../../../../src/repository/box/seal.ts';
import { isSignedBy, signerFromSeed, signingSeed } from '../../../../src/repository/box/signing.ts';

const dataKey = { id: Buffer.alloc(16, 1), key: Buffer.alloc(32, 2) };
const signer = signerFromSeed(Buffer.alloc(32, 3));
const document = { format: 1, text: 'a "quoted" line\n  "seal": "', list: [1, { deep: true }] };

test('the layout: pretty JSON, signature and seal last, each over every byte before its line', async () => {
  const bytes = sealDocument(document, dataKey, signer);
  const text = bytes.toString();
  const parsed = JSON.parse(text) as { signature: { key: string; value: string }; seal: string };
  assert.equal(text, `${JSON.stringify(parsed, undefined, 2)}\n`, 'any JSON printer writes the same');
  assert.deepEqual(Object.keys(parsed).slice(-2), ['signature', 'seal']);
  const sealAt = text.lastIndexOf('  "seal"');
  const key = Buffer.from(hkdfSync('sha256', dataKey.key, '', 'lifeboat/1/manifest', 32));
  assert.equal(parsed.seal, createHmac('sha256', key).update(text.slice(0, sealAt)).digest('hex'));
  const signed = Buffer.from(text.slice(0, text.lastIndexOf('  "signature"')));
  assert.ok(await isSignedBy(signer.publicKey, signed, Buffer.from(parsed.signature.value, 'base64')));
});

test('without encryption the seal is a SHA-256 of the same bytes', () => {
  const text = sealDocument(document, undefined, undefined).toString();
  assert.equal(
    (JSON.parse(text) as { seal: string }).seal,
    createHash('sha256')
      .update(text.slice(0, text.lastIndexOf('  "seal"')))
      .digest('hex'),
  );
});

test('it opens with its key and for its purpose only', async () => {
  const split = splitDocument(sealDocument(document, dataKey, signer), 'it');
  assert.deepEqual(split.members, document);
  await checkSeal(split, dataKey, 'it');
  await assert.rejects(checkSeal(split, { ...dataKey, key: Buffer.alloc(32) }, 'it'), { code: 'integrity' });
  await assert.rejects(checkSeal(split, undefined, 'it'), { code: 'integrity' });
  await assert.rejects(checkSeal(split, dataKey, 'it', 'key-file'), { code: 'integrity' });
});

test('every flipped bit and truncation is noticed, with a signature and without', async () => {
  for (const sealed of [
    sealDocument(document, dataKey, signer),
    sealDocument(document, dataKey, undefined),
    sealDocument(document, undefined, undefined),
  ]) {
    const key = sealed.includes(
      createHash('sha256')
        .update(sealed.subarray(0, sealed.lastIndexOf('  "seal"')))
        .digest('hex'),
    )
      ? undefined
      : dataKey;
    await checkSeal(splitDocument(sealed, 'it'), key, 'it');
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      await assert.rejects(
        async () => checkSeal(splitDocument(flipped, 'it'), key, 'it'),
        { code: 'integrity' },
        `bit ${bit}`,
      );
    }
    for (let length = 0; length < sealed.length; length++) {
      assert.throws(() => splitDocument(sealed.subarray(0, length), 'it'), { code: 'integrity' });
    }
  }
});

test('a wrong signature is refused even under a right seal', async () => {
  const other = signerFromSeed(Buffer.alloc(32, 4));
  const lying = { publicKey: signer.publicKey, sign: (bytes: Uint8Array) => other.sign(bytes) };
  await assert.rejects(checkSeal(splitDocument(sealDocument(document, dataKey, lying), 'it'), dataKey, 'it'), {
    code: 'integrity',
    message: /signature does not match/,
  });
});

test('a second seal or signature hidden further up is refused', () => {
  const text = sealDocument(document, dataKey, signer).toString();
  assert.throws(
    () =>
      splitDocument(
        Buffer.from(
          text.replace('{\n', '{\n  "seal": 1,\n').replace(/"seal": "[0-9a-f]{64}"\n\}\n$/, '"Seal": 1\n}\n'),
        ),
        'it',
      ),
    { code: 'integrity' },
  );
  const unsigned = sealDocument(document, dataKey, undefined).toString();
  assert.throws(
    () => splitDocument(Buffer.from(unsigned.replace('{\n', '{\n  "signature": {"key": "", "value": ""},\n')), 'it'),
    { code: 'integrity', message: /signature is malformed/ },
  );
});

test('signing keys follow from their seed (RFC 8032, test 1)', () => {
  const rfc = signerFromSeed(Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex'));
  assert.equal(rfc.publicKey.toString('hex'), 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  assert.match(rfc.sign(Buffer.alloc(0)).toString('hex'), /^e5564300c360ac729086e2cc806e828a/);
  assert.deepEqual(
    signingSeed(Buffer.alloc(32, 9)),
    Buffer.from(hkdfSync('sha256', Buffer.alloc(32, 9), '', 'lifeboat/1/sign', 32)),
  );
});
