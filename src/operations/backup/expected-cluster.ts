/**
 * Whose cluster a target is: this host remembers the system identifier that it backed up last. Another one (a URL that
 * leads elsewhere, a server that was put in the old one's place) is refused until somebody says that it is meant: its
 * backups would push those of the old one out of retention, and `latest` would be of another server.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { LifeboatError } from '../../lib/errors.ts';
import type { Repository } from '../../repository/repository.ts';
import { readStateFile, writeStateFile } from '../../repository/state-file.ts';

export interface ExpectedCluster {
  readonly stateDir: string;
  readonly target: string;
  /** Decimal. */
  readonly systemId: string;
  /** Take it from now on. */
  readonly accept: boolean;
}

/** Returns how to remember it, for when the backup is there. Throws `usage` (2) for a cluster that is not expected. */
export async function expectCluster(
  repository: Repository,
  { stateDir, target, systemId, accept }: ExpectedCluster,
): Promise<() => Promise<void>> {
  const file = join(stateDir, 'repositories', repository.repositoryId, `cluster-${target}.json`);
  const known = await readStateFile(file, z.object({ systemId: z.string() }), {
    hint: 'if the URL of that target leads where it should, remove that file: it is remembered anew',
  });
  if (known !== undefined && known.systemId !== systemId && !accept) {
    throw refusal(systemId, known.systemId, target);
  }
  return async () => {
    if (known?.systemId !== systemId) await writeStateFile(file, { systemId });
  };
}

function refusal(systemId: string, known: string, target: string): LifeboatError {
  const message =
    `the server of target ${target} is another cluster (system identifier ${systemId}) than the one that was backed ` +
    `up as that before (${known})`;
  return new LifeboatError('usage', message, {
    state: 'no backup was made',
    hint:
      'if its URL leads elsewhere by mistake, correct it; if it is the new cluster of this target (a restore, an ' +
      'upgrade), run it once with --accept-new-system',
  });
}
