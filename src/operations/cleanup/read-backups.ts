/** Every backup as the retention policy sees it: what its manifest, notes and evidence say. */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { allNoteNames, holdOf, readNotes } from '../../repository/backups/notes.ts';
import { TrashRecords } from '../../repository/deletion/trash-records.ts';
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { PolicyBackup, PolicyComponent, PolicyPart } from '../../repository/retention/backups.ts';
import { proofStates } from '../proof/state.ts';

/** A live backup whose seal holds. */
export interface KnownBackup {
  readonly seal: string;
  readonly type: Manifest['type'];
  readonly startedAt: string;
  readonly policy: PolicyBackup;
}

export interface ReadBackups {
  readonly known: readonly KnownBackup[];
  /** In trash; only those that we moved there. */
  readonly trash: readonly PolicyBackup[];
}

/** Throws `key` unless every backup can be checked, in trash too. */
export async function readBackups(repository: Repository, context: RunContext): Promise<ReadBackups> {
  const policyOf = await policyReader(repository, context);
  const known: KnownBackup[] = [];
  for await (const listed of repository.listManifests({ order: 'oldest-first' })) {
    context.signal.throwIfAborted();
    const { manifest, seal, trust, reason = 'unknown' } = listed;
    requireKey(listed);
    if (trust !== 'sealed' || manifest === undefined || seal === undefined) {
      context.emit({ type: 'warning', message: `backup ${listed.id} is left alone: ${reason}` });
      continue;
    }
    const policy = await policyOf(listed, manifest);
    known.push({ seal, type: manifest.type, startedAt: manifest.startedAt, policy });
  }
  return { known, trash: await readTrash(repository, policyOf) };
}

type PolicyReader = (listed: ListedManifest, manifest: Manifest) => Promise<PolicyBackup>;

async function readTrash(repository: Repository, policyOf: PolicyReader): Promise<PolicyBackup[]> {
  const trash: PolicyBackup[] = [];
  const records = await TrashRecords.list(repository);
  for await (const listed of repository.listManifests({ folder: 'trash/' })) {
    requireKey(listed);
    const { trust, manifest } = listed;
    if (trust !== 'sealed' || manifest === undefined || (await records.movedMs(listed)) === undefined) continue;
    trash.push(await policyOf(listed, manifest));
  }
  return trash;
}

async function policyReader(repository: Repository, context: RunContext): Promise<PolicyReader> {
  const proofStateOf = await proofStates(repository);
  const notes = await allNoteNames(repository);
  return async (listed, manifest) => {
    const standing = await proofStateOf(listed);
    const { note, passedOver } = await readNotes(repository, manifest.id, notes.get(manifest.id) ?? []);
    for (const each of passedOver) {
      context.emit({ type: 'warning', message: `${each.object} does not count: ${each.reason}` });
    }
    return {
      id: manifest.id,
      target: manifest.target,
      takenMs: Date.parse(manifest.startedAt),
      previousId: manifest.previous?.id,
      components: manifest.components.map(partOf),
      tags: [...(manifest.tags ?? []), ...(note?.tags ?? [])],
      hold: holdOf(note, Date.now())?.reason,
      unreadableNote: passedOver.some(({ damaged }) => damaged),
      proven: standing?.proven !== undefined,
      failing: standing?.failing === true,
      flawed: flawOf(manifest) !== undefined,
      acknowledged: note?.acknowledged === true,
    };
  };
}

function requireKey({ id, trust, reason }: ListedManifest): void {
  if (trust !== 'unchecked') return;
  throw new LifeboatError('key', `cannot clean up: backup ${id} cannot be checked: ${reason ?? 'no key opens it'}`, {
    state: 'nothing was changed',
    hint: 'a cleanup takes keys that open every data key in use: lifeboat keys list',
  });
}

function partOf({ kind, readBytes }: ManifestComponent): PolicyPart {
  const components: Record<ManifestComponent['kind'], PolicyComponent> = {
    postgres: 'database',
    base: 'database',
    redis: 'redis',
    files: 'files',
  };
  return { kind, component: components[kind], readBytes, items: undefined };
}
