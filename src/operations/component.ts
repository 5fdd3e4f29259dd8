/** A component of a backup: its name for operators, its sizes, its content in a few words. */
import type { Json, SourceKind } from '../source/source.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { ComponentName } from './operation.ts';

/** The name that operators know a component by. */
export function componentOf(kind: SourceKind): ComponentName {
  return kind === 'postgres' ? 'database' : kind;
}

export function kindOf(component: ComponentName): SourceKind {
  return component === 'database' ? 'postgres' : component;
}

/** "3 databases, 120 tables": from facts of the shape that each source gives them. */
export function summaryOf(kind: SourceKind, facts: Json): string {
  const record = facts as Readonly<Record<string, unknown>>;
  if (kind === 'postgres') {
    const databases = record['databases'] as readonly { tables: readonly unknown[] }[];
    return `${counted(databases.length, 'database')}, ${counted(
      databases.reduce((sum, { tables }) => sum + tables.length, 0),
      'table',
    )}`;
  }
  if (kind === 'base') {
    return `timeline ${String(record['timeline'])}, WAL ${String(record['startLsn'])} to ${String(record['stopLsn'])}`;
  }
  if (kind === 'redis') return counted(record['keys'] as number, 'key');
  if (kind === 'files') {
    return `${counted(record['files'] as number, 'file')}, ${formatBytes(record['contentBytes'] as number)}`;
  }
  return '';
}

export interface ComponentSizes {
  readonly readBytes: number;
  /** Plain bytes that were not in the repository before. */
  readonly newBytes: number;
  /** What they took there. */
  readonly storedBytes: number;
}

/** All of them together. */
export function sumSizes(parts: readonly ComponentSizes[]): ComponentSizes {
  const sum = (pick: (part: ComponentSizes) => number): number => parts.reduce((total, part) => total + pick(part), 0);
  return {
    readBytes: sum((part) => part.readBytes),
    newBytes: sum((part) => part.newBytes),
    storedBytes: sum((part) => part.storedBytes),
  };
}
