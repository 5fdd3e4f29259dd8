/** Which base backups could replay archived log, as far as their facts can be read. */
import { LifeboatError } from '../../lib/errors.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Repository } from '../../repository/repository.ts';
import { baseFacts, type BaseFacts } from '../../source/postgres/base/facts.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';

/** A base backup, and what is recorded of its log. */
export interface KnownBase {
  readonly id: string;
  readonly target: string;
  readonly facts: BaseFacts;
}

/** Of more base backups than twice this, those between the oldest and the newest are not read. */
const basesAtEachEnd = 30;

/** The same of all backups that count. */
export async function readAllBases(repository: Repository): Promise<KnownBase[]> {
  const sealed: ListedManifest[] = [];
  for await (const listed of repository.listManifests()) if (listed.trust === 'sealed') sealed.push(listed);
  return readBases(repository, sealed);
}

/** `listed`: newest first. What comes is oldest first; without those whose facts cannot be read. */
export async function readBases(
  repository: Repository,
  listed: readonly Pick<ListedManifest, 'manifest'>[],
): Promise<KnownBase[]> {
  const all = listed.flatMap(({ manifest }) => {
    const component = manifest?.components.find(({ kind }) => kind === 'base');
    return manifest === undefined || component === undefined ? [] : [{ manifest, component }];
  });
  const chosen =
    all.length <= 2 * basesAtEachEnd ? all : [...all.slice(0, basesAtEachEnd), ...all.slice(-basesAtEachEnd)];
  const read = await Promise.all(
    chosen.map(async ({ manifest, component }) => {
      const facts = await readable(async () =>
        factsOf(baseFacts, await readComponentFacts(repository, manifest), component, manifest.id),
      );
      return facts === undefined ? [] : [{ id: manifest.id, target: manifest.target, facts }];
    }),
  );
  return read.flat().toSorted((a, b) => Date.parse(a.facts.stoppedAt) - Date.parse(b.facts.stoppedAt));
}

async function readable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}

/** Damaged, sealed from us, or gone meanwhile: told of as such, and no failure of the run. */
export function isUnreadable(error: unknown): error is LifeboatError {
  return error instanceof LifeboatError && ['integrity', 'key', 'not_found'].includes(error.code);
}
