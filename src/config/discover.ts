/** Finding the configuration file, and the folder for this host's state, in any environment: HOME may be missing. */
import { lstatSync, mkdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { LifeboatError, systemCodeOf } from '../lib/errors.ts';
import { fileError } from '../lib/file-errors.ts';

export const configFileName = 'lifeboat.config.json';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Absolute path of the configuration file, or undefined if there is none: upward from `cwd`, then the XDG folder, then
 * /etc/lifeboat. A file that strangers can write is refused (usage), since its secrets may be commands.
 */
export async function findConfigFile(cwd: string, env: Environment): Promise<string | undefined> {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const path = join(folder, configFileName);
    const owner = await ownerOf(path);
    if (owner !== undefined) {
      refuseStrangers(path, owner, env);
      return path;
    }
    if (folder === dirname(folder)) break;
  }
  for (const path of [userConfigFile(env), `/etc/lifeboat/${configFileName}`]) {
    if (path !== undefined && (await ownerOf(path)) !== undefined) return path;
  }
  return undefined;
}

/**
 * Where this host keeps its state when nothing is configured. Absolute. Throws LifeboatError `usage` if the last resort
 * is taken.
 */
export function defaultStateDir(env: Environment, uid = process.getuid?.() ?? 0): string {
  if (uid === 0) return '/var/lib/lifeboat';
  const xdg = env['XDG_STATE_HOME'];
  if (xdg?.startsWith('/') === true) return join(xdg, 'lifeboat');
  const home = homeOf(env);
  return home === undefined
    ? claimFolder(join(tmpdir(), `lifeboat-${uid}`))
    : join(home, '.local', 'state', 'lifeboat');
}

/**
 * Makes a folder in a place where everyone may make one, at once and for us alone: whoever was there first
 * could plant keys in it, or names of files to be removed.
 */
function claimFolder(path: string): string {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') {
      throw fileError(error, `cannot make the state folder ${path}`, { hint: anotherStateFolder });
    }
    const found = lstatSync(path);
    const isOurs = found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
    if (!isOurs) {
      throw new LifeboatError('usage', `cannot use the state folder ${path}: it is not ours alone`, {
        hint: anotherStateFolder,
      });
    }
  }
  return path;
}

const anotherStateFolder = 'name another: BACKUP_STATE_DIR=/path';

/** HOME, else what the user database says; undefined for users without a usable one (such as "nobody"). */
export function homeOf(env: Environment): string | undefined {
  const home = env['HOME'] ?? passwdHome();
  return home === undefined || !home.startsWith('/') || home === '/' || home === '/nonexistent' ? undefined : home;
}

function passwdHome(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}

function userConfigFile(env: Environment): string | undefined {
  const folder = userConfigFolder(env);
  return folder === undefined ? undefined : join(folder, 'lifeboat', configFileName);
}

/** Where programs of this user keep their configuration; undefined without a home. */
export function userConfigFolder(env: Environment): string | undefined {
  const home = homeOf(env);
  const usual = home === undefined ? undefined : join(home, '.config');
  return env['XDG_CONFIG_HOME']?.startsWith('/') === true ? env['XDG_CONFIG_HOME'] : usual;
}

interface Owner {
  readonly uid: number;
  readonly mode: number;
}

async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw fileError(error, `cannot look for the configuration file ${path}`);
  }
}

/** The upward search may pass through folders of others (/tmp): what they left there must not run as us. */
function refuseStrangers(path: string, owner: Owner, env: Environment): void {
  const uid = process.getuid?.() ?? owner.uid;
  const trusted = [0, uid, ...(uid === 0 && env['SUDO_UID'] !== undefined ? [Number(env['SUDO_UID'])] : [])];
  if (trusted.includes(owner.uid) && (owner.mode & 0o002) === 0) return;
  const why = trusted.includes(owner.uid) ? 'everyone can write it' : 'it belongs to another user';
  throw new LifeboatError('usage', `cannot use the configuration file ${path}: ${why}`, {
    hint: `if it is the right one, name it: --config ${path}`,
  });
}
