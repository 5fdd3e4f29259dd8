/**
 * The end of archived log is looked into before it counts. Names and stamps alone would tell how far the log reaches,
 * and whoever can write to the repository can put anything under the next segment's name: the log would seem to go on
 * while it has stopped.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { DamagedError } from '../../repository/box/seal.ts';
import { openWalObject, type WalObject } from '../../repository/wal/archive.ts';
import type { LogMemory } from '../../repository/wal/memory.ts';
import type { WalHome } from '../../repository/wal/stored.ts';

export interface JudgedObject {
  readonly object: WalObject;
  /** Why it is not what was stored; undefined: nothing is known against it. */
  readonly problem: string | undefined;
}

/** So many may be forged in a row before the rest is believed; the forged ones are told anyhow. */
const mostForged = 16;

/**
 * The same objects: segments, whole and unfinished, in their order, each with what this host remembers against it; the
 * newest ones, down to the first that is what was stored, are opened.
 */
export async function* withTrueEnd(
  home: WalHome,
  objects: AsyncIterable<WalObject>,
  memory: LogMemory,
): AsyncGenerator<JudgedObject> {
  const heldBack: WalObject[] = [];
  for await (const object of objects) {
    const problem = memory.problemOf(object);
    const { kind } = object.file;
    if (problem !== undefined || (kind !== 'segment' && kind !== 'unfinished')) yield { object, problem };
    else {
      heldBack.push(object);
      const [oldest] = heldBack;
      if (heldBack.length <= mostForged || oldest === undefined) continue;
      heldBack.shift();
      yield { object: oldest, problem: undefined };
    }
  }
  const forged = await forgedAtEnd(home, heldBack);
  for (const object of heldBack) yield { object, problem: forged.get(object) };
}

async function forgedAtEnd(home: WalHome, objects: readonly WalObject[]): Promise<ReadonlyMap<WalObject, string>> {
  const forged = new Map<WalObject, string>();
  for (const object of objects.toReversed()) {
    const problem = await problemOf(home, object);
    if (problem === undefined) break;
    forged.set(object, problem);
  }
  return forged;
}

/** What cannot be looked into (it has just been replaced, its key is not ours) is believed. */
async function problemOf(home: WalHome, { key }: WalObject): Promise<string | undefined> {
  try {
    await openWalObject(home, key, { force: true });
    return undefined;
  } catch (error) {
    if (error instanceof DamagedError) return error.reason;
    if (error instanceof LifeboatError && error.code !== 'storage') return undefined;
    throw error;
  }
}
