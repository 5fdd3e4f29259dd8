/**
 * What this host remembers of looking into archived log: which part of it comes next, and which objects were found not
 * to be what was stored. `wal status`, `status` and doctor tell of those without reading them again.
 */
import { z } from 'zod';
import type { Share } from '../../lib/rotation.ts';
import type { RepositoryState } from '../host-state.ts';
import { undefinedWhereDamaged } from '../state-file.ts';
import { isTooShort, type WalObject } from './archive.ts';

const damagedSchema = z.object({
  object: z.string(),
  problem: z.string(),
  sizeBytes: z.number(),
  modifiedMs: z.number(),
});
const memorySchema = z.object({
  /** Parts are counted from 1; the next one to be read. */
  next: z.object({ part: z.int().min(1), parts: z.int().min(1) }).optional(),
  damaged: z.array(damagedSchema),
});

/** An object that was looked into, as it was listed; `problem`: what is wrong with it. */
export type SeenDamage = Readonly<z.infer<typeof damagedSchema>>;

/** So many are remembered: with more the archive as a whole is to be looked at. */
const maxRemembered = 1000;

export class LogMemory {
  readonly #damaged: ReadonlyMap<string, SeenDamage>;
  readonly next: Share | undefined;

  constructor({ next, damaged }: z.infer<typeof memorySchema>) {
    this.next = next;
    this.#damaged = new Map(damaged.map((each) => [each.object, each]));
  }

  get damaged(): readonly SeenDamage[] {
    return [...this.#damaged.values()];
  }

  /** What is known to be wrong with an object without reading it: one that was written anew since is another one. */
  problemOf({ key, sizeBytes, modifiedMs }: Pick<WalObject, 'key' | 'sizeBytes' | 'modifiedMs'>): string | undefined {
    if (isTooShort({ sizeBytes })) return tooShort(sizeBytes);
    const known = this.#damaged.get(key);
    return known?.sizeBytes === sizeBytes && known.modifiedMs === modifiedMs ? known.problem : undefined;
  }
}

/** What is wrong with an object of that size. */
export function tooShort(sizeBytes: number): string {
  return sizeBytes === 0 ? 'it is empty' : `it has ${sizeBytes} bytes, which is less than any sealed box has`;
}

/** Nothing where nothing is remembered, or that file is damaged: reading the log anew makes it again. */
export async function readLogMemory(state: RepositoryState): Promise<LogMemory> {
  const kept = await state.readOwn(memoryFile, memorySchema).catch(undefinedWhereDamaged);
  return new LogMemory(kept ?? { damaged: [] });
}

/** Takes the place of what was remembered of the objects that were `read`. */
export async function rememberLog(
  state: RepositoryState,
  {
    read,
    damaged,
    next,
  }: { readonly read: ReadonlySet<string>; readonly damaged: readonly SeenDamage[] } & {
    readonly next?: Share | undefined;
  },
): Promise<void> {
  const before = await readLogMemory(state);
  const kept = before.damaged.filter(({ object }) => !read.has(object));
  const all = [...damaged, ...kept].slice(0, maxRemembered);
  await state.writeOwn(memoryFile, { next: next ?? before.next, damaged: all });
}

const memoryFile = 'log-check.json';
