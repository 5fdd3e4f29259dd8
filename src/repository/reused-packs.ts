/** Are the packs that a backup names still there, with the size they had? */
import { LifeboatError } from '../lib/errors.ts';
import { NotFoundError, type Storage } from '../storage/storage.ts';
import { packKey } from './index-part.ts';
import type { PackUse } from './pack-usage.ts';

/** From so many packs on, one listing costs less than a look at each. */
const listFrom = 300;
const sideBySide = 16;

/** Throws (integrity) naming the first pack that is missing or has another size. */
export async function checkReusedPacks(storage: Storage, packs: readonly PackUse[]): Promise<void> {
  const expected = new Map(packs.map((pack) => [packKey(pack.packId), pack.objectBytes]));
  await (expected.size > listFrom ? checkByListing(storage, expected) : checkEach(storage, expected));
}

async function checkByListing(storage: Storage, expected: Map<string, number>): Promise<void> {
  for await (const { key, sizeBytes } of storage.list('packs/')) {
    const bytes = expected.get(key);
    if (bytes === undefined) continue;
    if (bytes !== sizeBytes) throw wrong(key, `has ${sizeBytes} bytes, not ${bytes}`);
    expected.delete(key);
  }
  for (const key of expected.keys()) throw wrong(key, 'is missing');
}

async function checkEach(storage: Storage, expected: Map<string, number>): Promise<void> {
  const queue = expected.entries();
  const worker = async (): Promise<void> => {
    for (const [key, bytes] of queue) {
      const sizeBytes = await sizeOf(storage, key);
      if (sizeBytes === undefined) throw wrong(key, 'is missing');
      if (sizeBytes !== bytes) throw wrong(key, `has ${sizeBytes} bytes, not ${bytes}`);
    }
  };
  await Promise.all(Array.from({ length: sideBySide }, worker));
}

async function sizeOf(storage: Storage, key: string): Promise<number | undefined> {
  try {
    return (await storage.stat(key)).sizeBytes;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

function wrong(key: string, what: string): LifeboatError {
  return new LifeboatError('integrity', `pack ${key} ${what}`, { state: 'no backup was recorded', hint: 'run: lifeboat validate --all --quick; then lifeboat backup again, which stores anew what is lost' });
}
