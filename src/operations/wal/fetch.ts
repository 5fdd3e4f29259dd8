/**
 * One call of restore_command: delivers a file, or says that it is absent only when that is proven. PostgreSQL takes
 * "absent" for the end of the log and would finish a recovery there, so everything else is an error. The segments
 * that follow are fetched along into the state folder, side by side, for the calls to come.
 */
import { resolve } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { AbortedError, LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { pause } from '../../lib/pause.ts';
import type { Repository } from '../../repository/repository.ts';
import {
  listHistories,
  listWal,
  listWalSystems,
  openWal,
  openWalObject,
  readWalObject,
  type WalObject,
} from '../../repository/wal/archive.ts';
import type { OpenedWal } from '../../repository/wal/stored.ts';
import { needWalName, type WalName } from '../../repository/wal/names.ts';
import { NotFoundError } from '../../storage/storage.ts';
import { repositoryLocation, withRepository } from '../open-repository.ts';
import { checkSystemId, systemIdBeside } from './system-id.ts';
import type { WalFetchOptions, WalFetchRequest, WalFetchResult } from './request.ts';
import { openSegment } from './segment.ts';
import { LostLogError, refuseLostLog } from './lost-log.ts';
import { placeFile, WalSpool } from './fetch-spool.ts';
import { parseHistory } from '../../source/postgres/wal/history.ts';
import { segmentAt } from '../../source/postgres/wal/file-name.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';

/** Segments fetched ahead at most. */
const aheadSegments = 15;
/** And so many bytes of them. */
const aheadBytes = 256 * 1024 * 1024;
const gapPausesMs = [500, 2000];
const firstPauseMs = 1000;
const maxPauseMs = 30_000;

/** Not through an error: 1 is the one code that tells the server that the log ends here. */
export const walFetchOperation: Operation<WalFetchOptions, WalFetchRequest, WalFetchResult> = {
  need: () => repositoryNeeds,
  complete: (options, { cwd }) => ({
    cwd,
    standby: false,
    force: false,
    ...given(options),
    path: resolve(cwd, options.path),
  }),
  run: walFetch,
  exitCode: ({ outcome }) => (outcome === 'absent' ? 1 : 0),
};

export async function walFetch(
  loaded: LoadedConfig,
  request: WalFetchRequest,
  context: RunContext,
): Promise<WalFetchResult> {
  if (!request.standby) return fetchSettled(loaded, request, context);
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
    try {
      return await fetchOnce(loaded, request, context);
    } catch (error) {
      if (error instanceof AbortedError || context.signal.aborted) throw error;
      if (error instanceof GapError || error instanceof LostLogError) return { name: request.name, outcome: 'absent' };
      context.emit({
        type: 'step',
        message: `${messageOf(error)}; a standby waits: trying again in ${pauseMs / 1000} s`,
      });
      await pause(pauseMs, context.signal);
    }
  }
}

/** Several segments are pushed side by side: one that is missing before others may be there a moment later. */
async function fetchSettled(
  loaded: LoadedConfig,
  request: WalFetchRequest,
  context: RunContext,
): Promise<WalFetchResult> {
  for (const pauseMs of gapPausesMs) {
    try {
      return await fetchOnce(loaded, request, context);
    } catch (error) {
      if (!(error instanceof GapError)) throw error;
      context.emit({ type: 'debug', message: `${error.message}; looking again` });
      await pause(pauseMs, context.signal);
    }
  }
  return fetchOnce(loaded, request, context);
}

/** Absent, but something after it is there. */
class GapError extends LifeboatError {
  override readonly name = 'GapError';

  constructor(missing: string, after: string) {
    super('integrity', `${missing} is missing in the archive, although ${after} is there`, {
      state: 'recovery must not end here',
      hint: 'see: lifeboat wal status. If the file is lost for good, recover to a moment before it',
    });
  }
}

async function fetchOnce(loaded: LoadedConfig, request: WalFetchRequest, context: RunContext): Promise<WalFetchResult> {
  const file = needWalName(request.name);
  const { config } = loaded;
  const local =
    request.systemId === undefined ? await systemIdBeside(request.path, request.cwd) : checkSystemId(request.systemId);
  const spool = new WalSpool(config.stateDir, [
    repositoryLocation(loaded),
    config.encryption.enabled,
    request.force,
    local,
    request.path,
  ]);
  if (file.kind === 'segment' && (await spool.take(file.name, request.path))) {
    return { name: file.name, outcome: 'delivered', from: 'spool', systemId: local };
  }
  return withRepository(loaded, context, async (repository) => {
    const systemId = local ?? (await onlySystem(repository));
    if (systemId === undefined) {
      await refuseLostLog(repository, undefined, file);
      return { name: file.name, outcome: 'absent' };
    }
    const order: Order = { repository, systemId, file, request };
    const from = file.kind === 'segment' ? await deliverSegment(order, spool, config.jobs) : await deliverOther(order);
    return { name: file.name, outcome: from === undefined ? 'absent' : 'delivered', from, systemId };
  });
}

interface Order {
  readonly repository: Repository;
  readonly systemId: string;
  readonly file: WalName;
  readonly request: WalFetchRequest;
}

