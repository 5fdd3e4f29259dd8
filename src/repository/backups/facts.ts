/**
 * Facts: one sealed JSON document beside each backup, with all that would tell of its content. No secret stands in it.
 */
import { parseJson } from '../../lib/json.ts';
import type { Json } from '../../source/source.ts';
import { NotFoundError } from '../../storage/storage.ts';
import { boxKind } from '../box/layout.ts';
import { openBox } from '../box/box.ts';
import { sha256 } from '../box/crypto.ts';
import { openTrue } from '../earlier-versions.ts';
import type { Manifest } from '../manifests/manifest.ts';
import { damaged } from '../box/seal.ts';
import type { Repository } from '../repository.ts';
import { factsKey } from '../object-keys.ts';

/**
 * Reads the facts that a manifest names. Throws LifeboatError `integrity`, or `key` when the data key cannot be opened.
 */
export async function readFacts(repository: Repository, manifest: Manifest): Promise<Json> {
  const object = factsKey(manifest.id);
  const dataKey = await repository.dataKeyOf(manifest);
  const checked = (stored: Buffer): Buffer => {
    if (sha256(stored).toString('hex') !== manifest.factsSha256) {
      throw damaged(object, 'it is not what the manifest says');
    }
    return stored;
  };
  const bytes = await openTrue(repository.storage, object, checked).catch((error: unknown) => {
    throw error instanceof NotFoundError ? damaged(object, 'it is lost', error) : error;
  });
  return parseFacts(await openBox(bytes, boxKind.document, object, dataKey), object);
}

/** Facts out of their box, read as `object`. Throws LifeboatError `integrity` for what is not JSON. */
export function parseFacts(bytes: Buffer, object: string): Json {
  try {
    return parseJson(bytes.toString()) as Json;
  } catch (cause) {
    throw damaged(object, 'it is not JSON', cause);
  }
}
