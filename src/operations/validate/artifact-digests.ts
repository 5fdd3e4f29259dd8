/** What tells that two artifacts are the same chunk by chunk, so that one of them need not be read again. */
import { createHash } from 'node:crypto';
import { packKey } from '../../repository/packs/index-part.ts';
import type { Storage } from '../../storage/storage.ts';
import { visitIndexes, type IndexVisitor } from './indexes.ts';
import { artifactsOf, type OpenBackup, type Tally } from './objects.ts';

/** SHA-256 in hex of the chunks of each artifact of a backup and their places, by the artifact's name. */
export async function digestsOf(
  storage: Storage,
  backup: OpenBackup,
  tally: Tally,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const hashes = new Map(
    artifactsOf(backup.manifest).map(({ artifact }) => [artifact.name, createHash('sha256')] as const),
  );
  const onRecord: IndexVisitor['onRecord'] = ({ name }, _, { record }) => {
    const place = `${packKey(record.packId)}:${record.frame};`;
    hashes.get(name)?.update(record.id).update(place);
  };
  await visitIndexes(storage, backup, tally, { onFault: () => {}, onRecord }, signal);
  return new Map([...hashes].map(([name, hash]) => [name, hash.digest('hex')]));
}
