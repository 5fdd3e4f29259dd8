/**
 * Dumps several components into one backup: all begin at once, so that they are close together in time; their streams
 * share `jobs` places.
 */
import type { RunContext } from '../../lib/events.ts';
import type { BackupWriter } from '../../repository/packs/backup-writer.ts';
import type { ManifestArtifact, ManifestComponent } from '../../repository/manifests/manifest.ts';
import { Semaphore } from '../../lib/semaphore.ts';
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
  const failure = new AbortController();
  const signal = AbortSignal.any([context.signal, failure.signal]);
  const places = new Semaphore(jobs);
  const dumps = components.map(async (component) => {
    try {
      return await dumpOne(component, writer, places, versions.get(component.name), { ...context, signal });
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  });
  const settled = await Promise.allSettled(dumps);
  // The first to fail ended the others; what they say then is of no interest.
  if (failure.signal.aborted) throw failure.signal.reason;
  return settled.map((each) => (each as PromiseFulfilledResult<DumpedComponent>).value);
}

async function dumpOne(
  { name, source }: ComponentSource,
  writer: BackupWriter,
  places: Semaphore,
  serverVersion: string | undefined,
  context: RunContext,
): Promise<DumpedComponent> {
  const startedAt = new Date().toISOString();
  const failure = new AbortController();
  const inner = { ...context, signal: AbortSignal.any([context.signal, failure.signal]) };
  const storing: Promise<ManifestArtifact>[] = [];
  try {
    for await (const artifact of source.dump(inner)) {
      await places.acquire();
      inner.signal.throwIfAborted();
      const stored = writer.store(name, artifact, inner.signal).finally(() => places.release());
      stored.catch((error: unknown) => failure.abort(error));
      storing.push(stored);
    }
    const artifacts = await Promise.all(storing);
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
  } catch (error) {
    failure.abort(error);
    await Promise.allSettled(storing);
    // A stream that died first is why the dump broke off, not what the dump says of it.
    throw failure.signal.reason;
  }
}
