/**
 * Dumps several components into one backup: all begin at once, so that they are close together in time; their streams
 * share `jobs` places. What was stored is read back before the backup may exist.
 */
import { Places, TaskGroup } from '../../lib/concurrency.ts';
import type { RunContext } from '../../lib/events.ts';
import type { BackupWriter } from '../../repository/packs/backup-writer.ts';
import type { ManifestArtifact, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Json } from '../../source/source.ts';
import type { ComponentSource } from '../targets.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { DataKey } from '../../repository/box/crypto.ts';
import type { Storage } from '../../storage/storage.ts';

export interface DumpedComponent {
  readonly entry: ManifestComponent;
  readonly facts: Json;
}

/**
 * Rejects with the first failure once everything has been ended. `versions`: server version by component name.
 * `onHeld`: called once nothing that is written to any of the sources from then on can show in the backup.
 */
export async function dumpComponents(
  components: readonly ComponentSource[],
  writer: BackupWriter,
  jobs: number,
  versions: ReadonlyMap<string, string | undefined>,
  context: RunContext,
  onHeld: () => void = () => {},
): Promise<DumpedComponent[]> {
  const moving = new Set(components.map(({ name }) => name));
  const held = (name: string): void => {
    if (moving.delete(name) && moving.size === 0) onHeld();
  };
  const streams = new Places(jobs);
  const dumps = new TaskGroup(new Places(components.length), context.signal);
  const dumped: DumpedComponent[] = [];
  for (const [at, component] of components.entries()) {
    await dumps.start(async () => {
      const inner = { ...context, signal: dumps.signal };
      const one = { ...component, serverVersion: versions.get(component.name), onHeld: () => held(component.name) };
      dumped[at] = await dumpOne(one, writer, streams, inner).catch(async (error: unknown) => {
        const { source } = component;
        throw source.explain === undefined ? error : await source.explain(error, context);
      });
    });
  }
  await dumps.drain();
  return dumped;
}

type Dumping = Pick<ComponentSource, 'name' | 'source'> & {
  readonly serverVersion: string | undefined;
  readonly onHeld: () => void;
};

async function dumpOne(
  { name, source, serverVersion, onHeld }: Dumping,
  writer: BackupWriter,
  streams: Places,
  context: RunContext,
): Promise<DumpedComponent> {
  const startedAt = new Date().toISOString();
  const artifacts = await storeAll({ name, source, onHeld }, writer, streams, context);
  onHeld();
  const { facts, flaws } = await source.facts();
  const entry = {
    name,
    kind: source.kind,
    ...(serverVersion === undefined ? {} : { serverVersion }),
    startedAt,
    finishedAt: new Date().toISOString(),
    ...writer.totals(name),
    ...(flaws === undefined ? {} : { flaws }),
    artifacts,
  };
  return { entry, facts };
}

/** A stream that died first is why the dump broke off, not what the dump says of it: that is what is thrown. */
async function storeAll(
  { name, source, onHeld }: Pick<Dumping, 'name' | 'source' | 'onHeld'>,
  writer: BackupWriter,
  streams: Places,
  context: RunContext,
): Promise<ManifestArtifact[]> {
  const storing = new TaskGroup(streams, context.signal);
  const stored: ManifestArtifact[] = [];
  try {
    let count = 0;
    for await (const artifact of source.dump({ ...context, signal: storing.signal }, onHeld)) {
      const at = count++;
      await storing.start(async () => {
        stored[at] = await writer.store(name, artifact, storing.signal);
      });
    }
    await storing.drain();
  } catch (error) {
    await storing.abandon(error);
  }
  return stored;
}

/**
 * Reads back, through decryption, what a logical backup has stored: the tables of contents of all its archives together
 * must hold the data of each table exactly once, before the backup may exist. Throws `integrity` (14) naming what is
 * missing or twice. Nothing to do for other kinds.
 */
export async function checkDump(
  storage: Storage,
  dataKey: DataKey | undefined,
  { entry, facts }: DumpedComponent,
): Promise<void> {
  if (entry.kind !== 'postgres') return;
  const [{ postgresFacts }, { checkParts, readToc }] = await Promise.all([
    import('../../source/postgres/facts/facts.ts'),
    import('../../source/postgres/restore/toc.ts'),
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
