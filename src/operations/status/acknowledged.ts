/**
 * Warnings of status that are meant to be, by their names, in this host's state:
 * `<state>/repositories/<id>/acknowledged.json`.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { readStateFile, undefinedWhereDamaged, writeStateFile } from '../../repository/state-file.ts';

const acknowledgementSchema = z.object({ at: z.iso.datetime(), by: z.string(), reason: z.string() });
const fileSchema = z.record(z.string(), acknowledgementSchema);

/** Who said so, when and why; the time RFC 3339 in UTC. */
export type Acknowledgement = z.infer<typeof acknowledgementSchema>;

/** What was acknowledged, by the name of the warning. A file that makes no sense counts as none: warnings come back. */
export async function readAcknowledged(
  stateDir: string,
  repositoryId: string,
): Promise<ReadonlyMap<string, Acknowledgement>> {
  const file = pathOf(stateDir, repositoryId);
  const said = await readStateFile(file, fileSchema, {}).catch(undefinedWhereDamaged);
  return new Map(Object.entries(said ?? {}));
}

/** Keeps it beside those in `present`; what names a warning that is gone is forgotten. */
export async function keepAcknowledged(
  stateDir: string,
  repositoryId: string,
  warning: string,
  said: Acknowledgement,
  present: ReadonlySet<string>,
): Promise<void> {
  const before = await readAcknowledged(stateDir, repositoryId);
  const kept = [...before].filter(([id]) => present.has(id) && id !== warning);
  await writeStateFile(pathOf(stateDir, repositoryId), Object.fromEntries([...kept, [warning, said]]));
}

function pathOf(stateDir: string, repositoryId: string): string {
  return join(stateDir, 'repositories', repositoryId, 'acknowledged.json');
}
