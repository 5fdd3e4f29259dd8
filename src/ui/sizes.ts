/** Sizes and times in tables. */
import { formatBytes } from '../lib/units.ts';
import type { ComponentSizes } from '../operations/component.ts';

/** Read, new, stored: three cells. */
export function sizeCells({ readBytes, newBytes, storedBytes }: ComponentSizes): string[] {
  return [readBytes, newBytes, storedBytes].map(formatBytes);
}

export const sizeHead = ['READ', 'NEW', 'STORED'] as const;

export function sum(parts: readonly ComponentSizes[]): ComponentSizes {
  const total = (key: keyof ComponentSizes): number => parts.reduce((all, part) => all + part[key], 0);
  return { readBytes: total('readBytes'), newBytes: total('newBytes'), storedBytes: total('storedBytes') };
}

/** `2026-01-02 03:04:05Z`: the zone is always shown. */
export function shownTime(time: string): string {
  return new Date(time)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}

/** "1 warning", "3 warnings". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
