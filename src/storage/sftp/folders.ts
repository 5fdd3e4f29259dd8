/** The folders of a repository on an SFTP server. The protocol cannot sync a folder: that is left to the server. */
import { posix } from 'node:path';
import { isKind } from './attributes.ts';
import { StatusError } from './channel.ts';
import type { Connections } from './connections.ts';
import { isAbsent } from './errors.ts';
import type { Session } from './session.ts';

/** Folders are named by their keys, without a slash at the end; '' is the root. */
export class SftpFolders {
  readonly #connections: Connections;
  readonly #create: boolean;
  readonly #ready = new Map<string, Promise<void>>();

  /** `create`: the root may be made. */
  constructor(connections: Connections, create: boolean) {
    this.#connections = connections;
    this.#create = create;
  }

  /** The folder is there when it resolves. Cheap from the second call on. */
  async ensure(session: Session, folder: string): Promise<void> {
    const known = this.#ready.get(folder);
    if (known !== undefined) return known;
    const making = this.#make(session, folder);
    this.#ready.set(folder, making);
    making.catch(() => this.#ready.delete(folder));
    return making;
  }

  /** What is known of this folder and those above it is no longer sure. */
  forget(folder: string): void {
    for (let each = folder; each !== ''; each = aboveOf(each)) this.#ready.delete(each);
    this.#ready.delete('');
  }

  /** Removes folders that have become empty, from this one upward; the root stays. */
  async removeEmpty(session: Session, folder: string): Promise<void> {
    for (let each = folder; each !== ''; each = aboveOf(each)) {
      try {
        await session.removeFolder(this.#connections.pathOf(each));
      } catch {
        return;
      }
      this.forget(each);
    }
  }

  async #make(session: Session, folder: string): Promise<void> {
    if (folder !== '') {
      await this.ensure(session, aboveOf(folder));
      await makeFolder(session, this.#connections.pathOf(folder));
    } else if (this.#create) await makeAll(session, this.#connections.pathOf(''));
    else await this.#connections.requireRoot(session);
  }
}

/** The key of the folder that a key lies in. */
export function aboveOf(key: string): string {
  return key.includes('/') ? posix.dirname(key) : '';
}

/** Also where it is there already. */
async function makeFolder(session: Session, path: string): Promise<void> {
  try {
    await session.makeFolder(path);
  } catch (error) {
    // Servers say in different ways that the name is taken.
    if (isAbsent(error) || !(error instanceof StatusError)) throw error;
    if (!isKind(await session.stat(path), 'folder')) throw error;
  }
}

async function makeAll(session: Session, path: string): Promise<void> {
  try {
    await makeFolder(session, path);
  } catch (error) {
    if (!isAbsent(error) || path === '/') throw error;
    await makeAll(session, posix.dirname(path));
    await makeFolder(session, path);
  }
}
