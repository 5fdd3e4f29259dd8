/** Are the packs that a backup names still there, with the size they had? */
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { NotFoundError, type Storage } from '../../storage/storage.ts';
import { packKey } from './index-part.ts';
import type { PackUse } from './usage.ts';

/** From so many packs on, one listing costs less than a look at each. */
const listFrom = 300;
const sideBySide = 16;

/** A pack that is missing or has another size; `what` in words: "is missing". */
export interface LostPack {
  readonly key: string;
  readonly what: string;
}

/** Throws (integrity) naming a pack that is missing or has another size. */
export async function checkReusedPacks(storage: Storage, packs: readonly PackUse[]): Promise<void> {
  const [lost] = await findLostPacks(storage, packs);
  if (lost === undefined) return;
  throw new LifeboatError('integrity', `pack ${lost.key} ${lost.what}`, {
    state: 'no backup was recorded',
    hint: 'run: lifeboat validate --all --quick; then lifeboat backup again, which stores anew what is lost',
  });
}

/** Those that are missing or have another size than the table says. */
export async function findLostPacks(storage: Storage, packs: readonly PackUse[]): Promise<LostPack[]> {
  const expected = new Map(packs.map((pack) => [packKey(pack.packId), pack.objectBytes]));
  const sizes = await (expected.size > listFrom
    ? sizesByListing(storage, expected)
    : sizesOfEach(storage, [...expected.keys()]));
  const lost: LostPack[] = [];
  for (const [key, bytes] of expected) {
    const sizeBytes = sizes.get(key);
    if (sizeBytes === undefined) lost.push({ key, what: 'is missing' });
    else if (sizeBytes !== bytes) lost.push({ key, what: `has ${sizeBytes} bytes, not ${bytes}` });
  }
  return lost;
}

/** Other backups' packs are not remembered: there may be many. */
async function sizesByListing(storage: Storage, wanted: ReadonlyMap<string, number>): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for await (const { key, sizeBytes } of storage.list('packs/')) if (wanted.has(key)) sizes.set(key, sizeBytes);
  return sizes;
}

async function sizesOfEach(storage: Storage, keys: readonly string[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  await forEachSideBySide(keys, sideBySide, async (key) => {
    const sizeBytes = await sizeOf(storage, key);
    if (sizeBytes !== undefined) sizes.set(key, sizeBytes);
  });
  return sizes;
}

async function sizeOf(storage: Storage, key: string): Promise<number | undefined> {
  try {
    return (await storage.stat(key)).sizeBytes;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
