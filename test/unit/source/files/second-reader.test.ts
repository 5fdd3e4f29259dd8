/** The second reader of archives, on tars that GNU tar has made. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runTool } from '../../../../src/lib/exec.ts';
import { openSecondReader } from '../../../../src/source/files/second-reader.ts';

async function sampleTar(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'second-'));
  try {
    await writeFile(join(folder, 'a'), Buffer.alloc(100_000, 1));
    await writeFile(join(folder, 'b\nc'), 'x');
    await symlink('a', join(folder, 'link'));
    await runTool({ file: 'tar', args: ['--format=pax', '-cf', 'out.tar', 'a', 'b\nc', 'link'], cwd: folder });
    return await readFile(join(folder, 'out.tar'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('counts the members and bytes of a whole archive', async () => {
  const reader = await openSecondReader();
  const tar = await sampleTar();
  for (let at = 0; at < tar.length; at += 1000) reader.read(tar.subarray(at, at + 1000));
  assert.deepEqual(await reader.finish(), { members: 3, contentBytes: 100_001 });
});

test('does not take one that is cut or whose header is damaged', async () => {
  const tar = await sampleTar();
  const header = Buffer.from(tar);
  // The checksum of the second member's own header; the pax headers before it are members' metadata.
  header[tar.indexOf('b\nc', 101_000) + 148] = 0x39;
  for (const broken of [tar.subarray(0, 50_000), header]) {
    const reader = await openSecondReader();
    reader.read(broken);
    await assert.rejects(reader.finish(), { code: 'integrity' });
  }
});