/** Undefined: absent, and so is all that could come after it. */
async function deliverSegment(
  order: Order,
  spool: WalSpool,
  jobs: number,
): Promise<'repository' | 'unfinished' | undefined> {
  const { repository, systemId, file, request } = order;
  await spool.clear();
  const [body, following] = await Promise.all([
    readIfThere(repository, systemId, file, request.force),
    followingOf(repository, systemId, file),
  ]);
  if (body === undefined) {
    const later = following.find((each) => each.file.segment !== file.segment);
    if (later !== undefined) throw new GapError(file.name, later.file.name);
    const unfinished = following.findLast((each) => each.file.kind === 'unfinished');
    if (unfinished === undefined) {
      await refuseOtherHistory(order);
      await refuseLostLog(repository, systemId, file);
      return undefined;
    }
    await placeFile(request.path, (await openSegment(repository, systemId, file.name, request)).pieces());
    return 'unfinished';
  }
  await placeFile(request.path, body.pieces());
  const ahead = following
    .filter((each) => each.file.kind === 'segment' && each.file.name !== file.name)
    .slice(0, Math.floor(aheadBytes / body.bytes));
  const keep = async (each: WalObject): Promise<void> =>
    spool.keep(each.file.name, (await openWalObject(repository, each.key, request)).pieces());
  // What goes wrong here the call for that segment will tell.
  await forEachSideBySide(ahead, jobs, keep).catch(() => {});
  return 'repository';
}

/**
 * Where a timeline begins a server that does not get its segment takes the older timeline's of the same number. If that
 * one is whole, the old timeline went on after the new one had left it, and the recovery would follow the wrong
 * history.
 */
async function refuseOtherHistory({ repository, systemId, file, request }: Order): Promise<void> {
  const history = (await listHistories(repository.storage, systemId)).find(
    (each) => each.file.timeline === file.timeline,
  );
  if (history === undefined) return;
  const parent = parseHistory((await readWalObject(repository, history.key, request)).toString(), history.key).at(-1);
  if (parent === undefined) return;
  const older = needWalName(`${parent.timeline.toString(16).toUpperCase().padStart(8, '0')}${file.name.slice(8)}`);
  const body = await readIfThere(repository, systemId, older, request.force);
  if (body !== undefined && segmentAt(file.timeline, parent.switchLsn, body.bytes) === file.name) {
    throw new GapError(file.name, older.name);
  }
}

async function readIfThere(
  repository: Repository,
  systemId: string,
  file: WalName,
  force: boolean,
): Promise<OpenedWal | undefined> {
  try {
    return await openWal(repository, systemId, file.name, { force });
  } catch (error) {
    if (error instanceof NotFoundError && error.key.startsWith('wal/')) return undefined;
    throw error;
  }
}

/**
 * What the archive has from that segment on, in order: as many segments as are worth fetching ahead. Of each only what
 * reaches farthest.
 */
async function followingOf({ storage }: Repository, systemId: string, file: WalName): Promise<WalObject[]> {
  const found: WalObject[] = [];
  for await (const each of listWal(storage, systemId, { timeline: file.timeline, from: file.name })) {
    // By name a segment comes behind all that is unfinished of it, and of that the farthest is the last.
    if (found.at(-1)?.file.segment === each.file.segment && found.at(-1)?.file.kind === 'unfinished') found.pop();
    found.push(each);
    if (found.length > aheadSegments) break;
  }
  return found;
}

/** Histories, backup labels, and what promotions left. */
async function deliverOther(order: Order): Promise<'repository' | undefined> {
  const { repository, systemId, file, request } = order;
  const body = await readIfThere(repository, systemId, file, request.force);
  if (body !== undefined) {
    await placeFile(request.path, body.pieces());
    return 'repository';
  }
  if (file.kind === 'history' && file.timeline > 1) {
    await refuseMissingHistory(order);
    await refuseLostLog(repository, systemId, file);
  }
  return undefined;
}

/** Without its history a timeline that exists would be passed over in silence, and the recovery end before it. */
async function refuseMissingHistory({ repository, systemId, file, request }: Order): Promise<void> {
  for await (const each of listWal(repository.storage, systemId, { timeline: file.timeline })) {
    throw new GapError(file.name, each.file.name);
  }
  for (const later of await listHistories(repository.storage, systemId)) {
    if (later.file.timeline <= file.timeline) continue;
    const lines = parseHistory((await readWalObject(repository, later.key, request)).toString(), later.key);
    if (lines.some((line) => line.timeline === file.timeline)) throw new GapError(file.name, later.file.name);
  }
}

/**
 * The archive's only system; undefined where there is none yet. Throws LifeboatError `usage` where there are several.
 */
async function onlySystem({ storage }: Repository): Promise<string | undefined> {
  const [only, ...others] = await listWalSystems(storage);
  if (others.length === 0) return only;
  throw new LifeboatError('usage', `the archive holds the log of several clusters: ${[only, ...others].join(', ')}`, {
    hint: 'run it in the data directory, or say which one with --system-id',
  });
}
