/**
 * What `lifeboat doctor` checks of the repository: reachability, agreement on encryption, and then all that rests on
 * it.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { counted, formatBytes } from '../../lib/units.ts';
import { sha256 } from '../../repository/box/crypto.ts';
import { findUnexplained, hiddenWarning } from '../../repository/deletion/hidden-manifests.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import { decodePackTable } from '../../repository/packs/usage.ts';
import { openRepository, type Repository } from '../../repository/repository.ts';
import { rescueSum } from '../../repository/rescue/install.ts';
import { listAllWal } from '../../repository/wal/archive.ts';
import { readLogMemory } from '../../repository/wal/memory.ts';
import { openStorage } from '../../storage/open.ts';
import { NotFoundError, type Storage } from '../../storage/storage.ts';
import { checkBackups, findNewest, type NewestBackups } from './backups.ts';
import { attempt, failed, failedBy, limited, passed, warned } from './check.ts';
import { checkStorage } from './storage.ts';
import { repositoryPlace } from '../../config/repository-place.ts';
import { repositoryLocation } from '../open-repository.ts';
import type { DoctorCheck } from './request.ts';
import { packsKey } from '../../repository/object-keys.ts';

/** Tables of packs in memory at once. */
const tablesAtOnce = 4;

/** `targets`: whose backups are looked at. */
export async function checkRepository(
  loaded: LoadedConfig,
  targets: readonly string[],
  context: RunContext,
): Promise<readonly DoctorCheck[]> {
  const name = 'repository';
  let storage: Storage;
  try {
    const onRetry = (message: string): void => context.emit({ type: 'step', message });
    // The fault itself is to be told, not ridden out.
    storage = await limited(context, ({ signal }) =>
      openStorage(repositoryLocation(loaded), { signal, onRetry, retryBudgetMs: 3000, idleTimeoutMs: 10_000 }),
    );
  } catch (error) {
    context.signal.throwIfAborted();
    return [failedBy(name, error)];
  }
  try {
    return await checkOpened(name, loaded, storage, targets, context);
  } finally {
    await storage.close();
  }
}

async function checkOpened(
  name: string,
  loaded: LoadedConfig,
  storage: Storage,
  targets: readonly string[],
  context: RunContext,
): Promise<readonly DoctorCheck[]> {
  const location = repositoryLocation(loaded);
  let repository: Repository;
  try {
    repository = await limited(context, () =>
      openRepository(storage, loaded.config.encryption, loaded.config.stateDir, repositoryPlace(location)),
    );
  } catch (error) {
    context.signal.throwIfAborted();
    // Into a place that is no repository nothing is written, not even to try.
    const isRepository = error instanceof LifeboatError && (error.code === 'key' || error.code === 'integrity');
    return [failedBy(name, error), ...(isRepository ? await checkStorage(storage, location, context) : [])];
  }
  const newest = limited(context, () => findNewest(repository, targets));
  newest.catch(() => {});
  const all = await Promise.all([
    checkStorage(storage, location, context),
    attempt(`${name} space`, context, async () =>
      checkSpace(`${name} space`, repository, await newest.catch(() => undefined)),
    ),
    attempt(`${name} rescue script`, context, () => checkRescue(`${name} rescue script`, storage)),
    attempt(`${name} hidden backups`, context, () => checkHidden(`${name} hidden backups`, repository)),
    attempt(`${name} write-ahead log`, context, () => checkLog(`${name} write-ahead log`, repository)),
    checkBackups(repository, newest, targets, context),
  ]);
  return [passed(name, `${storage.location}, ${encryptionOf(repository)}`), ...all.flat()];
}

function encryptionOf({ encryption }: Repository): string {
  return encryption === 'none'
    ? 'not encrypted, as configured: whoever can write there can make backups, and only signatures tell'
    : 'encrypted, as configured';
}

/**
 * Where versions are kept: somebody may have put delete markers over backups, which no list shows. Nothing to say to
 * whoever may not look.
 */
