/**
 * A folder held open, so that what its path means cannot change between two calls. Node has no openat: an entry is
 * reached as `/proc/self/fd/N/name`, which leads into this very folder, whatever is renamed meanwhile. On the way there
 * a symbolic link is followed only where nobody else can have put it: it belongs to root or to us, in folders of
 * root's or ours. So root and service users can work in folders of others, who may plant links, rename and remove as
 * they like: nothing of it leads elsewhere. Without /proc (not Linux) entries are reached by path: weaker promises.
 */
import fs, { type Stats } from 'node:fs';
import { join, resolve } from 'node:path';
import { LifeboatError, systemCodeOf } from './errors.ts';
import { give, type Owner } from './owners.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;
const hasProc = fs.existsSync('/proc/self/fd');
/** With Linux's O_PATH a folder can be entered that may not be listed. */
const asPlace = (hasProc ? 0o10000000 : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW;
const maxLinks = 40;

export interface EnterOptions {
  /** A missing one is made (0700, or with `mode` as far as the umask lets it). */
  readonly create?: boolean;
  readonly mode?: number;
  /** Whose it is then. Default: in a folder of another user root gives it to that user. */
  readonly owner?: Owner | 'ours' | undefined;
}

export class HeldFolder implements Disposable {
  /** Where it was when it was opened, links resolved; for messages, and to find it again. */
  readonly path: string;
  /** Nobody but root and we can put another folder in the place of this one, or exchange what is in it. */
  readonly isSafe: boolean;
  readonly #fd: number;
  readonly #prefix: string;
  #isOpen = true;

  private constructor(path: string, fd: number, above: { readonly isSafe: boolean }) {
    this.path = path;
    this.#fd = fd;
    this.#prefix = hasProc ? `/proc/self/fd/${fd}/` : `${path}/`;
    this.isSafe = above.isSafe && isOursAlone(fs.fstatSync(fd));
  }

  /**
   * By an absolute path, from the root. Throws LifeboatError `usage` (2) for a link that somebody else may have put
   * there; what the file system refuses as it is, by the real path.
   */
  static open(path: string, options: EnterOptions = {}): HeldFolder {
    return HeldFolder.#walk(resolve(path), options, 0);
  }

  /** The same; undefined where it is not there. */
  static openIfThere(path: string): HeldFolder | undefined {
    try {
      return HeldFolder.open(path);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  static #walk(path: string, options: EnterOptions, links: number): HeldFolder {
    const held = /^\/proc\/self\/fd\/\d+(?=\/|$)/.exec(path)?.[0];
    // What another one of these has named by its own descriptor.
    const first = held === undefined ? '/' : `${held}/.`;
    let folder = new HeldFolder(held ?? '/', fs.openSync(first, asPlace), { isSafe: true });
    for (const name of path
      .slice(held?.length ?? 0)
      .split('/')
      .filter((each) => each !== '')) {
      using above = folder;
      folder = above.#enter(name, options, links, () => fs.openSync(above.child(name), asPlace));
    }
    return folder;
  }

  /** The path of an entry. `name` is one component. */
  child(name: string): string {
    return this.#prefix + name;
  }

  /** The same for a name that may be no text. */
  childOf(name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(this.#prefix), name]);
  }

  stat(): Stats {
    return fs.fstatSync(this.#fd);
  }

  /** Whose it is, if we are root and it is somebody else's; else undefined, and there is nothing to give away. */
  get owner(): Owner | undefined {
    if (process.geteuid?.() !== 0) return undefined;
    const { uid, gid } = this.stat();
    return uid === 0 ? undefined : { uid, gid };
  }

  /** A folder in it. Throws as `open` does. */
  enter(name: string, options: EnterOptions = {}): HeldFolder {
    return this.#enter(name, options, 0, () => fs.openSync(this.child(name), asPlace));
  }

  /** The same, without keeping the process waiting where the file system does not answer. */
  async enterLater(name: string, options: EnterOptions = {}): Promise<HeldFolder> {
    const opened = await new Promise<number | Error>((done) => {
      fs.open(this.child(name), asPlace, (error, fd) => done(error ?? fd));
    });
    return this.#enter(name, options, 0, () => {
      if (typeof opened === 'number') return opened;
      throw opened;
    });
  }

  /** A folder in it whose name may be no text; a link is none. */
  enterBytes(name: Buffer): HeldFolder {
    return this.named(
      () => new HeldFolder(join(this.path, name.toString()), fs.openSync(this.childOf(name), asPlace), this),
    );
  }

  /** Makes a folder (0700) that was not there: EEXIST if it was. It stays ours. */
  make(name: string): HeldFolder {
    return this.named(() => {
      fs.mkdirSync(this.child(name), { mode: 0o700 });
      const made = new HeldFolder(join(this.path, name), fs.openSync(this.child(name), asPlace), this);
      if (made.#isNew(this)) return made;
      made[Symbol.dispose]();
      throw new LifeboatError(
        'usage',
        `cannot work in ${join(this.path, name)}: somebody has put another folder there`,
      );
    });
  }

  /** Another handle of it, for who keeps one longer. */
  again(): HeldFolder {
    return new HeldFolder(this.path, fs.openSync(this.child('.'), asPlace), this);
  }

  /** What `work` throws names real paths instead of ours by descriptor. */
  named<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.telling(error);
    }
  }

  /** The same for what is thrown later. */
  async namedLater<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.telling(error);
    }
  }

  /** An error of the file system, with the real path in place of ours by descriptor. */
  telling(error: unknown): unknown {
    if (!(error instanceof Error) || !hasProc) return error;
    const told = error as Error & { path?: unknown; dest?: unknown };
    for (const key of ['path', 'dest', 'message'] as const) {
      const text = told[key];
      if (typeof text === 'string') told[key] = text.replaceAll(this.#prefix, `${this.path}/`.replace('//', '/'));
    }
    return told;
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) fs.closeSync(this.#fd);
    this.#isOpen = false;
  }

  #enter(name: string, options: EnterOptions, links: number, open: () => number): HeldFolder {
    return this.named(() => {
      try {
        return new HeldFolder(join(this.path, name), open(), this);
      } catch (error) {
        const code = systemCodeOf(error) ?? '';
        if (code === 'ENOENT' && options.create === true) return this.#makeOrEnter(name, options);
        if (code === 'ENOTDIR' || code === 'ELOOP') return this.#follow(name, options, links, error);
        throw error;
      }
    });
  }

  #makeOrEnter(name: string, { owner = this.owner, mode = 0o700 }: EnterOptions): HeldFolder {
    const isMade = madeFolder(this.child(name), mode);
    const folder = new HeldFolder(join(this.path, name), fs.openSync(this.child(name), asPlace), this);
    // What lies there by now may be another folder of root's, put there to be given away.
    if (isMade && owner !== undefined && owner !== 'ours' && folder.#isNew(this)) folder.giveTo(owner);
    return folder;
  }

  get isEmpty(): boolean {
    return fs.readdirSync(this.child('.')).length === 0;
  }

  setMode(mode: number): void {
    // By the link of the descriptor itself: what may only be entered cannot be changed by fchmod.
    fs.chmodSync(hasProc ? `/proc/self/fd/${this.#fd}` : this.path, mode);
  }

  /** Gives the folder itself away. */
  giveTo(owner: Owner): void {
    const fd = fs.openSync(this.child('.'), O_RDONLY | O_DIRECTORY);
    try {
      give(fd, owner);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Ours, empty and beside its parent: whatever it was, who has it gets nothing by it. */
  #isNew(parent: HeldFolder): boolean {
    const { uid, dev } = this.stat();
    return uid === process.geteuid?.() && dev === parent.stat().dev && this.isEmpty;
  }

  #follow(name: string, options: EnterOptions, links: number, error: unknown): HeldFolder {
    const target = this.targetOf(name);
    if (target === undefined) throw error;
    if (links >= maxLinks) throw circle(join(this.path, name));
    return HeldFolder.#walk(target, options, links + 1);
  }

  /**
   * Where a link leads; undefined if there is none of that name. Throws LifeboatError `usage` (2) for one that somebody
   * else may have put there.
   */
  targetOf(name: string): string | undefined {
    const link = fs.lstatSync(this.child(name), { throwIfNoEntry: false });
    if (link?.isSymbolicLink() !== true) return undefined;
    if (!isTrusted(link.uid) || !this.isSafe) throw strangersLink(join(this.path, name));
    return resolve(this.path, fs.readlinkSync(this.child(name)));
  }
}

/** False if something was there already. */
function madeFolder(path: string, mode: number): boolean {
  try {
    fs.mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** As the system would say it. */
function circle(path: string): Error {
  const error = new Error(`ELOOP: too many symbolic links encountered, open '${path}'`);
  return Object.assign(error, { code: 'ELOOP', syscall: 'open', path });
}

function strangersLink(path: string): LifeboatError {
  return new LifeboatError(
    'usage',
    `cannot follow ${path}: it is a symbolic link that another user may have put there`,
    { hint: 'name the folder that it leads to instead, or mount that one there (mount --bind)' },
  );
}

/** In a user namespace root of the host is unknown: whose the root folder is may do everything, too. */
function isTrusted(uid: number): boolean {
  rootOwner ??= fs.statSync('/').uid;
  return uid === 0 || uid === process.geteuid?.() || uid === rootOwner;
}

let rootOwner: number | undefined;

/** Sticky: everybody may write there, but exchange only what is their own. */
function isOursAlone({ uid, mode }: Stats): boolean {
  return isTrusted(uid) && (mode & 0o1002) !== 0o0002;
}
