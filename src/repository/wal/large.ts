/**
 * Segments that are too large for one object: parts of 16 MiB, each a box of its own, and then a list of them in the
 * place of the segment (kind 5, which versions that do not know it refuse). The list comes last: without it there is no
 * segment. Nobody holds more than a part in memory but who asks for the whole.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { faultIn } from '../../config/schema-words.ts';
import { uncompiled } from '../../config/uncompiled.ts';
import { parseJson } from '../../lib/json.ts';
import { boxKind } from '../box/layout.ts';
import { damaged } from '../box/seal.ts';

/** More than this in one piece would not fit into an object that does not shrink. */
export const maxWholeBytes = 32 * 1024 * 1024;
export const partBytes = 16 * 1024 * 1024;
/** PostgreSQL has no larger segments. */
const maxParts = 64;

/** A file that is read by pieces. */
export interface WalBody {
  readonly bytes: number;
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

/** Pieces of the body with their place, one after the other. */
export async function* piecesOf(body: WalBody): AsyncGenerator<{ readonly n: number; readonly piece: Buffer }> {
  for (let n = 0; n * partBytes < body.bytes; n++) {
    yield { n, piece: await body.read(n * partBytes, Math.min(body.bytes, (n + 1) * partBytes)) };
  }
}

export function sumOf(piece: Uint8Array): string {
  return createHash('sha256').update(piece).digest('hex');
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
