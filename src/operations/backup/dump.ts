/**
 * Dumps several components into one backup: all begin at once, so that they are close together in time; their streams
 * share `jobs` places.
 */
import { Places, TaskGroup } from '../../lib/concurrency.ts';
import type { RunContext } from '../../lib/events.ts';
import type { BackupWriter } from '../../repository/packs/backup-writer.ts';
import type { ManifestArtifact, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Json } from '../../source/source.ts';
import type { ComponentSource } from '../targets.ts';

export interface DumpedComponent {
  readonly entry: ManifestComponent;
  readonly facts: Json;
}

/** Rejects with the first failure once everything has been ended. `versions`: server version by component name. */
export async function dumpComponents(
  components: readonly ComponentSource[],
  writer: BackupWriter,
  jobs: number,
  versions: ReadonlyMap<string, string | undefined>,
  context: RunContext,
): Promise<DumpedComponent[]> {
  const streams = new Places(jobs);
  const dumps = new TaskGroup(new Places(components.length), context.signal);
  const dumped: DumpedComponent[] = [];
  for (const [at, component] of components.entries()) {
    await dumps.start(async () => {
      const inner = { ...context, signal: dumps.signal };
      dumped[at] = await dumpOne(component, writer, streams, versions.get(component.name), inner);
    });
  }
  await dumps.drain();
  return dumped;
}

async function dumpOne(
  { name, source }: ComponentSource,
  writer: BackupWriter,
  streams: Places,
  serverVersion: string | undefined,
  context: RunContext,
): Promise<DumpedComponent> {
  const startedAt = new Date().toISOString();
  const artifacts = await storeAll({ name, source }, writer, streams, context);
  const { facts } = await source.facts();
  const entry = {
    name,
    kind: source.kind,
    ...(serverVersion === undefined ? {} : { serverVersion }),
    startedAt,
    finishedAt: new Date().toISOString(),
    ...writer.totals(name),
    artifacts,
  };
  return { entry, facts };
}

/** A stream that died first is why the dump broke off, not what the dump says of it: that is what is thrown. */
async function storeAll(
  { name, source }: Pick<ComponentSource, 'name' | 'source'>,
  writer: BackupWriter,
  streams: Places,
  context: RunContext,
): Promise<ManifestArtifact[]> {
  const storing = new TaskGroup(streams, context.signal);
  const stored: ManifestArtifact[] = [];
  try {
    let count = 0;
    for await (const artifact of source.dump({ ...context, signal: storing.signal })) {
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
