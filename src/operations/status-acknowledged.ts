/** Warnings of status that are meant to be, by their names, in this host's state: `<state>/repositories/<id>/acknowledged.json`. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { LifeboatError, messageOf, systemCodeOf } from '../lib/errors.ts';
import { ensureFolder, writeFileAtomic } from '../lib/fs.ts';

const acknowledgementSchema = z.object({ at: z.iso.datetime(), by: z.string(), reason: z.string() });
const fileSchema = z.record(z.string(), acknowledgementSchema);

/** Who said so, when and why; the time RFC 3339 in UTC. */
export type Acknowledgement = z.infer<typeof acknowledgementSchema>;

/** What was acknowledged, by the name of the warning. A file that cannot be read counts as none: warnings come back. */
export async function readAcknowledged(stateDir: string, repositoryId: string): Promise<ReadonlyMap<string, Acknowledgement>> {
  try {
    const parsed = fileSchema.safeParse(JSON.parse(await readFile(pathOf(stateDir, repositoryId), 'utf8')));
    return new Map(Object.entries(parsed.data ?? {}));
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || error instanceof SyntaxError) return new Map();
    throw error;
  }
}

/** Keeps it beside those in `present`; what names a warning that is gone is forgotten. */
export async function keepAcknowledged(stateDir: string, repositoryId: string, warning: string, said: Acknowledgement, present: ReadonlySet<string>): Promise<void> {
  const before = await readAcknowledged(stateDir, repositoryId);
  const kept = [...before].filter(([id]) => present.has(id) && id !== warning);
  const path = pathOf(stateDir, repositoryId);
  try {
    await ensureFolder(dirname(path));
    await writeFileAtomic(path, `${JSON.stringify(Object.fromEntries([...kept, [warning, said]]), undefined, 2)}\n`, 0o600);
  } catch (cause) {
    throw new LifeboatError('usage', `cannot write to the state folder: ${messageOf(cause)}`, { hint: 'set BACKUP_STATE_DIR to a folder that this user may write', cause });
  }
}

function pathOf(stateDir: string, repositoryId: string): string {
  return join(stateDir, 'repositories', repositoryId, 'acknowledged.json');
}
