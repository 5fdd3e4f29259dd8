/**
 * The archive of write-ahead log in a repository: put by the rule "once written, never changed", read
 * back verified, listed by system and timeline. A push is PUT where GET found nothing, then a GET of the
 * header: a foreign salt means that somebody else wrote at the same moment, and then contents decide.
 */
import type { CompressionConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { AlreadyExistsError, NotFoundError, type Storage } from '../../storage/storage.ts';
import { headerBytes, tagBytes, trailerBytes } from '../box/layout.ts';
import { DamagedError } from '../box/seal.ts';
import type { SealingKey } from '../keys/sealed-records.ts';
import { openTrue } from '../earlier-versions.ts';
import type { Keyring } from '../keys/keyring.ts';
import { openWalBox, saltOf, sealWalBox } from './box.ts';
import { needWalName, parseWalKey, timelinePrefix, walKey, type WalName } from './names.ts';

/** A repository as far as this module needs one. */
export interface WalHome {
  readonly storage: Storage;
  readonly keyring: Keyring | undefined;
}

/** One file of write-ahead log in the repository. */
export interface WalObject {
  readonly key: string;
  readonly systemId: string;
  readonly file: WalName;
  readonly sizeBytes: number;
  /** The storage's stamp, milliseconds since 1970. */
  readonly modifiedMs: number;
}

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

/**
 * Puts one file; durable when it resolves. It was there with the same content: `present`. An empty object is replaced:
 * no put leaves one (they are whole or not there), so it is nobody's log, and with it there every push would fail. Throws LifeboatError `integrity` if any other content has that name already (which stays), and
 * what the storage throws.
 */
export async function putWal(
  home: WalHome,
  systemId: string,
  name: string,
  body: Uint8Array,
  { sealing, compression }: PutWalOptions,
): Promise<PutWal> {
  const key = walKey(systemId, needWalName(name));
  const before = await getIfThere(home.storage, key);
  if (before !== undefined && (before.length > 0 || home.storage.history !== undefined)) {
    const compared = await compareOver(home, key, before, body);
    if (compared !== undefined) return compared;
  }
  const parts = await sealWalBox(key, body, sealing, compression);
  try {
    await home.storage.put(key, parts, before === undefined ? {} : { replace: true });
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
    return compare(home, key, await home.storage.get(key), body);
  }
  const header = await home.storage.get(key, { start: 0, end: headerBytes });
  if (saltOf(header).equals(saltOf(parts[0] ?? header.subarray(0, 0)))) {
    const storedBytes = parts.reduce((sum, { length }) => sum + length, 0);
    return { outcome: before === undefined ? 'stored' : 'replaced', storedBytes };
  }
  return compare(home, key, await home.storage.get(key), body);
}

/** The least that a box of one frame has: header, tag of its directory, trailer. */
const leastBytes = headerBytes + tagBytes + trailerBytes;

/** True for an object that is too short for anything that lifeboat stores, such as an empty one. */
export function isTooShort({ sizeBytes }: Pick<WalObject, 'sizeBytes'>): boolean {
  return sizeBytes < leastBytes;
}

/** One file, verified whole. Throws NotFoundError when it is proven absent, else as openWalBox. */
export async function readWal(
  home: WalHome,
  systemId: string,
  name: string,
  options: { readonly force?: boolean } = {},
): Promise<Buffer> {
  return readWalObject(home, walKey(systemId, needWalName(name)), options);
}

/** The same by key. */
export async function readWalObject(
  home: WalHome,
  key: string,
  options: { readonly force?: boolean } = {},
): Promise<Buffer> {
  return openTrue(home.storage, key, async (stored) => openWalBox(stored, key, home.keyring, options));
}

/** The system identifiers that have something in the archive, a request each. */
export async function listWalSystems(storage: Storage): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | undefined = 'wal/'; after !== undefined;) {
    let next: string | undefined;
    for await (const { key } of storage.list('wal/', after)) {
      const systemId = /^wal\/(\d{1,20})\//.exec(key)?.[1];
      if (systemId === undefined) continue;
      found.push(systemId);
      // Past everything of this system: no name in it sorts after a tilde.
      next = `wal/${systemId}/~`;
      break;
    }
    after = next;
  }
  return found;
}

/**
 * All files of a system, streamed: segments and unfinished ones by timeline and position, then histories and backup
 * labels. With `timeline` only the segments of that one; with `from` (a name) those from that position on.
 */
export async function* listWal(
  storage: Storage,
  systemId: string,
  { timeline, from }: { readonly timeline?: number; readonly from?: string } = {},
): AsyncGenerator<WalObject> {
  const prefix = timeline === undefined ? `wal/${systemId}/` : timelinePrefix(systemId, timeline);
  // Everything of a segment begins with its name: the name itself sorts directly before all of it.
  const after = from === undefined ? undefined : walKey(systemId, needWalName(from)).slice(0, -'.wal'.length);
  for await (const { key, sizeBytes, modifiedMs } of storage.list(prefix, after)) {
    const parsed = parseWalKey(key);
    if (parsed?.systemId === systemId) yield { key, systemId, file: parsed.file, sizeBytes, modifiedMs };
  }
}

/** Of all systems, one after the other. */
export async function* listAllWal(storage: Storage): AsyncGenerator<WalObject> {
  for await (const { key, sizeBytes, modifiedMs } of storage.list('wal/')) {
    const parsed = parseWalKey(key);
    if (parsed !== undefined) yield { key, ...parsed, sizeBytes, modifiedMs };
  }
}

/** The history files of a system, by timeline. */
export async function listHistories(storage: Storage, systemId: string): Promise<WalObject[]> {
  const found: WalObject[] = [];
  for await (const { key, sizeBytes, modifiedMs } of storage.list(`wal/${systemId}/history/`)) {
    const file = parseWalKey(key)?.file;
    if (file?.kind === 'history') found.push({ key, systemId, file, sizeBytes, modifiedMs });
  }
  return found;
}

async function getIfThere(storage: Storage, key: string): Promise<Buffer | undefined> {
  try {
    return await storage.get(key);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** Where versions are kept an empty object may lie over the true one. Undefined: it is empty, and nothing is below. */
async function compareOver(home: WalHome, key: string, before: Buffer, body: Uint8Array): Promise<PutWal | undefined> {
  if (before.length > 0) return compare(home, key, before, body);
  try {
    return compareOpened(key, await readWalObject(home, key), body);
  } catch (error) {
    if (error instanceof DamagedError) return undefined;
    throw error;
  }
}

async function compare(home: WalHome, key: string, stored: Buffer, body: Uint8Array): Promise<PutWal> {
  try {
    // Also trusted, as a restore will want it: what is acknowledged must be of use.
    return compareOpened(key, await openWalBox(stored, key, home.keyring), body);
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
