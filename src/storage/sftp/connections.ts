/** The connection to a server that all calls share: opened when first needed, and anew by whoever finds it lost. */
import { posix } from 'node:path';
import type { SftpLocation } from '../../config/config.ts';
import { StorageError } from '../storage.ts';
import { isKind } from './attributes.ts';
import { connect, type Connection, type ConnectOptions } from './connect.ts';
import { ignoreAbsent } from './errors.ts';
import type { Session } from './session.ts';

export interface ConnectionsOptions extends ConnectOptions {
  /** The root may be missing until it is made. */
  readonly create: boolean;
}

export class Connections {
  readonly #location: SftpLocation;
  readonly #options: ConnectionsOptions;
  #hasRoot = false;
  #current: Promise<Connection> | undefined;
  #root: string | undefined;
  #known: Connection | undefined;
  #isClosed = false;

  constructor(location: SftpLocation, options: ConnectionsOptions) {
    this.#location = location;
    this.#options = options;
  }

  /** One that is alive. Throws StorageError, LifeboatError `tool` (16). */
  async session(): Promise<Session> {
    if (this.#isClosed) throw new StorageError('the connection to the SFTP server was closed');
    const known = await this.#current?.catch(() => undefined);
    if (known?.isAlive === true) return known.session;
    if (known !== undefined || this.#current === undefined) this.#current = this.#connect();
    const { session } = await this.#current.catch((error: unknown) => {
      this.#current = undefined;
      throw error;
    });
    return session;
  }

  /** The session of the last connection, while it lives. */
  get known(): Session | undefined {
    return this.#known?.isAlive === true ? this.#known.session : undefined;
  }

  /** The path of an object or folder, by its key; '' is the root. Once there was a session. */
  pathOf(key: string): string {
    if (this.#root === undefined) throw new Error('the root is not known before there was a session');
    return key === '' ? this.#root : posix.join(this.#root, key);
  }

  /** Rejects with a StorageError if the root is not there: what is absent then is not known to be. */
  async requireRoot(session: Session): Promise<void> {
    const root = this.pathOf('');
    const found = await session.stat(root).catch(ignoreAbsent);
    if (found === undefined && this.#options.create && !this.#hasRoot) return;
    if (found !== undefined && isKind(found, 'folder')) {
      this.#hasRoot = true;
      return;
    }
    const reason = found === undefined ? 'is not there' : 'is not a folder';
    throw new StorageError(`the repository folder ${root} on ${this.#location.host} ${reason}`, {
      hint: 'mount its disk there or correct the path; a new repository is made by: lifeboat init',
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const connection = await this.#current?.catch(() => undefined);
    await connection?.close();
  }

  async #connect(): Promise<Connection> {
    const connection = await connect(this.#location, this.#options);
    try {
      this.#require(connection.session);
      this.#root ??= await rootOf(this.#location, connection.session);
      this.#known = connection;
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Without it a lease, or a key, would be away for a moment each time that it is replaced. */
  #require({ extensions }: Session): void {
    if (extensions.posixRename) return;
    throw new StorageError(
      `the SFTP server ${this.#location.host} cannot replace a file in one step (posix-rename@openssh.com)`,
      { hint: 'use a server that can, such as OpenSSH' },
    );
  }
}

/** Absolute; "~" is where the server puts its user. */
async function rootOf({ path }: SftpLocation, session: Session): Promise<string> {
  const absolute = path.startsWith('~') ? posix.join(await session.realPath('.'), path.slice(1)) : path;
  const root = posix.normalize(absolute);
  return root.length > 1 && root.endsWith('/') ? root.slice(0, -1) : root;
}
