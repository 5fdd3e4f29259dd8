/**
 * Builds a tree in a fresh, private folder, whatever the entries say: folders are entered by descriptor,
 * never through a symlink; nothing is ever overwritten; names that lead elsewhere are refused. A
 * folder's owner, mode and time are set when all that is in it has been written.
 */
import fs from 'node:fs';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { changeMode, changeOwner, changeTimes, closeFile, type Folder, openFolder, statLink } from './system-calls.ts';
import { displayPath, splitName } from './names.ts';
import type { Rights } from './restore-rights.ts';

/** A folder being filled. */
export interface OpenFolder {
  readonly folder: Folder;
  readonly name: Buffer;
  readonly parent: OpenFolder | undefined;
  rights: Rights | undefined;
  /** Work and folders in it that have not ended. */
  pending: number;
  isLeft: boolean;
}

const implicitRights: Rights = { owner: undefined, mode: 0o755, mtimeSeconds: Number.NaN };

export class TargetTree {
  readonly #top: OpenFolder;
  #stack: OpenFolder[];
  /** Paths (latin1) of folders that were made only as the way to what is restored. */
  readonly implicit = new Set<string>();

  private constructor(top: OpenFolder) {
    this.#top = top;
    this.#stack = [top];
  }

  static async open(path: string): Promise<TargetTree> {
    const folder = await openFolder(Buffer.from(path));
    return new TargetTree({
      folder,
      name: Buffer.alloc(0),
      parent: undefined,
      rights: undefined,
      pending: 0,
      isLeft: false,
    });
  }

  /** The folder at these components, made where it is missing; folders that do not lead there are left. */
  async enter(components: readonly Buffer[]): Promise<OpenFolder> {
    let depth = 0;
    while (
      depth < components.length &&
      this.#stack[depth + 1]?.name.equals(components[depth] ?? Buffer.alloc(0)) === true
    ) {
      depth++;
    }
    await this.#leaveTo(depth);
    let current = this.#stack[depth] ?? this.#top;
    for (const [index, name] of components.slice(depth).entries()) {
      current = await this.#make(current, name);
      this.#stack.push(current);
      // Until an entry says otherwise.
      current.rights = implicitRights;
      this.implicit.add(keyOf(components.slice(0, depth + index + 1)));
    }
    return current;
  }

  /**
   * Makes the folder of an entry; what it gets at its end is in `rights`. One that is only a way (`isWay`) gets that
   * where there is none yet.
   */
  async addFolder(components: readonly Buffer[], rights: Rights, isWay: boolean): Promise<void> {
    const folder = await this.enter(components);
    folder.rights = rights;
    if (!isWay) this.implicit.delete(keyOf(components));
  }

  /** Gives a file that is already there another name. The target is reached without following a symlink. */
  async addHardLink(parent: OpenFolder, name: Buffer, target: readonly Buffer[]): Promise<void> {
    const last = target.at(-1) ?? Buffer.alloc(0);
    const opened: Folder[] = [];
    try {
      let folder = this.#top.folder;
      for (const part of target.slice(0, -1)) {
        folder = await openFolder(folder.child(part));
        opened.push(folder);
      }
      const existing = folder.child(last);
      if (!(await statLink(existing)).isFile()) {
        throw new LifeboatError('integrity', `cannot make a hard link to ${displayPath(last)}: it is not a file`);
      }
      await fs.promises.link(existing, parent.folder.child(name));
    } catch (error) {
      if (['ENOENT', 'ELOOP', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) {
        throw new LifeboatError(
          'integrity',
          `cannot make a hard link to ${displayPath(last)}: it is not in the backup before its other name`,
          { cause: error },
        );
      }
      throw error;
    } finally {
      for (const folder of opened) await closeFile(folder.fd);
    }
  }

  /** Leaves all folders and sets what is still to be set. All work in them must have ended. */
  async finish(): Promise<void> {
    await this.#leaveTo(0);
    this.#stack = [];
    await this.#leave(this.#top);
  }

  /** Closes what is open, after a failure. */
  async abandon(): Promise<void> {
    for (const folder of this.#stack.splice(0)) await closeFile(folder.folder.fd).catch(() => {});
  }

  /** Work in a folder has ended: the last of it in a folder that was left completes the folder. */
  async release(folder: OpenFolder): Promise<void> {
    folder.pending--;
    if (folder.isLeft && folder.pending === 0) await this.#complete(folder);
  }

  async #make(parent: OpenFolder, name: Buffer): Promise<OpenFolder> {
    const path = parent.folder.child(name);
    await fs.promises.mkdir(path, { mode: 0o700 });
    const folder = await openFolder(path);
    parent.pending++;
    return { folder, name: Buffer.from(name), parent, rights: undefined, pending: 0, isLeft: false };
  }

  async #leaveTo(depth: number): Promise<void> {
    while (this.#stack.length > depth + 1) {
      const folder = this.#stack.pop();
      if (folder !== undefined) await this.#leave(folder);
    }
  }

  async #leave(folder: OpenFolder): Promise<void> {
    folder.isLeft = true;
    if (folder.pending === 0) await this.#complete(folder);
  }

  async #complete(folder: OpenFolder): Promise<void> {
    try {
      if (folder.rights !== undefined) await applyRights(folder.folder.fd, folder.rights);
    } finally {
      await closeFile(folder.folder.fd);
    }
    if (folder.parent !== undefined) await this.release(folder.parent);
  }
}

function keyOf(components: readonly Buffer[]): string {
  return components.map((part) => part.toString('latin1')).join('/');
}

/** Owner first: a change of owner takes setuid bits away. */
export async function applyRights(fd: number, rights: Rights): Promise<void> {
  if (rights.owner !== undefined) await changeOwner(fd, rights.owner.uid, rights.owner.gid);
  await changeMode(fd, rights.mode);
  if (!Number.isNaN(rights.mtimeSeconds)) await changeTimes(fd, Date.now() / 1000, timeArgument(rights.mtimeSeconds));
}

/** Node takes a negative number for a mistake and sets the present instead; as text it goes through. */
export function timeArgument(seconds: number): string {
  return String(seconds);
}

/** The components of a member's path. Throws (integrity) for one that could lead out of its folder. */
export function safeComponents(path: Buffer): Buffer[] {
  const parts = splitName(path);
  for (const part of parts) {
    const text = part.toString('latin1');
    if (text === '' || text === '.' || text === '..' || part.includes(0)) {
      throw new LifeboatError(
        'integrity',
        `cannot restore ${displayPath(path)}: the path is not a plain one below the target`,
      );
    }
  }
  return parts;
}
