/**
 * The folders that a recovery writes into: its data directory and one for each tablespace. They must be empty, have
 * room, and be reachable for the server's user; and they are empty or gone again if the recovery fails.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { fileError, tellingFileErrors } from '../../lib/file-errors.ts';
import { makeFolderFor, makeScratchFolder, type PrivateFolder } from '../../lib/fs.ts';
import { type RememberedPath, rememberPath } from '../../lib/leftovers.ts';
import { emptyFolder, type Identity, removeTree } from '../../lib/remove-tree.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Owner } from '../../lib/owners.ts';
import { placeTablespaces, type PlacedTablespace } from '../../source/postgres/base/tablespaces.ts';
import { refuseProtectedPlace, type OwnPlaces } from '../place-guard.ts';
import type { PitrPlan } from './plan.ts';

export interface RecoveryPlaces {
  /** Absolute, as all of them. */
  readonly dataDir: string;
  readonly tablespaces: readonly PlacedTablespace[];
  readonly owner: Owner | undefined;
}

const state = 'nothing was changed';

/** Throws `usage` (2) for folders that hold something or cannot be entered, `space` (15). */
export async function findPlaces(
  { facts, shown, place }: PitrPlan,
  dataDir: string,
  { own, map = {} }: { readonly own: OwnPlaces; readonly map?: Readonly<Record<string, string>> | undefined },
): Promise<RecoveryPlaces> {
  const owner = await ownerOf(dataDir, place.owner);
  const tablespaces = placeTablespaces(facts, dataDir, new Map(Object.entries(map)));
  const apart = tablespaces.reduce((sum, { bytes }) => sum + bytes, 0);
  const folders = [
    { path: dataDir, bytes: shown.baseBytes - apart + 256 * 1024 * 1024, flag: '--data-dir' },
    ...tablespaces.map(({ to, bytes }) => ({ path: to, bytes, flag: '--tablespace-map' })),
  ];
  for (const { path, flag } of folders) {
    await refuseFolder(path, flag, own);
    await refuseUnreachable(path, owner, flag);
  }
  await refuseFull(folders);
  return { dataDir, tablespaces, owner };
}

/** Of a throwaway cluster in this data directory, which is there. Throws `space` (15). */
export async function throwawayPlacesIn(
  { facts, shown }: PitrPlan,
  dataDir: string,
  owner: Owner | undefined,
): Promise<RecoveryPlaces> {
  await refuseFull([{ path: dataDir, bytes: shown.baseBytes + 256 * 1024 * 1024, flag: '--data-dir' }]);
  return { dataDir, tablespaces: placeTablespaces(facts, dataDir), owner };
}

/** The same for a cluster that is made anew, of about so many bytes. */
export async function findEmptyPlace(
  dataDir: string,
  bytes: number,
  { fallback, own }: { readonly fallback: Owner | undefined; readonly own: OwnPlaces },
): Promise<RecoveryPlaces> {
  const owner = await ownerOf(dataDir, fallback);
  await refuseFolder(dataDir, '--data-dir', own);
  await refuseUnreachable(dataDir, owner, '--data-dir');
  await refuseFull([{ path: dataDir, bytes: bytes + 256 * 1024 * 1024, flag: '--data-dir' }]);
  return { dataDir, tablespaces: [], owner };
}

export interface ClaimedFolders {
  /** Makes them (0700) for the user of the server. */
  make(): Promise<void>;
  /** Empties the folders, or removes those that were not there before; says which it did. */
  clear(): Promise<string>;
  /** They may outlive this process. */
  release(): void;
}

interface Claimed {
  readonly path: string;
  /** Undefined: it was there before. It may be a mount point then, which the next run could not remove. */
  readonly remembered: RememberedPath | undefined;
  identity?: Identity;
}

/** From here on a run that is killed has its folders removed by the next one. */
export async function claimFolders({ dataDir, tablespaces, owner }: RecoveryPlaces): Promise<ClaimedFolders> {
  const claim = async (path: string): Promise<Claimed> => {
    const isThere = (await stat(path).catch(() => undefined)) !== undefined;
    return { path, remembered: isThere ? undefined : rememberPath(path) };
  };
  const folders: Claimed[] = [];
  for (const path of [dataDir, ...tablespaces.map(({ to }) => to)]) folders.push(await claim(path));
  // What they lie in, where it is ours: it goes when they have gone.
  const beside = `${dataDir}-tablespaces`;
  const above = tablespaces.some(({ to }) => dirname(to) === beside) ? [await claim(beside)] : [];
  const all = [...above, ...folders];
  return {
    make: async () => {
      for (const each of all) each.identity = await makeFolder(each.path, owner);
      for (const { remembered, identity } of all) if (identity !== undefined) remembered?.exists(identity);
    },
    clear: async () => {
      for (const { path, remembered, identity } of all.toReversed()) {
        if (identity === undefined) continue;
        if (remembered !== undefined) await removeTree(path, identity);
        else if (path !== beside) await emptyFolder(path, identity);
      }
      return folders[0]?.remembered === undefined ? `${dataDir} is empty again` : `${dataDir} was removed again`;
    },
    release: () => {
      for (const { remembered } of all) remembered?.[Symbol.dispose]();
    },
  };
}

/** For socket, settings and log of a server; below the place of scratch servers. */
export function makeServerFolder(parent: string): PrivateFolder {
  return makeScratchFolder(join(parent, `lifeboat-pitr-${randomBytes(6).toString('hex')}`));
}

async function makeFolder(path: string, owner: Owner | undefined): Promise<Identity> {
  const hint = 'name a folder that this user may write to by --data-dir';
  return tellingFileErrors(`cannot recover into ${path}`, { hint }, async () => makeFolderFor(path, owner));
}

async function refuseFolder(path: string, flag: string, own: OwnPlaces): Promise<void> {
  await refuseProtectedPlace({ path, flag, refusal: 'cannot recover into' }, own);
  await refuseOthers(path, flag);
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

/** Without root's rights a folder of somebody else cannot be given to the server. */
async function refuseOthers(path: string, flag: string): Promise<void> {
  const user = process.geteuid?.();
  const there = await stat(path).catch(() => undefined);
  if (user === undefined || user === 0 || there === undefined || there.uid === user) return;
  throw new LifeboatError(
    'usage',
    `cannot recover into ${path}: it belongs to user ${there.uid}, and a server wants one of its own user (${user})`,
    { state, hint: `remove it, or give it to this user (chown), or name another folder by ${flag}` },
  );
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
async function refuseUnreachable(path: string, owner: Owner | undefined, flag: string): Promise<void> {
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
async function ownerOf(dataDir: string, fallback: Owner | undefined): Promise<Owner | undefined> {
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
