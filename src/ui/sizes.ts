/** Sizes and times in tables. */
import { formatBytes } from '../lib/units.ts';
import type { ComponentSizes } from '../operations/component.ts';

/** Read, new, stored: three cells. */
export function sizeCells({ readBytes, newBytes, storedBytes }: ComponentSizes): string[] {
  return [readBytes, newBytes, storedBytes].map(formatBytes);
}

export const sizeHead = ['READ', 'NEW', 'STORED'] as const;

/** `2026-01-02 03:04:05Z`: the zone is always shown. */
export function shownTime(time: string): string {
  return new Date(time)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}
