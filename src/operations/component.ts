/** Backups and their components in the few words that lists and results show. */
import type { ListedManifest } from '../repository/manifests/listing.ts';
import type { Manifest } from '../repository/manifests/manifest.ts';
import type { Note } from '../repository/backups/notes.ts';
import type { Json, SourceKind } from '../source/source.ts';
import { formatBytes } from '../lib/units.ts';
import type { ComponentSizes } from './backup/request.ts';
import type { BackupSummary, Trust } from './list/request.ts';
import type { ComponentName } from './operation.ts';
import type { ProofState } from './proof/state.ts';

/** The name that operators know a component by. */
export function componentOf(kind: SourceKind): ComponentName {
  return kind === 'postgres' ? 'database' : kind;
}

export function kindOf(component: ComponentName): SourceKind {
  return component === 'database' ? 'postgres' : component;
}

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
    ...sumSizes(manifest.components),
    hold: note?.hold,
    standing,
  };
}

function trustOf({ trust, signedBy }: ListedManifest): Trust {
  if (trust === 'sealed') return 'authentic';
  if (trust === 'untrusted') return signedBy === undefined ? 'unsigned' : 'untrusted';
  return 'unchecked';
}

export function sumSizes(parts: readonly ComponentSizes[]): ComponentSizes {
  const sum = (pick: (part: ComponentSizes) => number): number => parts.reduce((total, part) => total + pick(part), 0);
  return {
    readBytes: sum((part) => part.readBytes),
    newBytes: sum((part) => part.newBytes),
    storedBytes: sum((part) => part.storedBytes),
  };
}

/** "3 databases, 120 tables": from facts of the shape that each source gives them. */
export function summaryOf(kind: SourceKind, facts: Json): string {
  const record = facts as Readonly<Record<string, unknown>>;
  if (kind === 'postgres') {
    const databases = record['databases'] as readonly { tables: readonly unknown[] }[];
    return `${count(databases.length, 'database')}, ${count(
      databases.reduce((sum, { tables }) => sum + tables.length, 0),
      'table',
    )}`;
  }
  if (kind === 'base') {
    return `timeline ${String(record['timeline'])}, WAL ${String(record['startLsn'])} to ${String(record['stopLsn'])}`;
  }
  if (kind === 'redis') return count(record['keys'] as number, 'key');
  if (kind === 'files') {
    return `${count(record['files'] as number, 'file')}, ${formatBytes(record['contentBytes'] as number)}`;
  }
  return '';
}

/** "1 table", "2,000 tables". */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;
}
