import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseJsonc } from '../../src/config/jsonc.ts';
import { settingsSchema } from '../../src/config/schema.ts';
import { generatedFiles } from '../../.ci/build/manual.ts';

const root = new URL('../../', import.meta.url);

test('manual pages and JSON Schemas are those of this version (npm run man)', async () => {
  const files = await generatedFiles();
  for (const [path, text] of files) {
    assert.equal(
      await readFile(new URL(path, root), 'utf8').catch(() => 'missing'),
      text,
      `${path} is stale: run npm run man`,
    );
  }
  const schemas = (await readdir(new URL('src/schemas', root))).map((name) => `src/schemas/${name}`);
  assert.deepEqual(
    schemas.filter((path) => !files.has(path)),
    [],
  );
});

test('every flag, key and environment variable has a description', async () => {
  const files = await generatedFiles();
  for (const [path, text] of files) {
    if (!path.startsWith('man/')) continue;
    assert.doesNotMatch(text, /\.TP\n\\fB.*\\fR\n(\n|\.|$)/, `${path} has a term without a meaning`);
    assert.doesNotMatch(text, /undefined|\[object/, path);
  }
});

test("the configuration page's example is a configuration", async () => {
  const page = (await generatedFiles()).get('man/lifeboat.config.5') ?? '';
  const example = /\.nf\n\.RS 4\n([\s\S]*?)\.RE/.exec(page)?.[1] ?? '';
  assert.deepEqual(Object.keys(settingsSchema.parse(parseJsonc(example.replaceAll('\\', ''))).targets ?? {}), ['main']);
});
