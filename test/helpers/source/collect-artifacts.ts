/** Runs a source's dump as the repository would, but into plain files. */
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { LifeboatEvent, RunContext } from '../../../src/lib/events.ts';
import type { Artifact, ComponentFacts, Source } from '../../../src/source/source.ts';
import { readPipe } from './read-pipe.ts';

export interface Collected {
  /** In the order in which the source gave them. */
  readonly names: readonly string[];
  readonly facts: ComponentFacts;
  readonly events: readonly LifeboatEvent[];
}

export interface CollectOptions {
  readonly jobs?: number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: LifeboatEvent) => void;
  /** Awaited before an artifact's body is run. */
  readonly before?: (artifact: Artifact) => Promise<void> | void;
}

/**
 * Writes each artifact to `folder`/name, up to `jobs` side by side (default 1). Rejects with the first failure, after
 * all have ended.
 */
export async function collectArtifacts(
  source: Source,
  folder: string,
  options: CollectOptions = {},
): Promise<Collected> {
  const events: LifeboatEvent[] = [];
  const stop = new AbortController();
  const context: RunContext = {
    signal: options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]),
    emit: (event) => {
      events.push(event);
      options.onEvent?.(event);
    },
  };
  const names: string[] = [];
  const running = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  for await (const artifact of source.dump(context)) {
    names.push(artifact.name);
    const job: Promise<void> = writeArtifact(artifact, folder, context.signal, options)
      .catch((error: unknown) => {
        failure ??= { error };
        stop.abort(error);
      })
      .finally(() => running.delete(job));
    running.add(job);
    while (running.size >= (options.jobs ?? 1)) await Promise.race(running);
    if (failure !== undefined) break;
  }
  await Promise.all(running);
  if (failure !== undefined) throw failure.error;
  return { names, facts: await source.facts(), events };
}

async function writeArtifact(
  artifact: Artifact,
  folder: string,
  signal: AbortSignal,
  options: CollectOptions,
): Promise<void> {
  await options.before?.(artifact);
  const path = join(folder, artifact.name);
  if (artifact.body.from !== 'tool') {
    const { body } = artifact;
    const stream = body.from === 'stream' ? body.stream : readPipe(body.open(signal));
    return pipeline(Readable.from(stream), createWriteStream(path));
  }
  const file = await open(path, 'w');
  try {
    const tool = await artifact.body.run(file.fd, signal);
    await tool.done;
  } finally {
    await file.close();
  }
}
