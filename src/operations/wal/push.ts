/**
 * One call of archive_command: archives its file and, side by side, whatever else is ready by then. It succeeds only
 * once its own file is durable in the repository. What went along is noted in order and never beyond a file that
 * failed, so that nothing is acknowledged before what comes before it.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import { fileReason } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { isShipped, noteShipped, pruneShipped, shippedFolder } from '../../repository/shipped-notes.ts';
import { putWal } from '../../repository/wal/archive.ts';
import type { PutWal, PutWalOptions } from '../../repository/wal/put-box.ts';
import { checkWalFile, isArchivable } from '../../repository/wal/archivable.ts';
import type { WalBody } from '../../repository/wal/large.ts';
import { needWalName } from '../../repository/wal/names.ts';
import { withRepository } from '../open-repository.ts';
import { clusterName, systemIdBeside } from './system-id.ts';
import { expectSystem } from './expected-system.ts';
import { ReadRoom } from './read-room.ts';
import type { WalPushOptions, WalPushRequest, WalPushResult } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, pathOf, repositoryNeeds } from '../complete.ts';

/** So much of a large segment tells whose it is. */
const headBytes = 8192;
/** Files of one call at most: its own must not wait for ever. */
const batchFiles = 128;
/** Files on their way at once, also where few streams are wanted: most of their time is waiting for the storage. */
const filesAtOnce = 4;
/** The archiver tries again by itself, and a server that stops waits for us. */
const retryBudgetMs = 20_000;

type PutOutcome = PutWal['outcome'];

/** The server knows only of success and failure: a warning is neither. */
export const walPushOperation: Operation<WalPushOptions, WalPushRequest, WalPushResult> = {
  need: () => repositoryNeeds,
  complete: (options, { cwd }) => ({
    cwd,
    acceptNewSystem: false,
    ...given(options),
    path: resolve(cwd, options.path),
    shippedDir: pathOf(options.shippedDir, cwd),
  }),
  run: walPush,
  exitCode: () => 0,
};

export async function walPush(
  loaded: LoadedConfig,
  request: WalPushRequest,
  context: RunContext,
): Promise<WalPushResult> {
  const { path, cwd } = request;
  const { config } = loaded;
  const name = basename(path);
  needWalName(name);
  if (!isArchivable(name)) throw new LifeboatError('usage', `${name} is not a file that a server archives`);
  const folder = request.shippedDir ?? shippedFolder(config.stateDir, cwd);
  return withRepository(
    loaded,
    context,
    async (repository) => {
      const { repositoryId } = repository;
      // A note speaks of one repository: which one is there now must be asked first.
      if (await isShipped(folder, path, repositoryId)) return { name, outcome: 'shipped', along: [] };
      const others = await readyBeside(path);
      await pruneShipped(folder, new Set(others), repositoryId);
      const first = await readFileToArchive(path, await systemIdBeside(path, cwd));
      await expectSystem(repository, {
        stateDir: config.stateDir,
        cluster: clusterName(config, request.target),
        systemId: first.systemId,
        accept: request.acceptNewSystem,
      });
      const outcomes = await shipReady(repository, { loaded, path, first, others }, context);
      const along = others.slice(0, outcomes.along.length);
      await noteAlong({ folder, repositoryId }, along, context);
      return { name, outcome: outcomes.own, systemId: first.systemId, along };
    },
    { retryBudgetMs },
  );
}

interface Batch {
  readonly loaded: LoadedConfig;
  /** Of the file that was handed over. */
  readonly path: string;
  readonly first: FileToArchive;
  /** Names of what is ready beside it, in order. */
  readonly others: readonly string[];
}

async function shipReady(
  repository: Repository,
  { loaded: { config }, path, first, others }: Batch,
  context: RunContext,
): Promise<{ readonly own: PutOutcome; readonly along: readonly PutOutcome[] }> {
  const name = basename(path);
  const options: PutWalOptions = { sealing: await repository.writeKey(), compression: config.compression };
  const ship = async (each: string, room: ReadRoom): Promise<PutOutcome> => {
    const isFirst = each === name;
    const file = isFirst ? first : await readFileToArchive(join(dirname(path), each), first.systemId, room);
    const { outcome } = await putWal(repository, first.systemId, each, file.body, options);
    if (outcome === 'replaced') {
      context.emit({ type: 'warning', message: `${each} was an empty object in the repository: it is stored anew` });
    }
    return outcome;
  };
  const names = [name, ...others.slice(0, batchFiles - 1)];
  const [own, ...along] = await shipInOrder(names, ship, Math.max(config.jobs, filesAtOnce), context);
  if (own === undefined) throw new LifeboatError('storage', `${name} was not archived`);
  return { own, along };
}

