/**
 * From the book of damage to what people are told: each object with every backup, artifact and table that it touches.
 */
import type { EventSink } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { NotFoundError } from '../../storage/storage.ts';
import type { Damage, TouchedBackup } from './request.ts';
import { openBackup } from './choose.ts';
import { nameContents } from './contents.ts';
import type { BookEntry, DamageBook, Touched } from './damage.ts';

/** By object; backups newest first. */
export async function tellDamage(repository: Repository, book: DamageBook, emit: EventSink): Promise<Damage[]> {
  const told: Damage[] = [];
  for (const entry of book.entries()) {
    told.push({
      object: entry.object,
      kind: entry.kind,
      problem: entry.problem,
      backups: await tellBackups(repository, entry, emit),
    });
  }
  return told;
}

async function tellBackups(repository: Repository, { touched }: BookEntry, emit: EventSink): Promise<TouchedBackup[]> {
  const backups: TouchedBackup[] = [];
  for (const [id, what] of [...touched].toSorted(([a], [b]) => (a < b ? 1 : -1))) {
    backups.push({ id, whole: what.whole, artifacts: await tellArtifacts(repository, id, what, emit) });
  }
  return backups;
}

async function tellArtifacts(
  repository: Repository,
  id: string,
  { artifacts }: Touched,
  emit: EventSink,
): Promise<TouchedBackup['artifacts']> {
  if (artifacts.size === 0) return [];
  try {
    const backup = await openBackup(repository, await repository.readManifest(id));
    return backup === undefined ? [] : await nameContents(repository, backup, artifacts, emit);
  } catch (error) {
    if (error instanceof NotFoundError) return [];
    throw error;
  }
}
