import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runTool } from '../../../src/lib/exec.ts';

const dir = mkdtempSync(join(tmpdir(), 'lifeboat-open-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const moduleUrl = (name: string): string =>
  JSON.stringify(new URL(`../../../src/storage/${name}.ts`, import.meta.url).href);

// `lifeboat list` on a folder has 150 ms for everything.
test('opening, filling and listing a folder loads no package', async () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    const resolve = (specifier, context, next) => {
      const found = next(specifier, context);
      loaded.push(found.url);
      return found;
    };
    registerHooks({ resolve });
    const { openStorage } = await import(${moduleUrl('open')});
    const storage = await openStorage({ kind: 'local', path: ${JSON.stringify(join(dir, 'repo'))} }, { create: true });
    await storage.put('a/b', [Buffer.from('x')]);
    for await (const { key } of storage.list('')) console.log(key);
    console.log(loaded.some((url) => url.includes('node_modules')));
    await import(${moduleUrl('s3/s3')});
    console.log(loaded.some((url) => url.includes('node_modules')));`;
  const { stdout } = await runTool({ file: process.execPath, args: ['--input-type=module', '-e', script] });
  assert.deepEqual(stdout.trim().split('\n'), ['a/b', 'false', 'true']);
});
