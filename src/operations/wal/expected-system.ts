/**
 * Whose log belongs into the archive: this host remembers for each target the system identifier that it pushed
 * last. Another cluster on the same target (two servers with one configuration, a new cluster in the old one's
 * place) is refused until somebody says that it is meant.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { LifeboatError } from '../../lib/errors.ts';
import type { Repository } from '../../repository/repository.ts';
import { readStateFile, writeStateFile } from '../../repository/state-file.ts';
import { listWalSystems } from '../../repository/wal/archive.ts';

export interface ExpectedSystem {
  readonly stateDir: string;
  /** Name of the target. */
  readonly cluster: string;
  readonly systemId: string;
  /** Take it from now on. */
  readonly accept: boolean;
}

/**
 * Rejects with LifeboatError `usage` for a cluster that is not the one expected; remembers the first one, and one that
 * is accepted.
 */
export async function expectSystem(
  repository: Repository,
  { stateDir, cluster, systemId, accept }: ExpectedSystem,
): Promise<void> {
  const file = join(stateDir, 'repositories', repository.repositoryId, `wal-system-${cluster}.json`);
  const known = await readExpected(file);
  if (known === systemId) return;
  if (!accept) {
    const others = known === undefined ? await listWalSystems(repository.storage) : [known];
    if (others.length > 0 && !others.includes(systemId)) throw refusal(systemId, others, cluster);
  }
  await writeStateFile(file, { systemId });
}

async function readExpected(file: string): Promise<string | undefined> {
  const known = await readStateFile(file, z.object({ systemId: z.string() }), {
    hint: 'if lifeboat wal status shows the cluster that is archived there, remove that file: it is remembered anew',
  });
  return known?.systemId;
}

function refusal(systemId: string, others: readonly string[], cluster: string): LifeboatError {
  return new LifeboatError(
    'usage',
    `this log is of the cluster with system identifier ${systemId}, but the archive of target ${cluster} is that ` +
      `of ${others.join(', ')}`,
    {
      state: 'nothing was archived; the server keeps its log',
      hint:
        'if two servers share a configuration by mistake, give this one another target or repository; if it is the ' +
        'new cluster of this target, run it once by hand with --accept-new-system',
    },
  );
}
