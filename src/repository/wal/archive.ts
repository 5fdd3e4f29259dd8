/**
 * The archive of write-ahead log in a repository: put once and never changed, read back verified, listed by system and
 * timeline.
 */
import type { Storage } from '../../storage/storage.ts';
import { boxKind, headerBytes, tagBytes, trailerBytes } from '../box/layout.ts';
import { openTrue } from '../earlier-versions.ts';
import { encodeList, lengthOfPart, nameOfPart, partBytes, pieceOf, sumOf, sumOfZeros, type WalBody } from './large.ts';
import { needWalName, parseWalKey, timelinePrefix, walKey, type WalName } from './names.ts';
import { putBox, type PutWal, type PutWalOptions } from './put-box.ts';
import { openStored, type OpenedWal, type WalHome } from './stored.ts';

/** One file of write-ahead log in the repository. */
export interface WalObject {
  readonly key: string;
  readonly systemId: string;
  readonly file: WalName;
  readonly sizeBytes: number;
  /** The storage's stamp, milliseconds since 1970. */
  readonly modifiedMs: number;
}

/**
 * Puts one file; durable when it resolves. It was there with the same content: `present`. An empty object is replaced:
 * no put leaves one (they are whole or not there), so it is nobody's log, and with it there every push would fail. A
 * body that is read by pieces is stored in parts; those in `known` (their sums by number) are neither read nor stored,
 * and what was stored of a segment's own is added. Throws LifeboatError `integrity` if any other content has that name
 * already (which stays), and what the storage throws.
 */
export async function putWal(
  home: WalHome,
  systemId: string,
  name: string,
  body: Uint8Array | WalBody,
  options: PutWalOptions,
  known: Map<number, string> = new Map<number, string>(),
): Promise<PutWal> {
  const file = needWalName(name);
  const key = walKey(systemId, file);
  if (body instanceof Uint8Array) return putBox(home, key, body, options);
  const sums: string[] = [];
  let storedBytes = 0;
  for (let n = 0; n * partBytes < body.bytes; n++) {
    const piece = known.has(n) ? undefined : await pieceOf(body, n);
    sums.push(known.get(n) ?? (piece === undefined ? sumOfZeros(lengthOfPart(body.bytes, n)) : sumOf(piece)));
    if (piece === undefined) continue;
    const part = needWalName(nameOfPart(file, body.bytes, n));
    storedBytes += (await putBox(home, walKey(systemId, part), piece, options)).storedBytes;
    if (part.lsn === undefined) known.set(n, sums[n] ?? '');
  }
  const list = await putBox(home, key, encodeList(body.bytes, sums), { ...options, kind: boxKind.parts });
  return { ...list, storedBytes: storedBytes + list.storedBytes };
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
