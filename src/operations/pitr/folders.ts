/**
 * The folders that a recovery writes into: its data directory and one for each tablespace. They must be empty, have
 * room, and be reachable for the server's user; and they are empty or gone again if the recovery fails.
 */
import { readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { fileError, tellingFileErrors } from '../../lib/file-errors.ts';
import { rememberPath } from '../../lib/leftovers.ts';
import { giveFolder } from '../../lib/owned-files.ts';
import { formatBytes } from '../../lib/units.ts';
import type { FolderOwner } from '../../source/postgres/base/placer.ts';
import { placeTablespaces, type PlacedTablespace } from '../../source/postgres/base/tablespaces.ts';
import type { PitrPlan } from './plan.ts';

export interface RecoveryPlaces {
  /** Absolute, as all of them. */
  readonly dataDir: string;
  readonly tablespaces: readonly PlacedTablespace[];
  readonly owner: FolderOwner | undefined;
}

const state = 'nothing was changed';

/** Throws `usage` (2) for folders that hold something or cannot be entered, `space` (15). */
export async function findPlaces(
  { facts, shown, place }: PitrPlan,
  dataDir: string,
  map: Readonly<Record<string, string>> = {},
): Promise<RecoveryPlaces> {
  const owner = await ownerOf(dataDir, place.owner);
  const tablespaces = placeTablespaces(facts, dataDir, new Map(Object.entries(map)));
  const apart = tablespaces.reduce((sum, { bytes }) => sum + bytes, 0);
  const folders = [
    { path: dataDir, bytes: shown.baseBytes - apart + 256 * 1024 * 1024, flag: '--data-dir' },
    ...tablespaces.map(({ to, bytes }) => ({ path: to, bytes, flag: '--tablespace-map' })),
  ];
  for (const { path, flag } of folders) {
    await refuseFolder(path, flag);
    await refuseUnreachable(path, owner, flag);
  }
  await refuseFull(folders);
  return { dataDir, tablespaces, owner };
}

/** Of a throwaway cluster in this data directory, which is there. Throws `space` (15). */
export async function throwawayPlacesIn(
  { facts, shown }: PitrPlan,
  dataDir: string,
  owner: FolderOwner | undefined,
): Promise<RecoveryPlaces> {
  await refuseFull([{ path: dataDir, bytes: shown.baseBytes + 256 * 1024 * 1024, flag: '--data-dir' }]);
  return { dataDir, tablespaces: placeTablespaces(facts, dataDir), owner };
}

/** The same for a cluster that is made anew, of about so many bytes. */
export async function findEmptyPlace(
  dataDir: string,
  bytes: number,
  fallback: FolderOwner | undefined,
): Promise<RecoveryPlaces> {
  const owner = await ownerOf(dataDir, fallback);
  await refuseFolder(dataDir, '--data-dir');
  await refuseUnreachable(dataDir, owner, '--data-dir');
  await refuseFull([{ path: dataDir, bytes: bytes + 256 * 1024 * 1024, flag: '--data-dir' }]);
  return { dataDir, tablespaces: [], owner };
}

export interface ClaimedFolders {
  /** Empties the folders, or removes those that were not there before; says which it did. */
  clear(): Promise<string>;
  /** They may outlive this process. */
  release(): void;
}

/** From here on a run that is killed has its folders removed by the next one. */
export async function claimFolders({ dataDir, tablespaces }: RecoveryPlaces): Promise<ClaimedFolders> {
  const folders: { readonly path: string; readonly isOurs: boolean }[] = [];
  for (const path of [dataDir, ...tablespaces.map(({ to }) => to)]) {
    folders.push({ path, isOurs: (await stat(path).catch(() => undefined)) === undefined });
  }
  const parents = [...new Set(tablespaces.map(({ to }) => dirname(to)))].filter(
    (parent) => parent === `${dataDir}-tablespaces`,
  );
  for (const path of parents) folders.push({ path, isOurs: (await stat(path).catch(() => undefined)) === undefined });
  // A folder that was there may be a mount point: the next run could not remove it.
  const remembered = folders.flatMap(({ path, isOurs }) => (isOurs ? [rememberPath(path)] : []));
  return {
    clear: async () => {
      for (const { path, isOurs } of folders) {
        if (!isOurs && parents.includes(path)) continue;
        for (const name of await readdir(path).catch(() => [])) {
          await rm(join(path, name), { recursive: true, force: true, maxRetries: 5 });
        }
        if (isOurs) await rm(path, { recursive: true, force: true, maxRetries: 5 });
      }
      return folders[0]?.isOurs === true ? `${dataDir} was removed again` : `${dataDir} is empty again`;
    },
    release: () => {
      for (const each of remembered) each[Symbol.dispose]();
    },
  };
}

/** For socket, settings and log of a server; below the place of scratch servers. */
export async function makeScratchFolder(parent: string): Promise<string> {
  const hint = 'make room there, or name a folder that this user may write to by TMPDIR';
  return tellingFileErrors(`cannot make a scratch folder in ${parent}`, { state, hint }, async () =>
    mkdtemp(join(parent, 'lifeboat-pitr-')),
  );
}

/** Makes the data directory (0700) for the user of the server. */
export async function makeDataDir({ dataDir, owner }: Pick<RecoveryPlaces, 'dataDir' | 'owner'>): Promise<void> {
  const hint = 'name a folder that this user may write to by --data-dir';
  await tellingFileErrors(`cannot recover into ${dataDir}`, { hint }, async () => {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await chmod(dataDir, 0o700);
    await giveFolder(dataDir, owner);
  });
}

async function refuseFolder(path: string, flag: string): Promise<void> {
  const names = await readdir(path).catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw fileError(error, `cannot recover into ${path}`, { state });
  });
  if (names?.includes('postmaster.pid') === true) {
    throw new LifeboatError(
      'usage',
      `cannot recover into ${path}: it is the data directory of a server that runs, or crashed (postmaster.pid)`,
      { state, hint: `name another folder by ${flag}` },
    );
  }
  if (names !== undefined && names.length > 0) {
    throw new LifeboatError('usage', `cannot recover into ${path}: it is not empty`, {
      state,
      hint: `name a folder that is empty or not there by ${flag}`,
    });
  }
}

