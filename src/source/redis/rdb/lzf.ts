/** The decompressor for strings that Redis stored with LZF: runs of literals and references back. */
import { LifeboatError } from '../../../lib/errors.ts';

/** Gives exactly `plainLength` bytes, or throws (integrity). */
export function lzfDecompress(packed: Uint8Array, plainLength: number): Buffer {
  const out = Buffer.allocUnsafe(plainLength);
  let from = 0;
  let to = 0;
  while (from < packed.length) {
    const control = packed[from++] as number;
    if (control < 32) {
      const end = from + control + 1;
      if (end > packed.length || to + control + 1 > plainLength) throw damaged();
      while (from < end) out[to++] = packed[from++] as number;
      continue;
    }
    let length = control >> 5;
    if (length === 7) length += packed[from++] ?? 0;
    let back = to - ((control & 31) << 8) - (packed[from++] ?? plainLength) - 1;
    if (back < 0 || from > packed.length || to + length + 2 > plainLength) throw damaged();
    // Byte by byte: the reference may overlap what it writes.
    for (let n = length + 2; n > 0; n--) out[to++] = out[back++] as number;
  }
  if (to !== plainLength) throw damaged();
  return out;
}

function damaged(): LifeboatError {
  return new LifeboatError('integrity', 'cannot read the Redis snapshot: a compressed string is damaged');
}
