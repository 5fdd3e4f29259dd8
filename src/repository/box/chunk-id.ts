/** The name of a chunk: a hash of its content, keyed by the data key so that it tells nothing to who has no key. */
import { derive, hmacSha256, sha256, type DataKey } from './crypto.ts';

/** Stands in a directory of kind 3 where a frame has no chunk id. */
export const noChunkId = Buffer.alloc(32);

/** Key that chunk ids of a data key are made with; undefined without encryption. */
export function chunkIdKey(dataKey: DataKey | undefined): Buffer | undefined {
  return dataKey === undefined ? undefined : derive(dataKey.key, '', 'lifeboat/1/chunk-id');
}

/** The id of a plain chunk under `chunkIdKey`'s result. */
export function chunkIdOf(idKey: Buffer | undefined, plain: Uint8Array): Buffer {
  return idKey === undefined ? sha256(plain) : hmacSha256(idKey, plain);
}
