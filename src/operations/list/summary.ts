/** A backup in the one line that lists show of it. */
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import { holdOf, type Note } from '../../repository/backups/notes.ts';
import type { BackupSummary, Trust } from './request.ts';
import type { ProofState } from '../proof/state.ts';
import { sumSizes } from '../component.ts';

/** One line about a manifest that could be read; `note`: what was said of it since. */
export function backupSummary(
  listed: ListedManifest,
  manifest: Manifest,
  { note, standing }: { readonly note?: Note | undefined; readonly standing?: ProofState | undefined } = {},
): BackupSummary {
  return {
    id: manifest.id,
    target: manifest.target,
    type: manifest.type,
    label: manifest.label,
    tags: [...new Set([...(manifest.tags ?? []), ...(note?.tags ?? [])])],
    host: manifest.host,
    startedAt: manifest.startedAt,
    finishedAt: manifest.finishedAt,
    components: manifest.components.map(({ name }) => name),
    encrypted: manifest.dataKey !== undefined,
    trust: trustOf(listed),
    warnings: manifest.warnings,
    flaw: flawOf(manifest),
    ...sumSizes(manifest.components),
    hold: holdOf(note, Date.now()),
    standing,
  };
}

function trustOf({ trust, signedBy }: ListedManifest): Trust {
  if (trust === 'sealed') return 'authentic';
  if (trust === 'untrusted') return signedBy === undefined ? 'unsigned' : 'untrusted';
  return 'unchecked';
}
