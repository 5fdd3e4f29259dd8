/** Whether the backup that an operator means may be used: not damaged, trusted, or forced by its full id. */
import { LifeboatError } from '../lib/errors.ts';
import type { EventSink } from '../lib/events.ts';
import { flawOf } from '../repository/manifests/flaws.ts';
import type { ListedManifest } from '../repository/manifests/listing.ts';
import type { Manifest } from '../repository/manifests/manifest.ts';
import type { Repository } from '../repository/repository.ts';
import type { ComponentName } from './operation.ts';
import { provenIn } from './proof/state.ts';
import { kindOf } from './component.ts';

export interface ChosenBackup {
  readonly listed: ListedManifest;
  readonly manifest: Manifest;
}

export interface Choice {
  readonly id: string;
  readonly target?: string | undefined;
  /** Take one that nobody we trust has signed; needs the full id. */
  readonly force?: boolean;
  /** What it must hold: `latest` then means the newest that does. */
  readonly only?: readonly ComponentName[];
}

/** A backup to read from. Throws `not_found`, `key`, `integrity` (14) for one that is damaged or cannot be trusted. */
export async function chooseBackup(
  repository: Repository,
  { id, target, force = false, only = [] }: Choice,
  emit: EventSink,
): Promise<ChosenBackup> {
  const {
    backup: listed,
    byFullId,
    passedOver,
  } = await repository.resolve(id, { target, isProven: provenIn(repository), kinds: only.map(kindOf) });
  tellPassedOver(passedOver, emit);
  const { manifest, trust, reason } = listed;
  if (manifest === undefined) {
    throw new LifeboatError('integrity', `backup ${listed.id} cannot be used: ${reason ?? 'its manifest is damaged'}`, {
      state: 'nothing was changed',
      hint: id.startsWith('latest')
        ? 'to take the one before it, say so: latest~1, or its id from lifeboat list'
        : 'lifeboat list shows the others',
    });
  }
  if (trust === 'unchecked') {
    throw new LifeboatError('key', `backup ${listed.id} cannot be checked: ${reason ?? 'no key opens it'}`, {
      state: 'nothing was changed',
      hint: 'configure the key on the recovery sheet',
    });
  }
  if (trust !== 'sealed') acceptUntrusted(listed, byFullId && force, emit);
  const flaw = flawOf(manifest, only.map(kindOf));
  if (flaw !== undefined) emit({ type: 'warning', message: `backup ${listed.id} is of a damaged source: ${flaw}` });
  if (id !== listed.id) emit({ type: 'step', message: `${id} is ${listed.id}` });
  return { listed, manifest };
}

/** What is newer than the one that `latest` stands for. */
export function tellPassedOver(newer: readonly ListedManifest[], emit: EventSink): void {
  for (const { id, reason = 'unknown' } of newer) {
    emit({ type: 'warning', message: `newer backup ${id} does not count: ${reason}` });
  }
}

function acceptUntrusted({ id, reason }: ListedManifest, accepted: boolean, emit: EventSink): void {
  if (!accepted) {
    throw new LifeboatError('integrity', `backup ${id} cannot be trusted: ${reason ?? 'unknown'}`, {
      state: 'nothing was changed',
      hint: `if you know who wrote it: the full id and --force, or its key in encryption.trustedKeys`,
    });
  }
  emit({
    type: 'warning',
    message: `backup ${id} is used although it cannot be trusted (--force): ${reason ?? 'unknown'}`,
  });
}
