/**
 * Drill of files: all of them restored into a scratch folder, then read again and compared with the catalog: content,
 * modes, times, links, and nothing too many.
 */
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { requireSpace, withScratchFolder } from '../../lib/fs.ts';
import { counted, formatBytes } from '../../lib/units.ts';
import { filesFacts } from '../../source/files/facts.ts';
import { restoreFiles } from '../../source/files/restore.ts';
import { catalogName } from '../../source/files/source.ts';
import { verifyTree } from '../../source/files/verify.ts';
import { factsOf } from '../backup-facts.ts';
import { restoreStep, type DrillRecord, type DrillSubject } from './subject.ts';

/** A file takes whole blocks, and its name some room. */
const bytesPerFile = 4096;

export async function drillFiles(
  { facts: all, component, manifest, reader }: DrillSubject,
  record: DrillRecord,
  context: RunContext,
): Promise<void> {
  const facts = factsOf(filesFacts, all, component, manifest.id);
  await requireSpace(
    tmpdir(),
    facts.contentBytes + bytesPerFile * (facts.files + facts.folders),
    'the files of the backup',
  );
  await withScratchFolder(async (folder) => {
    const targetDir = join(folder, 'files');
    await mkdir(targetDir);
    context.emit({
      type: 'step',
      component: component.name,
      message: `restoring ${counted(facts.files, 'file')} into ${targetDir} and comparing them`,
    });
    const restored = await record.step(`${restoreStep} files`, () =>
      restoreFiles({ reader, facts, targetDir }, context),
    );
    const report = await record.step('compare files', () =>
      verifyTree({ targetDir, catalog: reader.open(catalogName) }, context),
    );
    record.count('files', restored.files);
    record.count('entries', report.entries);
    record.count('fileBytes', report.contentBytes);
    if (restored.skippedDevices.length > 0) record.notes.push('device nodes were not made');
    record.compared.push(
      'content, mode, owner, time and links of every file with the catalog',
      'that nothing else is there',
    );
    record.summary = `${counted(restored.files, 'file')}, ${formatBytes(restored.contentBytes)}`;
    const wrong =
      restored.files === facts.files
        ? report.differences
        : [`${restored.files} files were restored, not ${facts.files}`, ...report.differences];
    if (wrong.length === 0) return;
    const named = wrong.slice(0, 8).join('; ');
    throw new LifeboatError(
      'integrity',
      'the restored files differ from the catalog: ' +
        `${named}${report.differenceCount > 8 ? ` and ${report.differenceCount - 8} more` : ''}`,
      { hint: 'try an older backup, and run: lifeboat validate --deep' },
    );
  });
}
