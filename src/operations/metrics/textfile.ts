/** Metrics as a file for node_exporter's textfile collector: replaced as a whole, readable for everybody. */
import { tellingFileErrors } from '../../lib/file-errors.ts';
import { writeFileAtomic } from '../../lib/fs.ts';
import { exposition } from './exposition.ts';
import type { Family } from './family.ts';

/** Throws what the file system refuses as LifeboatError. */
export async function writeTextfile(path: string, families: readonly Family[]): Promise<void> {
  const text = await exposition(families);
  const hint = 'the folder must be there, and this user must be able to write to it';
  await tellingFileErrors(`cannot write the metrics to ${path}`, { hint }, async () =>
    writeFileAtomic(path, text, 0o644),
  );
}