/** A note that cannot be written costs a comparison later. */
async function noteAlong(
  { folder, repositoryId }: { readonly folder: string; readonly repositoryId: string },
  names: readonly string[],
  { emit }: RunContext,
): Promise<void> {
  const tell = (error: unknown): void => emit({ type: 'debug', message: messageOf(error) });
  for (const each of names) await noteShipped(folder, each, repositoryId).catch(tell);
}

/** Histories first, as the archiver does, then by name; without the file itself. Empty where this is no pg_wal. */
async function readyBeside(path: string): Promise<string[]> {
  const names = await readdir(join(dirname(path), 'archive_status')).catch(() => []);
  const ready = names.filter((name) => name.endsWith('.ready')).map((name) => name.slice(0, -'.ready'.length));
  const rank = (name: string): string => (name.endsWith('.history') ? `0${name}` : `1${name}`);
  return ready
    .filter((name) => name !== basename(path) && isArchivable(name))
    .toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

interface FileToArchive {
  readonly body: Buffer | WalBody;
  readonly systemId: string;
}

/** Reads and checks one file. Throws LifeboatError when it is not what its name says or belongs to another cluster. */
async function readFileToArchive(
  path: string,
  clusterId: string | undefined,
  room = new ReadRoom(),
): Promise<FileToArchive> {
  const name = basename(path);
  let body: Buffer | WalBody;
  let head: Buffer;
  try {
    body = await room.read(path);
    head = body instanceof Uint8Array ? body : await body.read(0, headBytes);
  } catch (cause) {
    throw new LifeboatError('source', `cannot read ${path}: ${fileReason(cause)}`, {
      cause,
      hint: 'run it as the user of the server',
    });
  }
  const bytes = body instanceof Uint8Array ? body.length : body.bytes;
  const header = checkWalFile(needWalName(name), head, bytes);
  if (header !== undefined && clusterId !== undefined && header.systemId !== clusterId) {
    throw new LifeboatError(
      'integrity',
      `${name} was written by the cluster with system identifier ${header.systemId}, but lies in that of ${clusterId}`,
      { state: 'it was not archived' },
    );
  }
  const systemId = clusterId ?? header?.systemId;
  if (systemId === undefined) {
    throw new LifeboatError(
      'usage',
      `cannot tell which cluster ${name} belongs to: there is no global/pg_control beside its folder`,
      { hint: 'pass it as it lies in pg_wal of a data directory' },
    );
  }
  return { body, systemId };
}

/**
 * Ships the first file and, by several workers, those after it. Resolves to the outcomes up to the first that failed;
 * rejects if that is the first of all. The others' failures are only noted: the call for that file will say why.
 */
async function shipInOrder(
  names: readonly string[],
  ship: (name: string, room: ReadRoom) => Promise<PutOutcome>,
  atOnce: number,
  { signal, emit }: RunContext,
): Promise<PutOutcome[]> {
  const outcomes: (PutOutcome | undefined)[] = [];
  let end = names.length;
  let failure: Error | undefined;
  const wanted = function* (): Generator<readonly [number, string]> {
    for (const [at, name] of names.entries()) if (at < end && !signal.aborted) yield [at, name];
  };
  const idleRooms: ReadRoom[] = [];
  await forEachSideBySide(wanted(), atOnce, async ([at, name]) => {
    const room = idleRooms.pop() ?? new ReadRoom();
    try {
      outcomes[at] = await ship(name, room);
    } catch (error) {
      end = Math.min(end, at);
      if (at === 0) failure = error instanceof Error ? error : new Error(messageOf(error));
      else emit({ type: 'debug', message: `${name} was not archived along: ${messageOf(error)}` });
    }
    idleRooms.push(room);
  });
  if (failure !== undefined) throw failure;
  const shipped: PutOutcome[] = [];
  for (const outcome of outcomes) {
    if (outcome === undefined) break;
    shipped.push(outcome);
  }
  if (shipped.length === 0) signal.throwIfAborted();
  return shipped;
}
