/** The table of the gear hash (cut-points.ts), apart from it: a reader thread cuts, but has no keys. */
import { derive, hmacSha256, sha256, type DataKey } from '../box/crypto.ts';

/** The 256 random numbers that the hash adds, keyed so that cut points tell a bucket's reader little. */
export function gearTable(dataKey: DataKey | undefined, repositoryId: string): Uint32Array {
  const seed = dataKey === undefined ? sha256(Buffer.from(repositoryId)) : derive(dataKey.key, '', 'lifeboat/1/gear');
  return Uint32Array.from({ length: 256 }, (_, byte) => hmacSha256(seed, Uint8Array.of(byte)).readUInt32LE(0));
}
