/**
 * The archive of write-ahead log in a repository: put by the rule "once written, never changed", read
 * back verified, listed by system and timeline. A push is PUT where GET found nothing, then a GET of the
 * header: a foreign salt means that somebody else wrote at the same moment, and then contents decide.
 */
import type { CompressionConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { AlreadyExistsError, NotFoundError, type Storage } from '../../storage/storage.ts';
import { boxKind, headerBytes, tagBytes, trailerBytes } from '../box/layout.ts';
import { damaged, DamagedError } from '../box/seal.ts';
import type { SealingKey } from '../keys/sealed-records.ts';
import { openTrue } from '../earlier-versions.ts';
import type { Keyring } from '../keys/keyring.ts';
import { openWalBox, saltOf, sealWalBox } from './box.ts';
import { encodeList, isPartList, parseList, piecesOf, sumOf, type PartList, type WalBody } from './large.ts';
import { needWalName, parseWalKey, partName, timelinePrefix, walKey, type WalName } from './names.ts';

/** A repository as far as this module needs one. */
export interface WalHome {
  readonly storage: Storage;
  readonly keyring: Keyring | undefined;
}

type BoxOfLog = typeof boxKind.wal | typeof boxKind.parts;

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
 * no put leaves one (they are whole or not there), so it is nobody's log, and with it there every push would fail. A
 * body that is read by pieces is stored in parts. Throws LifeboatError `integrity` if any other content has that name
 * already (which stays), and what the storage throws.
 */
export async function putWal(
  home: WalHome,
  systemId: string,
  name: string,
  body: Uint8Array | WalBody,
  options: PutWalOptions,
): Promise<PutWal> {
  const key = walKey(systemId, needWalName(name));
  if (body instanceof Uint8Array) return putBox(home, key, body, options);
  const sums: string[] = [];
  let storedBytes = 0;
  for await (const { n, piece } of piecesOf(body)) {
    sums.push(sumOf(piece));
    const part = await putBox(home, walKey(systemId, needWalName(partName(name, n))), piece, options);
    storedBytes += part.storedBytes;
  }
  const list = await putBox(home, key, encodeList(body.bytes, sums), { ...options, kind: boxKind.parts });
  return { ...list, storedBytes: storedBytes + list.storedBytes };
}

async function putBox(
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
  return openTrue(home.storage, key, async (stored) => {
    const { bytes, pieces } = await openStored(home, key, stored, options);
    const whole = Buffer.allocUnsafeSlow(bytes);
    let at = 0;
    for await (const piece of pieces()) at += piece.copy(whole, at);
    return whole;
  });
}

/** A file by pieces, of which only one need be held. */
export interface OpenedWal {
  readonly bytes: number;
  /** Keys of its parts; empty where it is one object. */
  readonly parts: readonly string[];
  /** Verified; throws as openWalBox. */
  readonly pieces: () => AsyncGenerator<Buffer>;
}

/** Throws NotFoundError when it is proven absent, else as openWalBox. */
export async function openWal(
  home: WalHome,
  systemId: string,
  name: string,
  options: { readonly force?: boolean } = {},
): Promise<OpenedWal> {
  return openWalObject(home, walKey(systemId, needWalName(name)), options);
}

/** The same by key. */
export async function openWalObject(
  home: WalHome,
  key: string,
  options: { readonly force?: boolean } = {},
): Promise<OpenedWal> {
  return openTrue(home.storage, key, async (stored) => openStored(home, key, stored, options));
}

async function openStored(
  home: WalHome,
  key: string,
  stored: Buffer,
  options: { readonly force?: boolean },
): Promise<OpenedWal> {
  if (!isPartList(stored)) {
    const content = await openWalBox(stored, key, home.keyring, options);
    return { bytes: content.length, parts: [], pieces: () => one(content) };
  }
  const list = parseList(await openWalBox(stored, key, home.keyring, { ...options, kind: boxKind.parts }), key);
  const parts = list.sha256.map((_, n) => `${partName(key.slice(0, -'.wal'.length), n)}.wal`);
  return { bytes: list.bytes, parts, pieces: () => piecesOfParts(home, { key, list, parts }, options) };
}

async function* one(content: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(content);
}

interface Listed {
  readonly key: string;
  readonly list: PartList;
  readonly parts: readonly string[];
}

async function* piecesOfParts(
  home: WalHome,
  { key, parts, list: { bytes, partBytes, sha256 } }: Listed,
  options: { readonly force?: boolean },
): AsyncGenerator<Buffer> {
  for (const [n, part] of parts.entries()) {
    const length = Math.min(partBytes, bytes - n * partBytes);
    const open = async (stored: Buffer): Promise<Buffer> => {
      const content = await openWalBox(stored, part, home.keyring, options);
      if (content.length === length && sumOf(content) === sha256[n]) return content;
      throw damaged(part, `it is not the part that ${key} names`);
    };
    yield await openTrue(home.storage, part, open).catch((error: unknown) => {
      throw error instanceof NotFoundError ? damaged(key, `its part ${part} is missing`, error) : error;
    });
  }
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
 * labels. With `timeline` only the segments of that one; with `from` (a name) those from that position on;
 * `withParts`: the parts of large ones too, each before its segment.
 */
export async function* listWal(
  storage: Storage,
  systemId: string,
  {
    timeline,
    from,
    withParts = false,
  }: { readonly timeline?: number; readonly from?: string; readonly withParts?: boolean } = {},
): AsyncGenerator<WalObject> {
  const prefix = timeline === undefined ? `wal/${systemId}/` : timelinePrefix(systemId, timeline);
  // Everything of a segment begins with its name: the name itself sorts directly before all of it.
  const after = from === undefined ? undefined : walKey(systemId, needWalName(from)).slice(0, -'.wal'.length);
  for await (const { key, sizeBytes, modifiedMs } of storage.list(prefix, after)) {
    const parsed = parseWalKey(key);
    if (parsed?.systemId !== systemId || (parsed.file.kind === 'part' && !withParts)) continue;
    yield { key, systemId, file: parsed.file, sizeBytes, modifiedMs };
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
