/**
 * Programs in a sandbox of namespaces, by bubblewrap: they see the system's programs and libraries, the folders that
 * they are given, and nothing else of this host: no home, no state, no key, no process, no socket, no network.
 * What runs in it may be hostile as a whole (SQL of a restored database that runs programs, a damaged file that takes
 * a parser over), and is a throwaway's.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ToolSpec } from './exec.ts';
import type { Owner } from './owners.ts';

/** What a program in the sandbox can reach besides the system's programs; the same paths inside as outside. */
export interface SandboxReach {
  /** Folders; the program's user must own them. */
  readonly writable: readonly string[];
  /** Folders and files. */
  readonly readable: readonly string[];
  /** The file that makes the uid a user: initdb refuses to run without one; see passwdText(). */
  readonly passwdFile: string;
  /** Default: a network of its own, without a way out. */
  readonly isOnNetwork?: boolean;
}

export interface SandboxSettings {
  /** Whose uid and gid the program gets; as root only, and needed then. Undefined: ours. */
  readonly owner: Owner | undefined;
  /** bubblewrap 0.8 and newer: no namespace can be made in it, which keeps much of the kernel out of reach. */
  readonly canDisableNesting: boolean;
}

/** The same program in a sandbox, begun in its root folder. It ends with us, and so does all that it has started. */
export function sandboxed(spec: ToolSpec, reach: SandboxReach, settings: SandboxSettings): ToolSpec {
  const { file, args, env, cwd: _cwd, uid: _uid, gid: _gid, ...rest } = spec;
  return {
    ...rest,
    name: spec.name ?? file.slice(file.lastIndexOf('/') + 1),
    file: 'bwrap',
    env: { ...env, HOME: '/tmp' },
    args: [
      namespaces(reach, settings),
      systemFiles(),
      ['--ro-bind', reach.passwdFile, '/etc/passwd', '--proc', '/proc', '--dev', '/dev'],
      ['/dev/shm', '/tmp', '/var/tmp'].flatMap((path) => ['--perms', '1777', '--tmpfs', path]),
      given(reach, file),
      // Root without its rights may not enter what is the owner's.
      ['--chdir', '/', '--cap-drop', 'ALL'],
      asOwner(settings.owner),
      [file, ...args],
    ].flat(),
  };
}

/**
 * A passwd file in which only this user has a name, and root, where the user is not us: a server asks who we are that
 * connect to it.
 */
export function passwdText({ uid, gid }: Owner): string {
  const user = `lifeboat:x:${uid}:${gid}:throwaway:/tmp:/usr/sbin/nologin\n`;
  return uid === 0 ? user : `${user}root:x:0:0::/:/usr/sbin/nologin\n`;
}

function namespaces({ isOnNetwork = false }: SandboxReach, { owner, canDisableNesting }: SandboxSettings): string[] {
  // Root makes all others with its own rights: uid 0 of a user namespace would still be root to /proc/sys.
  const ofUser = owner === undefined ? ['--unshare-user', ...(canDisableNesting ? ['--disable-userns'] : [])] : [];
  const ofNetwork = isOnNetwork ? [] : ['--unshare-net'];
  const others = ['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', '--hostname', 'lifeboat'];
  return [...ofUser, ...ofNetwork, ...others, '--die-with-parent', '--new-session'];
}

/** bubblewrap cannot change to a user that is not ours; it lends setpriv the rights to, which gives up all of them. */
function asOwner(owner: Owner | undefined): string[] {
  if (owner === undefined) return ['--'];
  const lent = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((each) => ['--cap-add', each]);
  const ids = ['--reuid', String(owner.uid), '--regid', String(owner.gid), '--clear-groups'];
  const none = ['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--no-new-privs'];
  return [...lent, '--', 'setpriv', ...ids, ...none, '--'];
}

/** Where distributions keep programs and libraries; links (usr-merge) stay links. */
const systemFolders = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store', '/gnu/store'];
/** What is kept there of a machine's own. */
const ownFolders = ['/usr/local/etc', '/usr/local/var', '/usr/etc', '/usr/src', '/usr/local/src', '/usr/home'];
/** Of the loader and the C library; dictionaries of PostgreSQL's text search. None of them is secret. */
const systemData = [
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
  '/etc/localtime',
  '/etc/timezone',
  '/etc/alternatives',
  '/etc/locale.alias',
  '/etc/crypto-policies',
  '/var/cache/postgresql',
];

function systemFiles(): string[] {
  const libraries = libraryFolders();
  return [
    ...systemFolders.flatMap((path) => {
      const found = look(path);
      if (found?.isSymbolicLink() === true) return ['--symlink', readlinkSync(path), path];
      return found === undefined ? [] : ['--ro-bind', path, path];
    }),
    ...passable([...libraries, ...systemData]),
    ...libraries.flatMap((path) => ['--ro-bind-try', path, path]),
    ...ownFolders.flatMap((path) => (look(path)?.isDirectory() === true ? ['--tmpfs', path] : [])),
    ...systemData.flatMap((path) => ['--ro-bind-try', path, path]),
  ];
}

/** Those that the loader is told of besides the system's. */
function libraryFolders(): string[] {
  const files = ['/etc/ld.so.conf', ...namesIn('/etc/ld.so.conf.d').map((name) => join('/etc/ld.so.conf.d', name))];
  const folders = files.flatMap((file) => linesOf(file).filter((line) => line.startsWith('/')));
  return [...new Set(folders)].filter((folder) => !isBelow(folder, systemFolders));
}

/** Of the parents of what it is given a program sees that they are there, and nothing else that lies in them. */
function given({ writable, readable }: SandboxReach, file: string): string[] {
  const readOnly = [...readable, ...programFolders(file)];
  return [
    ...passable([...writable, ...readOnly]),
    ...readOnly.flatMap((path) => ['--ro-bind', path, path]),
    ...writable.flatMap((path) => ['--bind', path, path]),
  ];
}

/** Of a program that does not lie among the system's: its folder, and those that such a folder has beside it. */
function programFolders(file: string): string[] {
  if (!file.startsWith('/') || isBelow(file, systemFolders)) return [];
  const folder = dirname(file);
  const beside = ['lib', 'lib64', 'libexec', 'share'].map((name) => join(dirname(folder), name));
  return [folder, ...beside].filter((path) => look(path)?.isDirectory() === true);
}

/** Those made by the way would be root's alone. */
function passable(paths: readonly string[]): string[] {
  const parents = new Set(paths.flatMap(parentsOf));
  return [...parents].flatMap((path) => ['--perms', '0755', '--dir', path]);
}

/** From the top on, without those that are there anyway. */
function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let each = dirname(path); each !== dirname(each); each = dirname(each)) parents.unshift(each);
  return parents.filter((each) => each !== '/tmp' && each !== '/var/tmp' && !isBelow(each, systemFolders));
}

function isBelow(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
}

function look(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function namesIn(folder: string): string[] {
  return look(folder)?.isDirectory() === true ? readdirSync(folder) : [];
}

function linesOf(file: string): string[] {
  return look(file) === undefined
    ? []
    : readFileSync(file, 'utf8')
        .split('\n')
        .map((line) => line.trim());
}
