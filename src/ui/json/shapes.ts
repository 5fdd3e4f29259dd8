/** What the documents that --json prints are made of: times are RFC 3339 in UTC, sizes bytes. See documents.ts. */
import { z } from 'zod';

export const time = z.iso.datetime();
export const size = z.int().nonnegative();
export const text = z.string();
export const texts = z.array(text);
export const counts = z.record(text, z.int());
export const durationMs = z.number().nonnegative();
export const component = z.enum(['database', 'redis', 'files', 'base']);
export const backupType = z.enum(['full', ...component.options]);

/** How much a backup, or a component of one, is. */
export const sizes = {
  readBytes: size.describe('bytes read from the source'),
  newBytes: size.describe('plain bytes that were not in the repository before'),
  storedBytes: size.describe('what they took there'),
};

/** A part of the work and what it took. */
export const step = z.strictObject({ name: text, durationMs });

/** The document of a command: its name and version, and `shape`. */
export function document<S extends z.core.$ZodLooseShape>(command: string, shape: S) {
  return z.strictObject({ schema: z.literal(`lifeboat.${command}/v1`), ...shape });
}
