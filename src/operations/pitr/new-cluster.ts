/**
 * A logical backup of a whole server as a cluster of its own: initdb, roles, every database, compared. Startable only
 * when all of it is there.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { addState } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { setConfigurationAside, takeIntoUse } from '../../source/postgres/base/restore.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import type { PostgresFacts } from '../../source/postgres/facts/facts.ts';
import { makeQuarters } from '../../source/postgres/cluster/quarters.ts';
import { startRecovery, type RecoveringServer } from '../../source/postgres/cluster/recovery.ts';
import { restorePostgres } from '../../source/postgres/restore/new-database.ts';
import { makeCluster } from '../../source/postgres/cluster/scratch-cluster.ts';
import { findScratchPlace, type ScratchPlace } from '../../source/postgres/cluster/scratch-place.ts';
import { acquireReadLease } from '../read-lease.ts';
import { claimFolders, findEmptyPlace, makeServerFolder, type RecoveryPlaces } from './folders.ts';
import type { PitrAction } from './request.ts';
import { restoredTables } from '../restore/database-run.ts';
import type { RestoredComponent } from '../restore/request.ts';

export interface NewClusterOptions {
  readonly loaded: LoadedConfig;
  readonly repository: Repository;
  readonly manifest: Manifest;
  readonly component: ManifestComponent;
  readonly facts: PostgresFacts;
  /** Absolute; absent or empty. */
  readonly dataDir: string;
  /** `pause` is `promote` here: nothing is held. */
  readonly action: PitrAction;
}

export interface NewCluster {
  readonly components: readonly RestoredComponent[];
  readonly programs: string;
  /** Of the server, where it was left running. */
  readonly url: string | undefined;
  readonly pid: number | undefined;
}

/** Throws `integrity` (14), `tool` (16), `space` (15), `usage` (2); the folder is empty or gone again then. */
export async function restoreIntoNewCluster(options: NewClusterOptions, context: RunContext): Promise<NewCluster> {
  const { facts, dataDir, action, manifest, repository } = options;
  const place = await findScratchPlace(Number.parseInt(facts.toolVersion, 10));
  const bytes = facts.databases.flatMap(({ tables }) => tables).reduce((sum, table) => sum + table.bytes, 0);
  const places = await findEmptyPlace(dataDir, 2 * bytes, { fallback: place.owner, own: options.loaded.config });
  await using scratch = makeServerFolder(place.parent);
  const claimed = await claimFolders(places);
  let server: RecoveringServer | undefined;
  let goesOn = false;
  try {
    await using _ = await acquireReadLease(repository, { command: 'pitr', parents: [manifest.id] }, context);
    await claimed.make();
    server = await startNew(place, places, scratch.path, facts, context);
    const components = await fill(options, server, place, context);
    context.signal.throwIfAborted();
    if (action === 'shutdown') await server.shutDown(context.signal);
    await takeIntoUse(dataDir);
    // The commit point: from here on nothing is taken away any more.
    server.release();
    goesOn = action !== 'shutdown';
    return {
      components,
      programs: place.programs,
      ...(goesOn ? { url: server.url.reveal(), pid: server.pid } : { url: undefined, pid: undefined }),
    };
  } catch (error) {
    await server?.kill().catch(() => {});
    throw addState(error, await claimed.clear());
  } finally {
    if (goesOn) scratch.keep();
    claimed.release();
  }
}

/** What initdb makes where nobody says otherwise. */
const initdbSegmentBytes = 16 * 1024 * 1024;

async function startNew(
  { programs }: ScratchPlace,
  { dataDir, owner }: RecoveryPlaces,
  folder: string,
  { serverVersionNum }: PostgresFacts,
  context: RunContext,
): Promise<RecoveringServer> {
  context.emit({ type: 'step', component: 'database', message: `making a new cluster in ${dataDir}` });
  await makeCluster({ dataDir, programs, owner }, context);
  await setConfigurationAside(dataDir);
  const server = await startRecovery({
    quarters: await makeQuarters(folder, { isolation: { kind: 'none', owner }, writable: [dataDir] }),
    dataDir,
    isThrowaway: false,
    programs,
    facts: { minima: {}, serverVersionNum, superuser: 'postgres', walSegmentBytes: initdbSegmentBytes },
    restoreCommand: '',
    target: {},
  });
  try {
    await server.ready(context);
    return server;
  } catch (error) {
    await server.kill().catch(() => {});
    throw error;
  }
}

async function fill(
  { loaded, repository, manifest, component, facts }: NewClusterOptions,
  { url }: RecoveringServer,
  place: ScratchPlace,
  context: RunContext,
): Promise<RestoredComponent[]> {
  const reader = openArtifacts({
    storage: repository.storage,
    dataKey: await repository.dataKeyOf(manifest),
    artifacts: component.artifacts,
    trustChecksums: true,
  });
  if (facts.globals !== undefined) {
    const { replayGlobals } = await import('../../source/postgres/restore/globals-replay.ts');
    await replayGlobals({ reader, facts, targetUrl: url }, context);
  }
  // The new one is empty, and stands in the way of that of the backup.
  if (facts.databases.some(({ name }) => name === 'postgres')) {
    await withConnection(url, { database: 'template1', signal: context.signal }, async (client) =>
      client.query('DROP DATABASE postgres'),
    );
  }
  const done: RestoredComponent[] = [];
  for (const { name } of facts.databases) {
    const started = performance.now();
    context.emit({ type: 'step', component: component.name, message: `restoring database ${name}` });
    const report = await restorePostgres(
      {
        reader,
        facts,
        database: name,
        targetUrl: url,
        targetDatabase: name,
        jobs: loaded.config.jobs,
        toolsFolder: place.programs,
        noOwner: facts.globals === undefined,
        noAcl: facts.globals === undefined,
      },
      context,
    );
    done.push(restoredTables(component, report, performance.now() - started));
  }
  return done;
}