/** Folders of one file system share its room. */
async function refuseFull(
  folders: readonly { readonly path: string; readonly bytes: number; readonly flag: string }[],
): Promise<void> {
  const needed = new Map<number, number>();
  for (const { path, bytes, flag } of folders) {
    const parent = await existingParent(path);
    const { dev } = await stat(parent);
    const needBytes = (needed.get(dev) ?? 0) + bytes * 1.05;
    needed.set(dev, needBytes);
    const { bavail, bsize } = await statfs(parent);
    if (bavail * bsize < needBytes) {
      throw new LifeboatError(
        'space',
        `cannot recover into ${path}: ${formatBytes(needBytes)} are needed, ${formatBytes(bavail * bsize)} are free`,
        { state, hint: `make room, or name a folder on another disk by ${flag}` },
      );
    }
  }
}

/** The server runs as another user than root, and must get there. */
async function refuseUnreachable(path: string, owner: FolderOwner | undefined, flag: string): Promise<void> {
  if (owner === undefined) return;
  for (let folder = await existingParent(dirname(path)); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    if ((mode & (uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001)) === 0) {
      throw new LifeboatError(
        'usage',
        `cannot recover into ${path}: the server runs as user ${owner.uid}, who may not enter ${folder}`,
        { state, hint: `name another folder by ${flag}` },
      );
    }
    if (folder === dirname(folder)) return;
  }
}

async function existingParent(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    if ((await stat(folder).catch(() => undefined)) !== undefined || folder === dirname(folder)) return folder;
  }
}

/** Who the server runs as: not root. A folder that is somebody's already stays so. */
async function ownerOf(dataDir: string, fallback: FolderOwner | undefined): Promise<FolderOwner | undefined> {
  if (process.geteuid?.() !== 0) return undefined;
  const there = await stat(dataDir).catch(() => undefined);
  if (there !== undefined && there.uid !== 0) return { uid: there.uid, gid: there.gid };
  const [, , uid, gid] =
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .find(([name]) => name === 'postgres') ?? [];
  return uid === undefined ? fallback : { uid: Number(uid), gid: Number(gid) };
}
