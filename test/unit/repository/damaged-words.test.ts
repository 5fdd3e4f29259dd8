/** Documents of a real repository, each member of them damaged in many ways: what is said of it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { messageOf } from '../../../src/lib/errors.ts';
import { parseKeyFile } from '../../../src/repository/keys/file.ts';
import { streamArtifact } from '../../helpers/repository/chunk-repository.ts';
import { assertPlainWords, junk } from '../../helpers/junk.ts';
import { backUp, encryption, testRepository } from '../../helpers/repository/repository.ts';

const home = testRepository();
after(() => home[Symbol.dispose]());
const config = encryption({ key: 'ab'.repeat(32) });
const repository = await home.create(config);
const manifest = await backUp(repository, [streamArtifact('x.bin', [Buffer.from('content')])]);

/** The document with one member after the other taken away or replaced. */
function* damages(text: string): Generator<string> {
  const document = JSON.parse(text) as Record<string, unknown>;
  for (const place of placesIn(document)) {
    for (const value of junk) {
      const copy = structuredClone(document);
      let at = copy;
      for (const key of place.slice(0, -1)) at = at[key] as Record<string, unknown>;
      if (value === undefined) delete at[place.at(-1) ?? ''];
      else at[place.at(-1) ?? ''] = value;
      yield `${JSON.stringify(copy, undefined, 2)}\n`;
    }
  }
}

function placesIn(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[key], ...placesIn(inner).map((rest) => [key, ...rest])]);
}

function assertNamedOnce(message: string, object: string): void {
  assertPlainWords(message);
  assert.equal(message.split(object).length, 2, message);
}

describe('a damaged document is told in plain words, and named once', () => {
  test('a manifest', async () => {
    const path = join(home.root, `manifests/${manifest.id}.json`);
    const whole = readFileSync(path, 'utf8');
    try {
      for (const text of damages(whole)) {
        writeFileSync(path, text);
        const { reason = 'none', object } = await repository.readManifest(manifest.id);
        assertNamedOnce(`${object}: ${reason}`, object);
      }
    } finally {
      writeFileSync(path, whole);
    }
  });

  test('repository.json', async () => {
    const path = join(home.root, 'repository.json');
    const whole = readFileSync(path, 'utf8');
    try {
      for (const text of damages(whole)) {
        writeFileSync(path, text);
        await home.open(config).then(
          () => {},
          (error: unknown) => assertPlainWords(messageOf(error)),
        );
      }
    } finally {
      writeFileSync(path, whole);
    }
  });

  test('a key file', () => {
    const object = `keys/${manifest.dataKey}.json`;
    for (const text of damages(readFileSync(join(home.root, object), 'utf8'))) {
      try {
        parseKeyFile(Buffer.from(text), object, manifest.dataKey);
      } catch (error) {
        assertNamedOnce(messageOf(error), object);
      }
    }
  });
});
