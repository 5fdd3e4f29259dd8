/**
 * Restore into a stopped server: the snapshot is put into its folder as what it loads at its next start.
 * With appendonly yes a Redis from 7.0 on ignores dump.rdb, starts empty and overwrites it at its end, so
 * there the snapshot becomes the base of the append-only file. What was there is renamed, never deleted.
 */
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { tellingFileErrors } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { syncFolder } from '../../lib/fs.ts';
import { rememberPath } from '../../lib/leftovers.ts';
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
  const fresh = join(dir, `.lifeboat-${stamp}`);
  using _ = rememberPath(fresh);
  try {
    const hint = 'run it as root or as the user of the server';
    await tellingFileErrors(`cannot place a snapshot in ${dir}`, { state: 'nothing was changed', hint }, async () =>
      mkdir(fresh, { mode: 0o700 }),
    );
    const file = join(fresh, 'snapshot');
    await spoolArtifact(request.reader, request.facts, file, dir, context);
    refuseDifference(await summarizeFile(file, context), request.facts);
    const { source, final } = await prepare(request, dir, fresh);
    // Once more: reading the snapshot may have taken minutes.
    await refuseRunningServer(dir, context);
    const keptBefore = await swapIn(source, final, `${final}.before_${stamp}`);
    await syncFolder(dir);
    return { placed: final, keptBefore, keys: request.facts.keys };
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Gives what is to be renamed, and to what. */
async function prepare(request: PlaceRequest, dir: string, fresh: string): Promise<{ source: string; final: string }> {
  const snapshot = join(fresh, 'snapshot');
  const aof = request.appendFilename ?? 'appendonly.aof';
  const major =
    request.serverMajor ?? (request.facts.flavour === 'valkey' ? 7 : Number(request.facts.serverVersion.split('.')[0]));
  const final = join(
    dir,
    !request.appendonly
      ? (request.dbFilename ?? 'dump.rdb')
      : major >= 7
        ? (request.appendDirname ?? 'appendonlydir')
        : aof,
  );
  if (!request.appendonly || major < 7) {
    // An append-only file may begin with a snapshot, and end with it.
    await takeOverOwner(snapshot, dir, 0o640);
    return { source: snapshot, final };
  }
  const folder = join(fresh, 'aof');
  await mkdir(folder, { mode: 0o750 });
  await rename(snapshot, join(folder, `${aof}.1.base.rdb`));
  await writeFile(join(folder, `${aof}.manifest`), `file ${aof}.1.base.rdb seq 1 type b\n`, {
    mode: 0o640,
    flush: true,
  });
  for (const name of await readdir(folder)) await takeOverOwner(join(folder, name), dir, 0o640);
  await takeOverOwner(folder, dir, 0o750);
  await syncFolder(folder);
  return { source: folder, final };
}

/** The server must be able to read it: its folder tells who it is. */
async function takeOverOwner(path: string, dir: string, mode: number): Promise<void> {
  const { uid, gid } = await stat(dir);
  await chmod(path, mode);
  if (process.getuid?.() === 0) await chown(path, uid, gid);
}

/** The second rename is the moment from which the snapshot counts; if it fails, the first is undone. */
async function swapIn(source: string, final: string, before: string): Promise<string | undefined> {
  const there = await stat(final).then(
    () => true,
    () => false,
  );
  if (there) await rename(final, before);
  try {
    await rename(source, final);
  } catch (error) {
    if (there) await rename(before, final);
    throw error;
  }
  return there ? before : undefined;
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
