/**
 * Writes the manual pages and JSON Schemas anew: npm run man. test/unit/generated.test.ts fails when they are stale.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generatedFiles } from './manual.ts';

const root = dirname(dirname(import.meta.dirname));
const files = await generatedFiles();

mkdirSync(join(root, 'src/schemas'), { recursive: true });
for (const name of readdirSync(join(root, 'src/schemas'))) {
  if (!files.has(`src/schemas/${name}`)) rmSync(join(root, 'src/schemas', name));
}
for (const [path, text] of files) writeFileSync(join(root, path), text);
console.log(`wrote ${files.size} files`);
