/**
 * Puts a base backup's tars into empty folders, so that no server can start from it before all of it is
 * there and recovered: pg_control comes last, recovery.signal before it, and the configuration stands
 * aside under other names until takeIntoUse().
 */
import { rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { fileError } from '../../../lib/file-errors.ts';
import { makeFolderFor, syncFolder, writeFileAtomic } from '../../../lib/fs.ts';
import { giveFolders, readTextAt, removeIn } from '../../../lib/held-files.ts';
import { HeldFolder } from '../../../lib/held-folder.ts';
import type { ArtifactReader } from '../../source.ts';
import { baseArtifact, manifestArtifact, tablespaceArtifact } from './artifacts.ts';
import { recordedConfiguration } from './configuration.ts';
import { checkManifest, type RestoredFile } from './manifest.ts';
import { placeConfiguration } from './place-configuration.ts';
import type { PlacedTablespace } from './tablespaces.ts';
import type { Owner } from '../../../lib/owners.ts';
import { BasePlacer, refusingTwice } from './placer.ts';
import { readTar } from './tar.ts';

export interface RestoreBaseOptions {
  readonly reader: ArtifactReader;
  /** Empty; so are the folders of the tablespaces, or they are not there. */
  readonly dataDir: string;
  readonly tablespaces: readonly PlacedTablespace[];
  readonly owner: Owner | undefined;
  /** The cluster is to be used: its configuration is made one that works there. */
  readonly isKept: boolean;
}

const controlFile = 'global/pg_control';
const manifestFile = 'backup_manifest';
/** Without the last of them no server starts by itself; both may name another recovery than ours. */
const setAside = ['postgresql.auto.conf', 'postgresql.conf'];
const asideSuffix = '.until-recovered';
/** They tell of the old server, and where its tablespaces lay: ours are linked to where they are now. */
const leftOut = ['postmaster.pid', 'standby.signal', 'recovery.signal', 'tablespace_map'];

/**
 * Durable when it resolves, and equal to PostgreSQL's own manifest. Throws `integrity` (14) for what is no whole base
 * backup, `space` (15).
 */
export async function restoreBase(
  { reader, dataDir, tablespaces, owner, isKept }: RestoreBaseOptions,
  context: RunContext,
): Promise<void> {
  const asideName = (path: string): string =>
    path === controlFile || setAside.includes(path) ? path + asideSuffix : path;
  const nameOf = (path: string): string | undefined => (leftOut.includes(path) ? undefined : asideName(path));
  const placer = new BasePlacer(owner);
  const counted = progressOf(reader, context);
  const taken: HeldFolder[] = [];
  const take = (path: string): string => {
    taken.push(takeFolder(path, owner));
    return taken.at(-1)?.child('.') ?? path;
  };
  try {
    const top = take(dataDir);
    placer.root(top, '', nameOf);
    await readTar(counted(baseArtifact), async (entry) => placer.place(entry));
    for (const { oid, to } of tablespaces) {
      makeFolderFor(to, owner);
      placer.root(take(to), `pg_tblspc/${oid}/`, (path) => path);
      await readTar(counted(tablespaceArtifact(oid)), async (entry) => placer.place(entry));
    }
    placer.root(top, '', nameOf);
    if (reader.artifacts.some(({ name }) => name === manifestArtifact)) {
      await placer.copy(manifestFile, counted(manifestArtifact));
    }
    await checkWhole(top, await placer.finish());
    for (const { oid, to } of tablespaces) {
      await refusingTwice(`pg_tblspc/${oid}`, symlink(to, join(top, 'pg_tblspc', oid)));
    }
    placer.root(top, '', (path) => path);
    const place = { reader, placer, top, owner, nameOf: asideName };
    await (isKept ? placeConfiguration(place, context.emit) : recordedConfiguration(reader));
    await placer.copy('recovery.signal', []);
    await placer.finish();
    await placer.syncFolders();
    // The commit point: without pg_control it is no data directory for any server.
    await rename(join(top, `${controlFile}${asideSuffix}`), join(top, controlFile));
    await syncFolder(join(top, 'global'));
    if (owner !== undefined) for (const folder of taken.toReversed()) giveFolders(folder, owner);
  } catch (error) {
    throw fileError(error, `cannot write to ${[dataDir, ...tablespaces.map(({ to }) => to)].join(', ')}`, {
      hint: 'make room, or name folders on another disk by --data-dir and --tablespace-map',
    });
  } finally {
    await placer.abandon();
    for (const folder of taken) {
      if (owner !== undefined) folder.giveTo(owner);
      folder[Symbol.dispose]();
    }
  }
}

/** Against PostgreSQL's own manifest. */
async function checkWhole(dataDir: string, restored: Map<string, RestoredFile>): Promise<void> {
  if (!restored.has(controlFile) || !restored.delete(manifestFile)) {
    const missing = restored.has(controlFile) ? manifestFile : controlFile;
    throw new LifeboatError('integrity', `the base backup is not whole: it has no ${missing}`);
  }
  await checkManifest(join(dataDir, manifestFile), restored);
}

/**
 * An empty folder, by descriptor. Root takes it for itself until all is in it: nobody else can enter it meanwhile, and
 * what its paths mean is sure.
 */
function takeFolder(path: string, owner: Owner | undefined): HeldFolder {
  const folder = HeldFolder.open(path);
  const isTheirs = owner !== undefined && folder.stat().uid === owner.uid;
  if (isTheirs) {
    folder.giveTo({ uid: 0, gid: 0 });
    folder.setMode(0o700);
  }
  if (folder.isEmpty && isTheirs === (owner !== undefined)) return folder;
  if (isTheirs) folder.giveTo(owner);
  folder[Symbol.dispose]();
  throw new LifeboatError('usage', `cannot restore into ${path}: files were put there meanwhile`);
}

/** For a folder that was not restored but made: no server starts from it by itself until takeIntoUse(). */
export async function setConfigurationAside(dataDir: string): Promise<void> {
  using folder = HeldFolder.open(dataDir);
  for (const name of setAside) await rename(folder.child(name), folder.child(name + asideSuffix));
}

/**
 * Gives a recovered folder its configuration back, without the old recovery settings: not archiving, or as a standby
 * with these settings, which are lines of postgresql.auto.conf.
 */
export async function takeIntoUse(dataDir: string, standby?: readonly string[]): Promise<void> {
  using folder = HeldFolder.open(dataDir);
  for (const name of setAside) {
    const aside = name + asideSuffix;
    if (name === 'postgresql.auto.conf') {
      const text = await readTextAt(join(dataDir, aside)).catch(() => '');
      await writeFileAtomic(join(dataDir, aside), withoutRecovery(text, standby ?? ["archive_mode = 'off'"]));
    }
    await rename(folder.child(aside), folder.child(name)).catch((error: unknown) => {
      // Debian keeps postgresql.conf elsewhere.
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    });
  }
  for (const name of ['backup_label.old', 'tablespace_map.old']) await removeIn(folder, name);
  if (standby !== undefined) await rename(folder.child('recovery.signal'), folder.child('standby.signal'));
  await syncFolder(folder.child('.'));
}

const ofRecovery = new RegExp(
  '^\\s*(recovery_\\w+|restore_command|archive_cleanup_command|archive_mode|primary_(conninfo|slot_name))\\s*=',
);

function withoutRecovery(text: string, added: readonly string[]): string {
  const kept = text.split('\n').filter((line) => line !== '' && !ofRecovery.test(line));
  return [...kept, ...added, ''].join('\n');
}

/** Opens artifacts, telling how far all of them together have come. */
function progressOf(
  reader: ArtifactReader,
  { signal, emit }: RunContext,
): (name: string) => AsyncGenerator<Uint8Array> {
  const totalBytes = reader.artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
  let readBytes = 0;
  return async function* (name) {
    for await (const piece of reader.open(name)) {
      signal.throwIfAborted();
      readBytes += piece.length;
      emit({ type: 'progress', component: 'base', readBytes, newBytes: 0, storedBytes: 0, totalBytes });
      yield piece;
    }
  };
}
