/**
 * A stored file of write-ahead log, opened: one box, or the list of its parts, which are read one after the other.
 */
import { NotFoundError, type Storage } from '../../storage/storage.ts';
import { boxKind } from '../box/layout.ts';
import { damaged } from '../box/seal.ts';
import { openTrue } from '../earlier-versions.ts';
import type { Keyring } from '../keys/keyring.ts';
import { openWalBox } from './box.ts';
import { isPartList, parseList, sumOf, type PartList } from './large.ts';
import { partName } from './names.ts';

/** A repository as far as single objects of log need one. */
export interface WalHome {
  readonly storage: Storage;
  /** Undefined without encryption. */
  readonly keyring: Keyring | undefined;
}

/** A file by pieces, of which only one need be held. */
export interface OpenedWal {
  readonly bytes: number;
  /** Keys of its parts; empty where it is one object. */
  readonly parts: readonly string[];
  /** Verified; throws as openWalBox. */
  readonly pieces: () => AsyncGenerator<Buffer>;
}

/** `stored`: the object at `key`. Throws as openWalBox. */
export async function openStored(
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