async function checkHidden(name: string, repository: Repository): Promise<DoctorCheck[]> {
  const unexplained = await findUnexplained(repository);
  if (unexplained?.length === 0) return [passed(name, 'none')];
  return (unexplained ?? []).map((each) => warned(name, hiddenWarning(each).message, hiddenWarning(each).hint));
}

/** By names and sizes, and by what this host has found before: to read it all is for integrity and validate. */
async function checkLog(name: string, repository: Repository): Promise<DoctorCheck[]> {
  const memory = await readLogMemory(repository.state);
  let files = 0;
  const damaged: string[] = [];
  for await (const object of listAllWal(repository.storage)) {
    files++;
    const problem = memory.problemOf(object);
    if (problem !== undefined) damaged.push(`${object.key}: ${problem}`);
  }
  const [first, ...others] = damaged;
  if (first === undefined) return files === 0 ? [] : [passed(name, `${counted(files, 'file')}, none known to be bad`)];
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  const hint = 'lifeboat wal status names all; a base backup taken now needs none of them: lifeboat backup base';
  return [failed(name, `not what was stored: ${first}${more}`, hint, 'integrity')];
}

/** The next backup stores little if little has changed, but after a change of the key all of it anew. */
async function checkSpace(
  name: string,
  { storage }: Repository,
  newest: NewestBackups | undefined,
): Promise<DoctorCheck | DoctorCheck[]> {
  const space = await storage.space();
  if (space === undefined) return [];
  const free = `${formatBytes(space.freeBytes)} free of ${formatBytes(space.totalBytes)}`;
  const hint = 'free some space, move the repository, or delete old backups: lifeboat cleanup';
  const manifests = [...(newest?.byTarget.values() ?? [])].flatMap(({ manifest }) => manifest ?? []);
  let fullBytes = 0;
  await forEachSideBySide(manifests, tablesAtOnce, async (manifest) => {
    const bytes = await fullSize(storage, manifest);
    fullBytes += bytes;
  });
  const lastBytes = manifests
    .flatMap(({ components }) => components)
    .reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  if (space.freeBytes < lastBytes) {
    const newestOnes = manifests.length === 1 ? 'backup' : 'backups';
    return failed(name, `${free}; the newest ${newestOnes} stored ${formatBytes(lastBytes)}`, hint, 'space');
  }
  if (space.freeBytes < fullBytes) {
    const full = 'a full backup, as after a change of the key,';
    return warned(name, `${free}; ${full} takes about ${formatBytes(fullBytes)}`, hint);
  }
  if (manifests.length === 0 && space.freeBytes < 100 * 1024 * 1024) return warned(name, free, hint);
  return passed(name, manifests.length === 0 ? free : `${free}; a full backup takes about ${formatBytes(fullBytes)}`);
}

/**
 * What a backup takes in the repository by itself, in bytes; 0 where its table of packs cannot be read (validate
 * tells).
 */
async function fullSize(storage: Storage, { id }: Manifest): Promise<number> {
  try {
    let bytes = 0;
    for (const { usedBytes } of decodePackTable(await storage.get(packsKey(id)))) bytes += usedBytes;
    return bytes;
  } catch {
    return 0;
  }
}

async function checkRescue(name: string, storage: Storage): Promise<DoctorCheck> {
  const object = 'rescue/rescue.mjs';
  const ours = await rescueSum();
  const replace = `lifeboat init --rescue-script, and write its SHA-256 ${ours} on the recovery sheet`;
  let sum: string;
  try {
    sum = sha256(await storage.get(object)).toString('hex');
  } catch (error) {
    if (error instanceof NotFoundError) {
      return warned(name, `the repository has no ${object}`, `put it there: ${replace}`);
    }
    return warned(name, messageOf(error), 'it is needed only where lifeboat cannot be installed');
  }
  if (sum === ours) return passed(name, `${object} is the one of this version, SHA-256 ${ours}`);
  return warned(
    name,
    `${object} (SHA-256 ${sum}) is not the one of this version: it is of another one, or somebody changed it`,
    'compare it with the recovery sheet; if that has it, too, it is of an older version, which may not read what ' +
      `newer ones write: ${replace}`,
  );
}
