/**
 * Which backups a validation is of. One that is damaged, untrusted or without a key is told, never passed over in
 * silence.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { isBackupId, seemsToBe } from '../../repository/manifests/ids.ts';
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ValidateRequest } from './request.ts';
import { tellPassedOver } from '../choose-backup.ts';
import { provenIn } from '../proof/state.ts';
import type { DamageBook } from './damage.ts';
import type { OpenBackup } from './objects.ts';

export interface Chosen {
  /** Newest first. */
  readonly backups: readonly OpenBackup[];
  /** Backups that no configured key opens. */
  readonly unchecked: readonly ListedManifest[];
}

/**
 * Throws `not_found`, `usage`, and `key` when nothing of what was asked for can be opened. Damaged manifests go into
 * the book.
 */
export async function chooseBackups(
  repository: Repository,
  request: ValidateRequest,
  book: DamageBook,
  emit: EventSink,
): Promise<Chosen> {
  const listed =
    request.ids.length > 0 ? await named(repository, request, emit) : await fromListing(repository, request);
  const unchecked = listed.filter(({ trust }) => trust === 'unchecked');
  for (const each of listed) tellUnfit(each, book, emit);
  const backups: OpenBackup[] = [];
  for (const each of listed) {
    const open = await openBackup(repository, each);
    if (open !== undefined) backups.push(open);
    const flaw = open === undefined ? undefined : flawOf(open.manifest);
    if (flaw !== undefined) {
      emit({ type: 'warning', message: `backup ${each.id} can be no better than its damaged source: ${flaw}` });
    }
  }
  if (backups.length === 0 && unchecked[0] !== undefined) {
    throw new LifeboatError(
      'key',
      `backup ${unchecked[0].id} cannot be checked: ${unchecked[0].reason ?? 'no key opens it'}`,
      { hint: 'configure the key on the recovery sheet' },
    );
  }
  if (listed.length === 0) {
    const of = request.target === undefined ? '' : ` of target ${request.target}`;
    throw new LifeboatError('not_found', `there is no backup${of} in ${repository.storage.location}`, {
      hint: 'lifeboat backup takes one',
    });
  }
  return { backups, unchecked };
}

function tellUnfit({ id, object, trust, reason }: ListedManifest, book: DamageBook, emit: EventSink): void {
  if (trust === 'damaged') {
    book.add(object, { kind: 'damaged', problem: reason ?? 'it cannot be read' });
    book.touchWhole(object, id);
  }
  if (trust === 'untrusted') {
    const message = `backup ${id} is not checked, since it cannot be trusted: ${reason ?? 'unknown'}`;
    emit({ type: 'warning', message });
  }
}

/** Undefined unless the manifest is sealed by a writer that is trusted. */
export async function openBackup(
  repository: Repository,
  { id, trust, seal, manifest }: ListedManifest,
): Promise<OpenBackup | undefined> {
  if (trust !== 'sealed' || manifest === undefined || seal === undefined) return undefined;
  return { id, seal, manifest, dataKey: await repository.dataKeyOf(manifest) };
}

async function named(
  repository: Repository,
  { ids, target }: ValidateRequest,
  emit: EventSink,
): Promise<ListedManifest[]> {
  const found = new Map<string, ListedManifest>();
  for (const id of ids) {
    const { backup, passedOver } = await repository.resolve(id, { target, isProven: provenIn(repository) });
    tellPassedOver(passedOver, emit);
    if (id !== backup.id) emit({ type: 'step', message: `${id} is ${backup.id}` });
    if (backup.trust === 'untrusted') {
      throw new LifeboatError('integrity', `backup ${backup.id} cannot be trusted: ${backup.reason ?? 'unknown'}`, {
        hint: 'if you know who wrote it, put its key into encryption.trustedKeys',
      });
    }
    found.set(backup.id, backup);
  }
  return [...found.values()];
}

async function fromListing(repository: Repository, { all, target }: ValidateRequest): Promise<ListedManifest[]> {
  const found: ListedManifest[] = [];
  const targets = new Set<string>();
  for await (const listed of repository.listManifests()) {
    // What is no name of a backup is a stray: integrity tells it.
    if (!isBackupId(listed.id)) continue;
    const of = listed.manifest?.target;
    if (target !== undefined && (of === undefined ? !seemsToBe(listed.id, target) : of !== target)) continue;
    // Without --all: the newest of each target that counts, and what is newer and does not.
    if (!all && (of === undefined ? targets.size > 0 : targets.has(of))) continue;
    found.push(listed);
    if (of !== undefined && listed.trust === 'sealed') targets.add(of);
  }
  return found;
}
