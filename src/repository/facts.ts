/** Facts: one sealed JSON document beside each backup, with all that would tell of its content. No secret stands in it. */
import type { Json } from '../source/source.ts';
import { boxKind, openBox, sealBox } from './box.ts';
import { sha256, type DataKey } from './crypto.ts';
import { factsKey, type Manifest } from './manifest.ts';
import { damaged } from './seal.ts';
import type { Repository } from './repository.ts';

/** Stores the facts of a backup; returns the SHA-256 of the stored object (hex), for the manifest. */
export async function writeFacts(repository: Repository, backupId: string, facts: Json, dataKey: DataKey | undefined): Promise<string> {
  const object = factsKey(backupId);
  const parts = await sealBox(boxKind.document, object, dataKey, Buffer.from(JSON.stringify(facts)), { method: 'zstd', level: 3 });
  await repository.storage.put(object, parts);
  return sha256(...parts).toString('hex');
}

/** Reads the facts that a manifest names. Throws LifeboatError `integrity`, or `key` when the data key cannot be opened. */
export async function readFacts(repository: Repository, manifest: Manifest): Promise<Json> {
  const object = factsKey(manifest.id);
  const dataKey = await repository.dataKeyOf(manifest);
  const bytes = await repository.storage.get(object);
  if (sha256(bytes).toString('hex') !== manifest.factsSha256) throw damaged(object, 'it is not what the manifest says');
  const text = (await openBox(bytes, boxKind.document, object, dataKey)).toString();
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw damaged(object, 'it is not JSON', cause);
  }
}
