/** What tells whether dist/ is what would be built: contents and names, whatever the times of files say. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { digestOfSources } from '../../.ci/build/digest.ts';

const root = mkdtempSync(join(tmpdir(), 'digest-'));
after(() => rmSync(root, { recursive: true, force: true }));

test('differs whenever a file, a name, a package or the build itself does', () => {
  for (const folder of ['src/deep', '.ci/build']) mkdirSync(join(root, folder), { recursive: true });
  for (const name of ['package.json', 'package-lock.json', 'src/a.ts', 'src/deep/b.mjs', '.ci/build/build.ts']) {
    writeFileSync(join(root, name), name);
  }
  const seen = [digestOfSources(root)];
  const changes: readonly (() => void)[] = [
    () => writeFileSync(join(root, 'src/deep/b.mjs'), 'changed'),
    () => renameSync(join(root, 'src/a.ts'), join(root, 'src/c.ts')),
    () => writeFileSync(join(root, 'src/deep/new.json'), ''),
    () => rmSync(join(root, 'src/deep/new.json')),
    () => writeFileSync(join(root, 'package-lock.json'), '{}'),
    () => writeFileSync(join(root, '.ci/build/build.ts'), 'changed'),
  ];
  for (const change of changes) {
    change();
    const now = digestOfSources(root);
    assert.notEqual(now, seen.at(-1), String(change));
    // As a copy that keeps times would: the times say nothing.
    for (const name of ['src/c.ts', 'src/a.ts']) touchOld(join(root, name));
    assert.equal(digestOfSources(root), now);
    seen.push(now);
  }
  const copy = join(root, 'copy');
  cpSync(join(root, 'src'), join(copy, 'src'), { recursive: true });
  for (const name of ['package.json', 'package-lock.json', '.ci']) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  assert.equal(digestOfSources(copy), seen.at(-1), 'the same somewhere else');
});

function touchOld(path: string): void {
  try {
    utimesSync(path, 1, 1);
  } catch {
    // It is not there in each step.
  }
}
