/**
 * Reads back, through decryption, what a logical backup has stored: the tables of contents of all its
 * archives together must hold the data of each table exactly once, before the backup may exist.
 */
import { LifeboatError } from '../lib/errors.ts';
import { openArtifacts } from '../repository/packs/artifact-reader.ts';
import type { DataKey } from '../repository/box/crypto.ts';
import type { Storage } from '../storage/storage.ts';
import type { DumpedComponent } from './backup/dump.ts';

/** Throws `integrity` (14) naming what is missing or twice. Nothing to do for other kinds. */
export async function checkDump(
  storage: Storage,
  dataKey: DataKey | undefined,
  { entry, facts }: DumpedComponent,
): Promise<void> {
  if (entry.kind !== 'postgres') return;
  const [{ postgresFacts }, { checkParts, readToc }] = await Promise.all([
    import('../source/postgres/facts/facts.ts'),
    import('../source/postgres/restore/toc.ts'),
  ]);
  const reader = openArtifacts({ storage, dataKey, artifacts: entry.artifacts });
  const faults: string[] = [];
  for (const database of postgresFacts.parse(facts).databases) {
    const { schema, data, tables } = database.artifacts;
    const tocs = new Map<string, Awaited<ReturnType<typeof readToc>>>();
    for (const name of [schema, data, ...tables.map(({ artifact }) => artifact)]) {
      tocs.set(name, await readToc(reader.open(name)));
    }
    faults.push(...checkParts(database, tocs).map((fault) => `database ${database.name}: ${fault}`));
  }
  if (faults.length > 0) {
    throw new LifeboatError('integrity', `the dump is not complete: ${faults.slice(0, 10).join('; ')}`, {
      state: 'no backup was recorded',
      hint: 'this is a bug or a changed pg_dump: please report it with the versions that lifeboat doctor shows',
    });
  }
}
