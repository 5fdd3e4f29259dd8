/** lifeboat-repository(7) against the code: the worked example is computed, the schema's members are all named. */
import assert from 'node:assert/strict';
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { manifestSchema } from '../../../src/repository/manifests/manifest.ts';
import { boxKind } from '../../../src/repository/box/layout.ts';
import { openBox } from '../../../src/repository/box/box.ts';
import {
  exampleBox,
  exampleBoxBody,
  exampleBoxName,
  exampleDataKey,
  pageLines,
} from '../../helpers/repository/format-vectors.ts';

const page = readFileSync(new URL('../../../man/lifeboat-repository.7', import.meta.url), 'utf8');

test('the example of the page is what the code writes (renew it by format-vectors.ts)', async () => {
  const printed = page.split('.\\" vectors: begin\n')[1]?.split('\n.\\" vectors: end')[0];
  assert.equal(printed, (await pageLines()).join('\n'));
});

test('the box of the example opens by the steps that the page gives', async () => {
  const [header, frame, directory, trailer] = exampleBox(true);
  const boxKey = Buffer.from(hkdfSync('sha256', exampleDataKey.key, header.subarray(24, 56), 'lifeboat/1/box/4', 32));
  const decipher = createDecipheriv('aes-256-gcm', boxKey, Buffer.alloc(12));
  decipher.setAAD(Buffer.concat([header, Buffer.alloc(8)]));
  decipher.setAuthTag(frame.subarray(-16));
  assert.deepEqual(Buffer.concat([decipher.update(frame.subarray(0, -16)), decipher.final()]), exampleBoxBody);
  assert.deepEqual(
    await openBox(Buffer.concat([header, frame, directory, trailer]), boxKind.document, exampleBoxName, exampleDataKey),
    exampleBoxBody,
  );
  assert.deepEqual(
    await openBox(Buffer.concat(exampleBox(false)), boxKind.document, exampleBoxName, undefined),
    exampleBoxBody,
  );
});

test('the page names every member of a manifest', () => {
  const section = page.split('.SH MANIFESTS')[1]?.split('.SH KEYS')[0] ?? '';
  const component = manifestSchema.shape.components.element;
  const artifact = component.shape.artifacts.element;
  for (const schema of [manifestSchema, component, artifact, artifact.shape.index.element]) {
    for (const name of Object.keys(schema.shape)) {
      assert.match(section, new RegExp(`^ *(label, )?${name}\\b`, 'm'), name);
    }
  }
});
