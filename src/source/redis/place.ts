/**
 * Restore into a stopped server: the snapshot is put into its folder as what it loads at its next start.
 * With appendonly yes a Redis from 7.0 on ignores dump.rdb, starts empty and overwrites it at its end, so
 * there the snapshot becomes the base of the append-only file. What was there is renamed, never deleted.
 */
import { lstat, open, readdir, readFile, readlink, realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { tellingFileErrors } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { makePrivateFolder, type PrivateFolder, syncFolder } from '../../lib/fs.ts';
import { writeNewFile } from '../../lib/held-files.ts';
import type { Owner } from '../../lib/owners.ts';
import { compactUtc } from '../../lib/time.ts';
import type { ArtifactReader } from '../source.ts';
import type { RedisFacts } from './facts.ts';
import { refuseDifference, spoolArtifact } from './fetch-snapshot.ts';
import { summarizeFile } from './rdb-file.ts';

export interface PlaceRequest {
  readonly reader: ArtifactReader;
  readonly facts: RedisFacts;
  /** The server's `dir`; must exist. */
  readonly dir: string;
  /** The server's `appendonly`. */
  readonly appendonly: boolean;
  /** Settings of the same names; defaults as Redis has them. */
  readonly dbFilename?: string | undefined;
  readonly appendFilename?: string | undefined;
  readonly appendDirname?: string | undefined;
  /**
   * Major version of the server that will load it: before 7 the append-only file is one file. Default: that of the
   * backed up one.
   */
  readonly serverMajor?: number | undefined;
}

export interface PlaceReport {
  /** What the server will load. */
  readonly placed: string;
  /** Where what was there is now; undefined if nothing was. */
  readonly keptBefore: string | undefined;
  readonly keys: number;
}

/**
 * Places it; all or nothing. Throws LifeboatError: confirmation when a server runs on the folder, integrity, space,
 * usage.
 */
export async function placeRedisSnapshot(request: PlaceRequest, context: RunContext): Promise<PlaceReport> {
  const dir = await realpath(request.dir).catch((error: unknown) => {
    throw new LifeboatError('usage', `there is no folder ${request.dir}`, { cause: error });
  });
  await refuseRunningServer(dir, context);
  const stamp = compactUtc(new Date()).replace('Z', '');
  const doing = `cannot place a snapshot in ${dir}`;
  const told = { state: 'nothing was changed', hint: 'run it as root or as the user of the server' };
  await using fresh = await tellingFileErrors(doing, told, async () =>
    makePrivateFolder(join(dir, `.lifeboat-${stamp}`)),
  );
  // Whoever owns the folder of the server can remove ours while it is empty.
  const { final, keptBefore } = await tellingFileErrors(doing, told, async () =>
    fresh.folder.namedLater(async () => fillAndSwap(request, fresh, { dir, stamp }, context)),
  );
  await syncFolder(fresh.parent.child('.'));
  return { placed: join(dir, final), keptBefore, keys: request.facts.keys };
}

async function fillAndSwap(
  request: PlaceRequest,
  fresh: PrivateFolder,
  { dir, stamp }: { readonly dir: string; readonly stamp: string },
  context: RunContext,
): Promise<{ readonly final: string; readonly keptBefore: string | undefined }> {
  const file = fresh.folder.child('snapshot');
  await spoolArtifact(request.reader, request.facts, file, dir, context);
  refuseDifference(await summarizeFile(file, context), request.facts);
  const { source, final } = await prepare(request, fresh);
  // Once more: reading the snapshot may have taken minutes.
  await refuseRunningServer(dir, context);
  const before = `${final}.before_${stamp}`;
  const isKept = await swapIn(fresh, source, final, before);
  return { final, keptBefore: isKept ? join(dir, before) : undefined };
}

/** Gives what is to be renamed, and to what: names, the one in the fresh folder, the other in that of the server. */
async function prepare(request: PlaceRequest, fresh: PrivateFolder): Promise<{ source: string; final: string }> {
  const aof = request.appendFilename ?? 'appendonly.aof';
  const major =
    request.serverMajor ?? (request.facts.flavour === 'valkey' ? 7 : Number(request.facts.serverVersion.split('.')[0]));
  const ofServer = fresh.parent.stat();
  if (!request.appendonly || major < 7) {
    // An append-only file may begin with a snapshot, and end with it.
    await takeOverOwner(fresh.folder.child('snapshot'), ofServer);
    return { source: 'snapshot', final: plainName(request.appendonly ? aof : (request.dbFilename ?? 'dump.rdb')) };
  }
  using folder = fresh.folder.make('aof');
  await rename(fresh.folder.child('snapshot'), folder.child(plainName(`${aof}.1.base.rdb`)));
  await writeNewFile(folder.child(`${aof}.manifest`), `file ${aof}.1.base.rdb seq 1 type b\n`, { flush: true });
  for (const name of await readdir(folder.child('.'))) await takeOverOwner(folder.child(name), ofServer);
  folder.setMode(0o750);
  if (process.geteuid?.() === 0) folder.giveTo(ofServer);
  await syncFolder(folder.child('.'));
  return { source: 'aof', final: plainName(request.appendDirname ?? 'appendonlydir') };
}

/** Redis itself takes no others. */
function plainName(name: string): string {
  if (name !== '' && !name.includes('/') && name !== '.' && name !== '..') return name;
  throw new LifeboatError('usage', `${JSON.stringify(name)} is no name of a file in the folder of a server`);
}

/** The server must be able to read it: its folder tells who it is. Nobody else can enter ours. */
async function takeOverOwner(path: string, { uid, gid }: Owner): Promise<void> {
  await using file = await open(path, 'r');
  await file.chmod(0o640);
  if (process.geteuid?.() === 0) await file.chown(uid, gid);
}

/**
 * The second rename is the moment from which the snapshot counts; if it fails, the first is undone. True if something
 * was there before.
 */
async function swapIn(fresh: PrivateFolder, source: string, final: string, before: string): Promise<boolean> {
  const [there, kept] = [fresh.parent.child(final), fresh.parent.child(before)];
  const isThere = await lstat(there).then(
    () => true,
    () => false,
  );
  if (isThere) await rename(there, kept);
  try {
    await rename(fresh.folder.child(source), there);
  } catch (error) {
    if (isThere) await rename(kept, there);
    throw error;
  }
  return isThere;
}

/** Redis changes into its folder, so the folder is some process' working directory while it runs. */
async function refuseRunningServer(dir: string, context: RunContext): Promise<void> {
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue;
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (!/redis|valkey|keydb/i.test(name)) continue;
    try {
      if ((await readlink(`/proc/${pid}/cwd`)) !== dir) continue;
    } catch (error) {
      if (systemCodeOf(error) === 'EACCES') {
        const unknown = `cannot tell whether process ${pid} (${name.trim()}) uses ${dir}`;
        const message = `${unknown}: make sure that the server is stopped`;
        context.emit({ type: 'warning', component: 'redis', message });
      }
      continue;
    }
    throw new LifeboatError('confirmation', `a server (process ${pid}) is running on ${dir}`, {
      state: 'nothing was changed',
      hint: 'stop it first: it would overwrite the snapshot when it ends',
    });
  }
}
