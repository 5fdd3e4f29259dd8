/**
 * The earlier backups whose chunks a new one may use: for each component the target's newest that has it, sealed under
 * the key we write with.
 */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import { packKey } from '../../repository/packs/index-part.ts';
import type { Manifest, ManifestArtifact } from '../../repository/manifests/manifest.ts';
import { decodePackTable, encodePackTable } from '../../repository/packs/usage.ts';
import type { ParentBackup } from '../../repository/packs/parent-index.ts';
import { findLostPacks } from '../../repository/packs/reused-packs.ts';
import type { Repository } from '../../repository/repository.ts';
import { readTable } from '../../repository/deletion/trash.ts';
import { findVanished, vanishedText } from '../../repository/deletion/vanished.ts';
import type { SeenBackup } from '../../repository/seen-backups.ts';
import { proofStateOf } from '../proof/state.ts';

export interface Ancestry {
  /** The target's newest trusted backup, be it only in this host's memory. */
  readonly previous: { readonly id: string; readonly seal: string } | undefined;
  /** Ids of the backups to deduplicate against. */
  readonly parents: readonly string[];
}

/** `kinds`: of the components that will be stored; `dataKeyId` in hex, undefined without encryption. */
export async function findAncestry(
  repository: Repository,
  target: string,
  kinds: readonly string[],
  dataKeyId: string | undefined,
  emit: EventSink,
): Promise<Ancestry> {
  let previous: ListedManifest | undefined;
  const parents = new Set<string>();
  const wanted = new Set(kinds);
  for await (const listed of repository.listManifests()) {
    const { manifest } = listed;
    if (manifest?.target !== target || listed.trust !== 'sealed') continue;
    previous ??= listed;
    if (manifest.dataKey !== dataKeyId) continue;
    const fits = manifest.components.filter(({ kind }) => wanted.delete(kind));
    // Its packs have their sizes and would be used again, whatever lies in them: what is damaged must be stored anew.
    if (fits.length > 0 && (await proofStateOf(repository, listed))?.failing !== true) parents.add(manifest.id);
    if (wanted.size === 0) break;
  }
  const shown = previous?.manifest;
  const seen = await newestSeen(repository, target, emit);
  // What is gone is named all the same: every reader of the new backup sees then that it is missing.
  const isNewer = seen !== undefined && !(Date.parse(shown?.startedAt ?? '') >= Date.parse(seen.startedAt));
  const named = isNewer ? seen : previous;
  return {
    previous: named?.seal === undefined ? undefined : { id: named.id, seal: named.seal },
    parents: [...parents],
  };
}

/** What this host remembers, and a warning if something of it is gone; nothing about a memory ends a backup. */
async function newestSeen(repository: Repository, target: string, emit: EventSink): Promise<SeenBackup | undefined> {
  const warn = (message: string): void => emit({ type: 'warning', message });
  try {
    if ((await repository.seen.newest(target)) === undefined) return undefined;
  } catch (error) {
    warn(`what this host remembers of earlier backups cannot be read: ${messageOf(error)}`);
    return undefined;
  }
  const [lost, ...others] = await findVanished(repository, target);
  if (lost !== undefined) warn(`${vanishedText(target, lost, others.length)}; run: lifeboat status`);
  return repository.seen.newest(target);
}

/** What the writer needs of them, read anew under our lease: one that has gone meanwhile is no parent. */
export async function readParents(
  repository: Repository,
  parents: readonly string[],
  emit: EventSink,
): Promise<ParentBackup | undefined> {
  const artifacts = new Map<string, ManifestArtifact>();
  const packTables: Buffer[] = [];
  for (const id of parents) {
    try {
      const { manifest, trust } = await repository.readManifest(id);
      if (manifest === undefined || trust !== 'sealed') continue;
      packTables.push(await usablePacks(repository, manifest, emit));
      for (const artifact of manifest.components.flatMap((component) => component.artifacts)) {
        if (!artifacts.has(artifact.name)) artifacts.set(artifact.name, artifact);
      }
    } catch (error) {
      if (!(error instanceof LifeboatError) || !['integrity', 'not_found'].includes(error.code)) throw error;
      emit({
        type: 'warning',
        message:
          `backup ${id} cannot be used to save space (${error.message}); everything is stored anew; run: lifeboat ` +
          `validate ${id}`,
      });
    }
  }
  return packTables.length === 0 ? undefined : { artifacts: [...artifacts.values()], packTables };
}

/**
 * The manifest's table of packs without those that are lost: what they held is stored anew, or every later backup would
 * fail for them.
 */
async function usablePacks(repository: Repository, manifest: Manifest, emit: EventSink): Promise<Buffer> {
  const table = await readTable(repository.storage, manifest);
  const packs = [...decodePackTable(table)];
  const lost = await findLostPacks(repository.storage, packs);
  const [first] = lost;
  if (first === undefined) return table;
  const more = lost.length > 1 ? `, and ${lost.length - 1} more` : '';
  const advice = `what was lost is stored anew; run: lifeboat validate ${manifest.id}`;
  emit({ type: 'warning', message: `backup ${manifest.id} is damaged: ${first.key} ${first.what}${more}; ${advice}` });
  const keys = new Set(lost.map(({ key }) => key));
  return encodePackTable(packs.filter(({ packId }) => !keys.has(packKey(packId))));
}
