/**
 * A stored file of write-ahead log, opened: one box, or the list of its parts, which are read one after the other.
 */
import { NotFoundError, type Storage } from '../../storage/storage.ts';
import { boxKind } from '../box/layout.ts';
import { damaged } from '../box/seal.ts';
import { openTrue } from '../earlier-versions.ts';
import type { Keyring } from '../keys/keyring.ts';
import { openWalBox } from './box.ts';
import { isOwnPart, isPartList, lengthOfPart, nameOfPart, parseList, sumOf, sumOfZeros } from './large.ts';
import { needWalName, parseWalKey, walKey } from './names.ts';

/** A repository as far as single objects of log need one. */
export interface WalHome {
  readonly storage: Storage;
  /** Undefined without encryption. */
  readonly keyring: Keyring | undefined;
}

/** A file by pieces, of which only one need be held. */
export interface OpenedWal {
  readonly bytes: number;
  /** Keys of its parts, but for those of zeros; empty where it is one object. */
  readonly parts: readonly string[];
  /** Verified; throws as openWalBox. */
  readonly pieces: () => AsyncGenerator<Buffer>;
}

type Options = { readonly force?: boolean };

/** `stored`: the object at `key`. Throws as openWalBox. */
export async function openStored(home: WalHome, key: string, stored: Buffer, options: Options): Promise<OpenedWal> {
  if (!isPartList(stored)) {
    const content = await openWalBox(stored, key, home.keyring, options);
    return { bytes: content.length, parts: [], pieces: () => one(content) };
  }
  const content = await openWalBox(stored, key, home.keyring, { ...options, kind: boxKind.parts });
  const { bytes, parts } = partsIn(content, key);
  // It goes when a longer one is stored, so it is taken at once, and what it lacks is absent, not damaged.
  const own = parts.find(({ isOwn }) => isOwn);
  const early = own?.key === undefined ? undefined : await openTrue(home.storage, own.key, opener(home, own, options));
  return {
    bytes,
    parts: parts.flatMap((part) => part.key ?? []),
    pieces: () => piecesOfParts(home, { key, parts, early }, options),
  };
}

async function* one(content: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(content);
}

interface Part {
  /** Undefined: nothing but zeros, which are not stored. */
  readonly key: string | undefined;
  /** Only this unfinished segment names it. */
  readonly isOwn: boolean;
  readonly length: number;
  readonly sha256: string;
  /** Who names it. */
  readonly list: string;
}

/** What a list says. Throws DamagedError. */
function partsIn(content: Buffer, key: string): { readonly bytes: number; readonly parts: readonly Part[] } {
  const { bytes, sha256: sums } = parseList(content, key);
  const { systemId, file } = parseWalKey(key) ?? {};
  if (systemId === undefined || file === undefined) throw damaged(key, 'its name is not that of a file of log');
  const parts = sums.map((sha256, n): Part => {
    const [length, name] = [lengthOfPart(bytes, n), needWalName(nameOfPart(file, bytes, n))];
    const isZero = sha256 === sumOfZeros(length);
    const isOwn = !isZero && isOwnPart(name.name);
    return { key: isZero ? undefined : walKey(systemId, name), isOwn, length, sha256, list: key };
  });
  return { bytes, parts };
}

interface Listed {
  readonly key: string;
  readonly parts: readonly Part[];
  /** What was read of the part that may go. */
  readonly early: Buffer | undefined;
}

async function* piecesOfParts(home: WalHome, { key, parts, early }: Listed, options: Options): AsyncGenerator<Buffer> {
  for (const part of parts) {
    if (part.key === undefined) yield Buffer.alloc(part.length);
    else if (part.isOwn && early !== undefined) yield early;
    else {
      yield await openTrue(home.storage, part.key, opener(home, part, options)).catch((error: unknown) => {
        throw error instanceof NotFoundError ? damaged(key, `its part ${part.key} is missing`, error) : error;
      });
    }
  }
}

function opener(
  home: WalHome,
  { key = '', length, sha256, list }: Part,
  options: Options,
): (stored: Buffer) => Promise<Buffer> {
  return async (stored) => {
    const content = await openWalBox(stored, key, home.keyring, options);
    if (content.length === length && sumOf(content) === sha256) return content;
    throw damaged(key, `it is not the part that ${list} names`);
  };
}
