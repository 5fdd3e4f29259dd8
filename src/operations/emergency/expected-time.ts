/**
 * How long a restore will take, from what was measured: this very backup's drill or restore, else another one's of the
 * same target, reckoned by size.
 */
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ComponentName } from '../operation.ts';
import { proofStateOf } from '../proof/state.ts';
import { componentOf } from '../component.ts';

export interface ExpectedTime {
  readonly ms: number;
  /** The backup that was measured. */
  readonly id: string;
  /** When; RFC 3339, UTC. */
  readonly at: string;
  /** How long that took. */
  readonly measuredMs: number;
}

/** So many older backups are looked at. */
const lookedAt = 30;

/** Undefined: nothing of the target was ever measured. */
export async function expectedTime(
  repository: Repository,
  listed: ListedManifest,
  manifest: Manifest,
  components: readonly ComponentName[],
): Promise<ExpectedTime | undefined> {
  const own = await measuredOf(repository, listed);
  const wanted = bytesOf(manifest, components);
  if (own !== undefined) return scaled(own, manifest.id, wanted, bytesOf(manifest));
  let left = lookedAt;
  for await (const other of repository.listManifests()) {
    if (other.manifest?.target !== manifest.target || other.id === manifest.id || other.trust !== 'sealed') continue;
    if (left-- === 0) break;
    const measured = await measuredOf(repository, other);
    const bytes = bytesOf(other.manifest);
    if (measured !== undefined && bytes > 0) return scaled(measured, other.id, wanted, bytes);
  }
  return undefined;
}

async function measuredOf(
  repository: Repository,
  listed: ListedManifest,
): Promise<{ readonly at: string; readonly durationMs: number } | undefined> {
  const standing = await proofStateOf(repository, listed);
  return standing?.restored ?? standing?.proven;
}

function scaled(
  { at, durationMs }: { readonly at: string; readonly durationMs: number },
  id: string,
  wanted: number,
  of: number,
): ExpectedTime {
  return { ms: of === 0 ? durationMs : Math.round((durationMs * wanted) / of), id, at, measuredMs: durationMs };
}

/** Bytes that a restore reads. */
export function bytesOf({ components }: Manifest, only?: readonly ComponentName[]): number {
  return components
    .filter(({ kind }) => only === undefined || only.includes(componentOf(kind)))
    .flatMap(({ artifacts }) => artifacts)
    .reduce((sum, { bytes }) => sum + bytes, 0);
}
