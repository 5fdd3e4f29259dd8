/**
 * Recovers a base backup to its moment: restored, replayed on a private socket, every table read, checked by
 * pg_amcheck, and left as asked. A folder becomes startable only when all of that is done; a throwaway cluster
 * is gone afterwards, whatever happened.
 */
import { join } from 'node:path';
import { addState } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { makeOwned } from '../../lib/owned-files.ts';
import { configurationArtifact } from '../../source/postgres/base/artifacts.ts';
import type { RecoveringServer } from '../../source/postgres/cluster/recovery.ts';
import { carryOut, DamagedCluster, type Recovered, type RecoverOptions } from './carry-out.ts';
import { claimFolders, makeServerFolder, throwawayPlacesIn, type RecoveryPlaces } from './folders.ts';
import { shellWord } from '../shell-words.ts';
import type { PitrPlan } from './plan.ts';
import type { PitrAction } from './request.ts';

/**
 * Throws `integrity` (14) for a damaged archive or cluster, `window` (17), `source` (13), `space` (15); what is left
 * then stands in the error's state.
 */
export async function recoverCluster(options: RecoverOptions, context: RunContext): Promise<Recovered> {
  const { plan } = options;
  await using scratch = makeServerFolder(plan.place.parent);
  const folder = scratch.path;
  let goesOn: boolean | undefined;
  try {
    const places = options.places ?? (await throwawayPlaces(options, folder));
    const recovered = await inFolder(options, places, folder, context);
    goesOn = recovered.pid !== undefined;
    return recovered;
  } catch (error) {
    if (!(error instanceof LateFailure)) throw error;
    goesOn = error.goesOn;
    throw error.cause;
  } finally {
    // Socket and log of a server that goes on.
    if (goesOn === true) scratch.keep();
  }
}

async function throwawayPlaces({ plan, isolation }: RecoverOptions, folder: string): Promise<RecoveryPlaces> {
  return throwawayPlacesIn(plan, await makeOwned(join(folder, 'data'), isolation?.owner), isolation?.owner);
}

/** The cluster is complete; what was to be done with it failed. */
class LateFailure extends Error {
  /** The server was left running. */
  readonly goesOn: boolean;

  constructor(cause: unknown, goesOn: boolean) {
    super('late failure', { cause });
    this.goesOn = goesOn;
  }
}

async function inFolder(
  options: RecoverOptions,
  places: RecoveryPlaces,
  folder: string,
  context: RunContext,
): Promise<Recovered> {
  const { action, plan } = options;
  const { dataDir } = places;
  const isThrowaway = options.places === undefined;
  const claimed = await claimFolders(places);
  const started: { server?: RecoveringServer } = {};
  try {
    await claimed.make();
    const { server, late, ...rest } = await carryOut(options, places, { folder, started }, context);
    if (isThrowaway) await server.kill();
    const goesOn = !isThrowaway && action !== 'shutdown' && action !== 'standby';
    if (late !== undefined) {
      throw new LateFailure(isThrowaway ? late : addState(late, lateState(action, dataDir, server)), goesOn);
    }
    return {
      ...rest,
      ...(goesOn ? { url: server.url.reveal(), pid: server.pid } : {}),
      nextSteps: isThrowaway ? [] : nextSteps(action, dataDir, server, plan),
    };
  } catch (error) {
    if (error instanceof LateFailure) throw error;
    await started.server?.kill().catch(() => {});
    if (!isThrowaway && error instanceof DamagedCluster && !context.signal.aborted) {
      throw addState(error.cause, keptState(dataDir));
    }
    const state = await claimed.clear();
    const cause = error instanceof DamagedCluster ? error.cause : error;
    throw isThrowaway ? cause : addState(cause, state);
  } finally {
    claimed.release();
  }
}

function lateState(action: PitrAction, dataDir: string, { pid, url }: RecoveringServer): string {
  const server =
    action === 'shutdown' || action === 'standby'
      ? ', shut down'
      : `; its server runs as process ${pid}: psql '${url.reveal().replaceAll("'", '%27')}'`;
  return `the recovered cluster is complete in ${dataDir}${server}`;
}

function keptState(dataDir: string): string {
  return (
    `the recovered cluster is kept in ${dataDir}, its configuration under names that end in .until-recovered, so ` +
    'that no server starts from it unasked; rename them back to start it all the same, or remove the folder'
  );
}

function nextSteps(action: PitrAction, dataDir: string, { pid, url }: RecoveringServer, plan: PitrPlan): string[] {
  if (action === 'pause') {
    return [
      `look at it: psql '${url.reveal().replaceAll("'", '%27')}'`,
      `end it: kill -INT ${pid}, then remove ${shellWord(dataDir)}`,
      'to take the cluster into use: the same command with --action shutdown and another --data-dir',
    ];
  }
  const start = `start it: ${shellWord(join(plan.place.programs, 'pg_ctl'))} -D ${shellWord(dataDir)} start`;
  if (action === 'standby') {
    return [
      ...configurationSteps(dataDir, plan),
      start,
      'it reads log from the archive by lifeboat wal fetch, for which its user must be able to read configuration, ' +
        'key and repository, then streams: SELECT status FROM pg_stat_wal_receiver',
    ];
  }
  return [
    ...(action === 'promote'
      ? [
          `use it: psql '${url.reveal().replaceAll("'", '%27')}'`,
          `end it before you start it by its own configuration: kill -INT ${pid}`,
        ]
      : []),
    ...configurationSteps(dataDir, plan),
    start,
    'it does not archive (archive_mode = off in postgresql.auto.conf, so that it cannot disturb the archive of ' +
      'the old one): ALTER SYSTEM RESET archive_mode and restart once it takes over; then push the .history file of ' +
      'its new timeline in pg_wal (lifeboat wal push), and lifeboat backup base',
  ];
}

function configurationSteps(dataDir: string, { component, facts }: PitrPlan): string[] {
  const outside = Object.values(facts.outsideFiles);
  if (outside.length === 0) return [];
  const lay = `its configuration lay outside of the data directory (${outside.join(', ')})`;
  if (component.artifacts.some(({ name }) => name === configurationArtifact)) {
    return [`${lay} and stands in ${dataDir} now; what does not work there is behind "#lifeboat:" in it`];
  }
  return [
    `${lay}, and is not in this backup: put it there; without it only the server's own user may connect, by ` +
      'settings that are the least',
  ];
}
