/**
 * Puts one box of write-ahead log by the rule "once written, never changed": PUT where GET found nothing, then a GET of
 * the header. A foreign salt means that somebody else wrote at the same moment, and then contents decide.
 */
import type { CompressionConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { AlreadyExistsError, NotFoundError, type Storage } from '../../storage/storage.ts';
import { boxKind, headerBytes } from '../box/layout.ts';
import { DamagedError } from '../box/seal.ts';
import type { SealingKey } from '../keys/sealed-records.ts';
import { openTrue } from '../earlier-versions.ts';
import { openWalBox, saltOf, sealWalBox } from './box.ts';
import type { WalHome } from './stored.ts';

type BoxOfLog = typeof boxKind.wal | typeof boxKind.parts;

export interface PutWalOptions {
  readonly sealing: SealingKey;
  readonly compression: CompressionConfig;
}

export interface PutWal {
  /** `replaced`: an empty object was in its place. */
  readonly outcome: 'stored' | 'present' | 'replaced';
  /** What the object takes in the storage; 0 where it was there. */
  readonly storedBytes: number;
}

/** Throws as putWal does. */
export async function putBox(
  home: WalHome,
  key: string,
  body: Uint8Array,
  { sealing, compression, kind = boxKind.wal }: PutWalOptions & { readonly kind?: BoxOfLog },
): Promise<PutWal> {
  const before = await getIfThere(home.storage, key);
  if (before !== undefined && (before.length > 0 || home.storage.history !== undefined)) {
    const compared = await compareOver(home, { key, kind }, before, body);
    if (compared !== undefined) return compared;
  }
  const parts = await sealWalBox(key, body, sealing, compression, kind);
  try {
    await home.storage.put(key, parts, before === undefined ? {} : { replace: true });
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
    return compare(home, { key, kind }, await home.storage.get(key), body);
  }
  const header = await home.storage.get(key, { start: 0, end: headerBytes });
  if (saltOf(header).equals(saltOf(parts[0] ?? header.subarray(0, 0)))) {
    const storedBytes = parts.reduce((sum, { length }) => sum + length, 0);
    return { outcome: before === undefined ? 'stored' : 'replaced', storedBytes };
  }
  return compare(home, { key, kind }, await home.storage.get(key), body);
}

async function getIfThere(storage: Storage, key: string): Promise<Buffer | undefined> {
  try {
    return await storage.get(key);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

interface StoredBox {
  readonly key: string;
  readonly kind: BoxOfLog;
}

/** Where versions are kept an empty object may lie over the true one. Undefined: it is empty, and nothing is below. */
async function compareOver(
  home: WalHome,
  box: StoredBox,
  before: Buffer,
  body: Uint8Array,
): Promise<PutWal | undefined> {
  if (before.length > 0) return compare(home, box, before, body);
  const { key, kind } = box;
  try {
    return await openTrue(home.storage, key, async (stored) =>
      compareOpened(key, await openWalBox(stored, key, home.keyring, { kind }), body),
    );
  } catch (error) {
    if (error instanceof DamagedError) return undefined;
    throw error;
  }
}

async function compare(home: WalHome, { key, kind }: StoredBox, stored: Buffer, body: Uint8Array): Promise<PutWal> {
  try {
    // Also trusted, as a restore will want it: what is acknowledged must be of use.
    return compareOpened(key, await openWalBox(stored, key, home.keyring, { kind }), body);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    throw new LifeboatError('integrity', error.message, {
      cause: error,
      state: 'what is stored stays as it is; this file was not archived, and the server keeps it',
      hint:
        `move ${key} out of the repository by the means of its storage (it may be what another server wrote, so ` +
        'lifeboat does not overwrite it); the next attempt of the server stores it anew',
    });
  }
}

function compareOpened(key: string, opened: Buffer, body: Uint8Array): PutWal {
  if (opened.equals(body)) return { outcome: 'present', storedBytes: 0 };
  throw new LifeboatError('integrity', `${key} is in the repository already, with another content`, {
    state: 'what is stored stays as it is; this file was not archived',
    hint:
      'two servers write to one archive: a clone that still has its archive_command, or a server put back to an ' +
      'older state; give one of them archive_mode=off or another repository',
  });
}
