/** A tree of many files is backed up and restored in memory that does not grow with it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

test('100,000 files: the heap needs no more than 64 MiB, the process stays under 300 MiB', () => {
  const work = mkdtempSync(join(tmpdir(), 'lifeboat-test-files-'));
  try {
    for (let folder = 0; folder < 100; folder++) {
      mkdirSync(join(work, 'tree', String(folder)), { recursive: true });
      for (let file = 0; file < 1000; file++) {
        writeFileSync(
          join(work, 'tree', String(folder), `file-${file}`),
          `content ${folder} ${file} `.repeat(file % 20),
        );
      }
    }
    mkdirSync(join(work, 'dump'));
    const script = `import { restoreFiles } from '${import.meta.dirname}/../../src/source/files/restore.ts';
      import { dumpFiles, folderReader, listener } from '${import.meta.dirname}/../helpers/source/files-dump.ts';
      const [work] = process.argv.slice(1);
      const facts = await dumpFiles({ paths: [work + '/tree'] }, work + '/dump');
      const place = { targetDir: work + '/restored', stripPrefix: work + '/tree' };
      await restoreFiles({ reader: folderReader(work + '/dump'), facts, ...place }, listener());
      console.log(JSON.stringify({ files: facts.files, peakKiB: process.resourceUsage().maxRSS }));`;
    const out = execFileSync(process.execPath, ['--max-old-space-size=64', '--input-type=module', '-e', script, work], {
      encoding: 'utf8',
    });
    const { files, peakKiB } = JSON.parse(out) as { files: number; peakKiB: number };
    assert.equal(files, 100_000);
    assert.ok(peakKiB < 300 * 1024, `${Math.round(peakKiB / 1024)} MiB`);
    execFileSync('diff', ['-r', join(work, 'tree'), join(work, 'restored')]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});
