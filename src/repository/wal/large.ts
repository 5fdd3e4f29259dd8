/**
 * Segments that are too large for one object: parts of 16 MiB, each a box of its own, and then a list of them in the
 * place of the segment (kind 5, which versions that do not know it refuse). The list comes last: without it there is no
 * segment. A part of nothing but zeros is not stored, so that a segment that was switched early costs what was written.
 * Of a segment that is still being written full parts are stored as its own already; only the one that grows lies
 * beside the list, under the unfinished name. Nobody holds more than a part in memory but who asks for the whole.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { faultIn } from '../../config/schema-words.ts';
import { uncompiled } from '../../config/uncompiled.ts';
import { parseJson } from '../../lib/json.ts';
import { isZero } from '../../lib/zeros.ts';
import { boxKind } from '../box/layout.ts';
import { damaged } from '../box/seal.ts';
import { parseWalName, partName, type WalName } from './names.ts';

/** More than this in one piece would not fit into an object that does not shrink. */
export const maxWholeBytes = 32 * 1024 * 1024;
export const partBytes = 16 * 1024 * 1024;
/** PostgreSQL has no larger segments. */
const maxParts = 64;

/** A file that is read by pieces. */
export interface WalBody {
  readonly bytes: number;
  /** Zeros from here on, which nobody need read; default: `bytes`. */
  readonly filledBytes?: number;
  /** Exactly these. */
  read(start: number, end: number): Promise<Buffer>;
}

/** What stands in the place of the segment. */
const listSchema = z.strictObject({
  bytes: z.int().min(1),
  partBytes: z.literal(partBytes),
  /** Of the plain bytes of each part, hex. */
  sha256: z
    .array(z.string().regex(/^[0-9a-f]{64}$/))
    .min(2)
    .max(maxParts),
});

/** The parts of one segment, in their order. */
export type PartList = Readonly<z.infer<typeof listSchema>>;

/** How long part `n` of a file is. */
export function lengthOfPart(bytes: number, n: number): number {
  return Math.min(partBytes, bytes - n * partBytes);
}

/** The piece that is part `n`; undefined: nothing but zeros. */
export async function pieceOf(body: WalBody, n: number): Promise<Buffer | undefined> {
  const start = n * partBytes;
  if (start >= (body.filledBytes ?? body.bytes)) return undefined;
  const piece = await body.read(start, start + lengthOfPart(body.bytes, n));
  return isZero(piece) ? undefined : piece;
}

/**
 * The name of part `n` of a file of log. What is full of an unfinished segment of `bytes` is the finished one's part
 * already: log that was written does not change any more.
 */
export function nameOfPart(file: WalName, bytes: number, n: number): string {
  if (file.kind !== 'unfinished' || file.lsn === undefined) return partName(file.name, n);
  const filled = file.lsn % BigInt(bytes);
  return partName(BigInt((n + 1) * partBytes) <= filled ? (file.segment ?? file.name) : file.name, n);
}

/** The part that grows of an unfinished segment of `bytes`; undefined: it ends with a full one. */
export function ownPart(file: WalName, bytes: number): string | undefined {
  const filled = file.lsn === undefined ? 0 : Number(file.lsn % BigInt(bytes));
  return filled % partBytes === 0 ? undefined : nameOfPart(file, bytes, Math.floor(filled / partBytes));
}

/** True for a part that only its unfinished segment names. */
export function isOwnPart(part: string): boolean {
  return parseWalName(part)?.lsn !== undefined;
}

export function sumOf(piece: Uint8Array): string {
  return createHash('sha256').update(piece).digest('hex');
}

const sumsOfZeros = new Map<number, string>();

/** What a list says of a part of so many zeros. */
export function sumOfZeros(length: number): string {
  const sum = sumsOfZeros.get(length) ?? sumOf(Buffer.alloc(length));
  sumsOfZeros.set(length, sum);
  return sum;
}

export function encodeList(bytes: number, sha256: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify({ bytes, partBytes, sha256 }));
}

/** Reads the content of a box of kind 5. Throws DamagedError naming `key`. */
export function parseList(content: Buffer, key: string): PartList {
  let value: unknown;
  try {
    value = parseJson(content.toString());
  } catch (cause) {
    throw damaged(key, 'its list of parts is not JSON', cause);
  }
  const parsed = listSchema.safeParse(value, uncompiled);
  if (!parsed.success) throw damaged(key, `it does not list parts: ${faultIn(parsed.error)}`);
  const { bytes, sha256 } = parsed.data;
  if (Math.ceil(bytes / partBytes) !== sha256.length) throw damaged(key, 'its list of parts does not add up');
  return parsed.data;
}

/** Of a stored object as it is: does it only list parts? */
export function isPartList(stored: Buffer): boolean {
  return stored.length > 5 && stored.toString('latin1', 0, 4) === 'LFBT' && stored[5] === boxKind.parts;
}
