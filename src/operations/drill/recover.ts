/**
 * A base backup recovered in a scratch folder, for looking at: restored from the repository, held against
 * PostgreSQL's own list of its files, and replayed on a private socket with settings of ours only. The server
 * and the folder are gone afterwards, or with the next run if this one is killed.
 */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { requireSpace, withScratchFolder } from '../../lib/fs.ts';
import { makeOwned } from '../../lib/owned-files.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Repository } from '../../repository/repository.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { placeTablespaces } from '../../source/postgres/base/tablespaces.ts';
import { restoreBase } from '../../source/postgres/base/restore.ts';
import { makeQuarters } from '../../source/postgres/cluster/quarters.ts';
import { startRecovery, type RecoveringServer } from '../../source/postgres/cluster/recovery.ts';
import type { ScratchPlace } from '../../source/postgres/cluster/scratch-place.ts';
import type { ArtifactReader } from '../../source/source.ts';
import { restoreStep, type DrillRecord } from './subject.ts';
import { serveWal } from '../pitr/wal-server.ts';
import type { WalInventory } from '../pitr/wal-inventory.ts';
import type { WalRun } from '../pitr/wal-run.ts';

export interface ScratchRecovery {
  readonly config: Pick<Config, 'drill'>;
  readonly repository: Repository;
  readonly reader: ArtifactReader;
  readonly facts: BaseFacts;
  readonly inventory: WalInventory;
  readonly run: WalRun;
  readonly place: ScratchPlace;
  /** recovery_target* settings. */
  readonly target: Readonly<Record<string, string>>;
  /** Segments that will be replayed at most; they take room. */
  readonly walBytes: number;
}

/** Runs `work` with the server at rest at its target. What the backup is to blame for is thrown as `integrity` (14). */
export async function withRecovered<T>(
  recovery: ScratchRecovery,
  record: DrillRecord,
  context: RunContext,
  work: (server: RecoveringServer) => Promise<T>,
): Promise<T> {
  const { repository, reader, facts, inventory, run, place, target } = recovery;
  const { programs } = place;
  const isolation = await record.isolate(recovery.config);
  const { owner } = isolation;
  const bytes = reader.artifacts.reduce((sum, artifact) => sum + artifact.bytes, 0);
  await requireSpace(place.parent, bytes * 1.05 + recovery.walBytes + 256 * 1024 * 1024, 'a recovered base backup');
  return withScratchFolder(async (folder) => {
    const dataDir = await makeOwned(join(folder, 'data'), owner);
    const spool = join(folder, 'wal');
    context.emit({
      type: 'step',
      component: 'base',
      message: `restoring the base backup (${formatBytes(bytes)}) to ${dataDir}`,
    });
    const tablespaces = placeTablespaces(facts, dataDir);
    await record.step(`${restoreStep} base backup`, () =>
      restoreBase({ reader, dataDir, tablespaces, owner, isKept: false }, context),
    );
    record.compared.push("every file of the cluster with PostgreSQL's own manifest");
    await using wal = await serveWal({
      repository,
      inventory,
      run,
      segmentBytes: facts.walSegmentBytes,
      spool,
      owner,
      isThrowaway: true,
    });
    const writable = [dataDir, ...tablespaces.map(({ to }) => to)];
    const quarters = await makeQuarters(folder, { isolation, writable, readable: [spool] });
    context.emit({ type: 'step', component: 'base', message: 'recovering it on a private socket' });
    let server: RecoveringServer | undefined;
    try {
      await record.step(`${restoreStep} recovery`, async () => {
        server = await startRecovery({
          quarters,
          dataDir,
          programs,
          facts,
          restoreCommand: wal.command,
          target,
          isThrowaway: true,
        });
        await blaming('the base backup does not recover', () => reachedBy(server, wal, context), context);
      });
      record.versions['postgres'] = place.version;
      record.count('segments', wal.delivered());
      return await work(server as unknown as RecoveringServer);
    } finally {
      await server?.kill();
    }
  }, place.parent);
}

/** Errors of the server are faults of the backup, unless they tell of something that is missing here. */
export async function blaming<T>(
  what: string,
  work: () => Promise<T>,
  { signal }: Pick<RunContext, 'signal'>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof LifeboatError) || !['source', 'window'].includes(error.code)) throw error;
    if (/No space left|Disk quota/.test(error.message)) {
      throw new LifeboatError('space', error.message, {
        hint: 'make room, or name another folder by TMPDIR',
        cause: error,
      });
    }
    if (missingHere.test(error.message)) {
      throw new LifeboatError('tool', `it cannot be tried on this machine: ${error.message}`, {
        hint: error.hint ?? 'install what the server misses, or make the drill on a machine like that of the backup',
        cause: error,
      });
    }
    throw new LifeboatError('integrity', `${what}: ${error.message}`, { cause: error });
  }
}

const missingHere = new RegExp(
  [
    'could not (?:load library|access file "|create shared memory|map anonymous|open extension)',
    'incompatible with operating system',
    'collation .* not supported',
    'Cannot allocate memory',
    'out of memory',
    'terminated by signal 9',
    'was killed by SIGKILL',
    'insufficient parameter',
  ].join('|'),
);

async function reachedBy(
  server: RecoveringServer | undefined,
  wal: { failure(): unknown },
  context: RunContext,
): Promise<void> {
  const stopped = await server?.reached(context).catch((error: unknown) => {
    // Why the server got no WAL tells more than that it ended.
    throw context.signal.aborted ? error : (wal.failure() ?? error);
  });
  context.emit({ type: 'debug', component: 'base', message: stopped ?? '' });
}
