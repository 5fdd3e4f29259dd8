/**
 * Where nothing may be restored to, although it is empty or not there yet: inside a repository or a state folder, whose
 * content would mix with it and be cleaned up as strays, and inside a data directory or tablespace of PostgreSQL, which
 * a server owns as a whole.
 */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import type { Config } from '../config/config.ts';
import { LifeboatError } from '../lib/errors.ts';

/** Where this run keeps what is its own. */
export type OwnPlaces = Pick<Config, 'repository' | 'stateDir'>;

/** Where something is to be put. */
export interface WantedPlace {
  /** Absolute. */
  readonly path: string;
  /** What is done there: "cannot recover into". */
  readonly refusal: string;
  /** How another one is named, such as a flag. */
  readonly flag: string;
}

/** Throws `usage` (2). */
export async function refuseProtectedPlace(wanted: WantedPlace, { repository, stateDir }: OwnPlaces): Promise<void> {
  const real = await realPathOf(wanted.path);
  const within = async (folder: string): Promise<boolean> => isWithin(real, await realPathOf(folder));
  if (repository?.kind === 'local' && (await within(repository.path))) {
    throw refused(wanted, `it is inside the repository ${repository.path}`);
  }
  if (await within(stateDir)) throw refused(wanted, `it is inside the state folder ${stateDir}`);
  for (let folder = dirname(real); folder !== dirname(folder); folder = dirname(folder)) {
    const what = await whatOwns(folder);
    if (what !== undefined) throw refused(wanted, `it is inside ${folder}, ${what}`);
  }
}

function refused({ path, refusal, flag }: WantedPlace, why: string): LifeboatError {
  return new LifeboatError('usage', `${refusal} ${path}: ${why}`, {
    state: 'nothing was changed',
    hint: `name a folder elsewhere by ${flag}`,
  });
}

/** A repository of anybody, or what a server of PostgreSQL owns. Undefined: nothing of the kind. */
async function whatOwns(folder: string): Promise<string | undefined> {
  if (await isThere(join(folder, 'PG_VERSION'))) {
    return (await isThere(join(folder, 'postmaster.pid')))
      ? 'the data directory of a server that runs, or crashed'
      : 'which belongs to a data directory of PostgreSQL';
  }
  if (/^PG_\d+_\d{9}$/.test(basename(folder)) && (await isThere(folder))) return 'a tablespace of PostgreSQL';
  const isRepository = (await isThere(join(folder, 'repository.json'))) && (await isThere(join(folder, 'manifests')));
  return isRepository ? 'a repository' : undefined;
}

/** With the links of all that is there resolved. */
async function realPathOf(path: string): Promise<string> {
  for (let [folder, rest] = [path, '']; ; [folder, rest] = [dirname(folder), join(basename(folder), rest)]) {
    const real = await realpath(folder).catch(() => undefined);
    if (real !== undefined) return join(real, rest).replace(/(?<=.)\/$/, '');
    if (folder === dirname(folder)) return path;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
