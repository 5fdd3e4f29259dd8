/** Brings the snapshot of a Redis backup out of the repository, and proves it to be the one that was recorded. */
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { requireSpace } from '../../lib/fs.ts';
import { createFileAt } from '../../lib/held-files.ts';
import type { ArtifactReader } from '../source.ts';
import type { RedisFacts } from './facts.ts';
import type { RdbSummary } from './rdb/summary.ts';
import { summarizeFile } from './rdb-file.ts';
import { redisArtifactName } from './snapshot.ts';
import { KeySample } from './verify.ts';

/** A snapshot on this host that was read to its end. */
export interface FetchedSnapshot {
  readonly path: string;
  readonly summary: RdbSummary;
  /** Keys to look up in the target afterwards. */
  readonly sample: KeySample;
  /** True where the pattern of chosen keys is itself the name of a key. */
  readonly holdsWanted: boolean;
}

/**
 * Brings the snapshot here, reads all of it and compares it with what was recorded. The target knows nothing yet.
 * Throws LifeboatError `space`, or `integrity` when it is not the one that was recorded.
 */
export async function fetchSnapshot(
  request: { readonly reader: ArtifactReader; readonly facts: RedisFacts; readonly keys?: string | undefined },
  folder: string,
  context: RunContext,
): Promise<FetchedSnapshot> {
  const { reader, facts, keys } = request;
  const path = join(folder, redisArtifactName);
  await spoolArtifact(reader, facts, path, folder, context);
  const sample = new KeySample(facts.keys);
  const wanted = keys === undefined ? undefined : Buffer.from(keys);
  let holdsWanted = false;
  const summary = await summarizeFile(path, context, {
    onKey: (key) => {
      if (wanted !== undefined) holdsWanted ||= wanted.equals(key.key);
      sample.offer(key);
    },
  });
  refuseDifference(summary, facts);
  return { path, summary, sample, holdsWanted };
}

/** Writes the artifact to a new file (0600). */
export async function spoolArtifact(
  reader: ArtifactReader,
  facts: RedisFacts,
  path: string,
  folder: string,
  context: RunContext,
): Promise<void> {
  await requireSpace(folder, facts.bytes, 'the Redis snapshot');
  await using file = await createFileAt(path);
  for await (const bytes of reader.open(facts.artifact)) {
    context.signal.throwIfAborted();
    await file.writeFile(bytes);
  }
  await file.sync();
}

/** Throws (integrity) when a snapshot is not the one that was recorded. */
export function refuseDifference(summary: RdbSummary, facts: RedisFacts): void {
  const same =
    summary.bytes === facts.bytes &&
    summary.keys === facts.keys &&
    summary.expires === facts.expires &&
    summary.fingerprint === facts.keyFingerprint.value;
  if (same) return;
  throw new LifeboatError(
    'integrity',
    `the Redis snapshot is not the one that was recorded: ${summary.keys} keys in ${summary.bytes} bytes instead ` +
      `of ${facts.keys} in ${facts.bytes}`,
    { state: 'nothing was changed' },
  );
}
