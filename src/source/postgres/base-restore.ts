/**
 * Puts a base backup's tar into an empty folder, so that no server can start from it before all of it is
 * there and recovered: pg_control comes last, recovery.signal before it, and the configuration stands
 * aside under other names until takeIntoUse().
 */
import { once } from 'node:events';
import { chmod, chown, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ReadEntry } from 'tar';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { spaceError, syncFolder } from '../../lib/fs.ts';

export interface FolderOwner {
  readonly uid: number;
  readonly gid: number;
}

export interface RestoreBaseOptions {
  /** The bytes of the tar, authenticated. */
  readonly tar: AsyncIterable<Uint8Array>;
  readonly bytes: number;
  /** Empty. */
  readonly dataDir: string;
  readonly owner: FolderOwner | undefined;
}

const controlFile = 'global/pg_control';
/** Without the last of them no server starts by itself; both may name another recovery than ours. */
const setAside = ['postgresql.auto.conf', 'postgresql.conf'];
const asideSuffix = '.until-recovered';

/** Durable when it resolves. Throws `integrity` (14) for a tar that is no whole base backup, `space` (15). */
export async function restoreBase({ tar, bytes, dataDir, owner }: RestoreBaseOptions, context: RunContext): Promise<void> {
  const placer = new Placer(dataDir, owner);
  try {
    await feed(tar, bytes, placer, context);
    await placer.finish();
  } catch (error) {
    throw spaceError(error, `cannot write to ${dataDir}`, 'make room, or name a folder on another disk by --data-dir');
  }
}

/** Gives a recovered folder its configuration back: without the old recovery settings, and not archiving. */
export async function takeIntoUse(dataDir: string): Promise<void> {
  for (const name of setAside) {
    const aside = join(dataDir, name + asideSuffix);
    if (name === 'postgresql.auto.conf') {
      const text = await readFile(aside, 'utf8').catch(() => '');
      await writeFile(aside, withoutRecovery(text), { mode: 0o600 });
    }
    await rename(aside, join(dataDir, name)).catch((error: unknown) => {
      // Debian keeps postgresql.conf elsewhere.
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    });
  }
  await rm(join(dataDir, 'backup_label.old'), { force: true });
  await syncFolder(dataDir);
}

function withoutRecovery(text: string): string {
  const kept = text.split('\n').filter((line) => line !== '' && !/^\s*(recovery_\w+|restore_command|archive_cleanup_command|archive_mode|primary_conninfo|primary_slot_name)\s*=/.test(line));
  return [...kept, "archive_mode = 'off'", ''].join('\n');
}

async function feed(tar: AsyncIterable<Uint8Array>, totalBytes: number, placer: Placer, { signal, emit }: RunContext): Promise<void> {
  const { Parser } = await import('tar');
  let failure: Error | undefined;
  let readBytes = 0;
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry: ReadEntry) => {
      placer.place(entry).catch((error: unknown) => {
        failure ??= error instanceof Error ? error : new Error(String(error));
        // So that whoever waits for room goes on, and sees the failure.
        entry.resume();
      });
    },
  });
  parser.on('error', (error: unknown) => (failure ??= new LifeboatError('integrity', `the base backup is no tar: ${messageOf(error)}`, { cause: error })));
  const ended = once(parser as unknown as NodeJS.EventEmitter, 'end');
  ended.catch(() => {});
  for await (const piece of tar) {
    signal.throwIfAborted();
    readBytes += piece.length;
    emit({ type: 'progress', component: 'base', readBytes, newBytes: 0, storedBytes: 0, totalBytes });
    if (!parser.write(Buffer.from(piece)) && failure === undefined) await once(parser as unknown as NodeJS.EventEmitter, 'drain', { signal });
    if (failure !== undefined) throw failure;
  }
  parser.end();
  await ended;
  if (failure !== undefined) throw failure;
}

class Placer {
  readonly #dataDir: string;
  readonly #owner: FolderOwner | undefined;
  readonly #folders = new Set<string>();
  readonly #placing: Promise<void>[] = [];
  #sawControl = false;
  #sawManifest = false;

  constructor(dataDir: string, owner: FolderOwner | undefined) {
    this.#dataDir = dataDir;
    this.#owner = owner;
    this.#folders.add(dataDir);
  }

  place(entry: ReadEntry): Promise<void> {
    const placing = this.#place(entry);
    this.#placing.push(placing);
    return placing;
  }

  /** All files are there: makes them durable, and then pg_control. */
  async finish(): Promise<void> {
    await Promise.all(this.#placing);
    if (!this.#sawControl || !this.#sawManifest) throw new LifeboatError('integrity', `the base backup is not whole: it has no ${this.#sawControl ? 'backup_manifest' : controlFile}`);
    await this.#write('recovery.signal', []);
    for (const folder of [...this.#folders].toReversed()) await syncFolder(folder);
    // The commit point: without pg_control it is no data directory for any server.
    await rename(join(this.#dataDir, `${controlFile}${asideSuffix}`), join(this.#dataDir, controlFile));
    await syncFolder(join(this.#dataDir, 'global'));
  }

  async #place(entry: ReadEntry): Promise<void> {
    const path = entry.path.replace(/^\.\//, '').replace(/\/$/, '');
    if (['', '.', 'postmaster.pid', 'standby.signal'].includes(path)) {
      entry.resume();
      return;
    }
    if (path.startsWith('/') || path.split('/').includes('..')) throw new LifeboatError('integrity', `the base backup holds a path out of its folder: ${path}`);
    if (entry.type === 'Directory') {
      entry.resume();
      return this.#makeFolder(path, entry.mode);
    }
    if (entry.type !== 'File' && entry.type !== 'OldFile') throw new LifeboatError('integrity', `the base backup holds ${path}, which is neither file nor folder but ${entry.type}`);
    if (path === controlFile) this.#sawControl = true;
    if (path === 'backup_manifest') this.#sawManifest = true;
    const isAside = path === controlFile || setAside.includes(path);
    await this.#write(isAside ? path + asideSuffix : path, entry as AsyncIterable<Uint8Array>, entry.mode);
  }

  async #makeFolder(path: string, mode = 0o700): Promise<void> {
    const target = join(this.#dataDir, path);
    await mkdir(target, { recursive: true });
    await chmod(target, mode & 0o777);
    await this.#give(target);
    this.#folders.add(target);
  }

  async #write(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, mode = 0o600): Promise<void> {
    const target = join(this.#dataDir, path);
    if (!this.#folders.has(dirname(target))) await this.#makeFolder(dirname(path));
    const file = await open(target, 'wx', mode & 0o777);
    try {
      for await (const piece of content) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#give(target);
  }

  async #give(path: string): Promise<void> {
    if (this.#owner !== undefined) await chown(path, this.#owner.uid, this.#owner.gid);
  }
}
