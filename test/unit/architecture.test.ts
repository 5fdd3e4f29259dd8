/** ARCHITECTURE.md and CONTRIBUTING.md lead to files that are there, and name every folder of src/. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const root = dirname(dirname(import.meta.dirname));
const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
const contributing = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
/** Made by npm run build. */
const generated = new Set(['dist/']);

test('each path that the documents name is there', () => {
  const text = architecture + contributing;
  const paths = [...text.matchAll(/(?<![\w/.-])(?:[a-z0-9-]+\/)+(?:[a-z0-9-]+\.(?:ts|js|mjs))?(?![\w*<])/g)];
  const named = new Set(paths.map(([path]) => path));
  const folders = ['.', 'src', ...floors().map((floor) => `src/${floor}`), 'src/source/postgres'];
  const missing = [...named].filter((path) => !folders.some((folder) => existsSync(join(root, folder, path))));
  assert.deepEqual(
    missing.filter((path) => !generated.has(path)),
    [],
  );
  assert.ok(named.size > 50);
});

test('each folder of src/ has its words', () => {
  const folders = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map((each) => relative(join(root, 'src'), join(each.parentPath, each.name)));
  const silent = folders.filter((path) => !names(path).some((name) => architecture.includes(name)));
  assert.deepEqual(silent, []);
  assert.ok(folders.length > 40);
});

function floors(): string[] {
  return readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => name);
}

/** A floor by its path, a room by its name on the floor. */
function names(path: string): string[] {
  const [, ...room] = path.split('/');
  return room.length === 0 ? [`src/${path}/`, `${path}/`] : [`${room.join('/')}/`];
}
