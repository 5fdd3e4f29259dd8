/**
 * Where a server of this machine can be made: by which programs, under which user, and in a folder whose path is short
 * enough for a socket and which that user can reach.
 */
import { accessSync, constants, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { LifeboatError } from '../../../lib/errors.ts';
import { installedTools, isProgram } from '../server/tools.ts';

/** Where a server of this machine can be made, and by which programs. */
export interface ScratchPlace {
  /** Existing folder that the server's user can reach. */
  readonly parent: string;
  readonly owner: Owner | undefined;
  readonly programs: string;
  readonly version: string;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What the names of throwaway servers' folders begin with. */
export const folderPrefix = 'lifeboat-pg-';
/** sun_path holds 107 bytes. Of the folders that are made here those of withScratchFolder() have the longest names. */
const longestParentBytes = 107 - '/lifeboat-0123456789ab/s/.s.PGSQL.5432'.length;

/**
 * Looks for programs of a server that restores archives of this major version, and for a place. Throws `tool` (16);
 * changes nothing.
 */
export async function findScratchPlace(major: number): Promise<ScratchPlace> {
  const servers = (await installedTools()).filter(({ folder }) =>
    ['initdb', 'postgres'].every((name) => isProgram(join(folder, name))),
  );
  const fitting = servers.find((each) => each.major >= major);
  if (fitting === undefined) {
    const versions = servers.map(({ version }) => version);
    throw noServerPrograms(major, versions);
  }
  const owner = serverUser();
  return { parent: await reachableParent(owner), owner, programs: fitting.folder, version: fitting.version };
}

function noServerPrograms(major: number, versions: readonly string[]): LifeboatError {
  const have =
    versions.length === 0
      ? 'no PostgreSQL server is installed here'
      : `only version ${versions.join(', ')} is installed here`;
  const message = `a throwaway server needs initdb and postgres of version ${major} or newer: ${have}`;
  const hint =
    `install them (Debian, Ubuntu: apt-get install postgresql-${major}), ` +
    'or name a scratch server by BACKUP_DRILL_DATABASE_URL';
  return new LifeboatError('tool', message, { hint });
}

/** Root's servers run as a user that owns nothing; it needs a passwd entry. */
function serverUser(): Owner | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const lines = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['nobody', 'postgres']) {
    const [, , uid, gid] = lines.find(([user]) => user === name) ?? [];
    if (uid !== undefined && Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new LifeboatError(
    'tool',
    'PostgreSQL does not run as root, and there is neither a user nobody nor postgres to run it',
    { hint: 'run the drill as another user, or name a scratch server by BACKUP_DRILL_DATABASE_URL' },
  );
}

/** TMPDIR, unless its name is too long for a socket or the server's user cannot get there. */
async function reachableParent(owner: Owner | undefined): Promise<string> {
  for (const parent of new Set([tmpdir(), '/var/tmp', '/tmp'])) {
    if (Buffer.byteLength(parent) <= longestParentBytes && (await canReach(parent, owner))) return parent;
  }
  throw new LifeboatError(
    'tool',
    `a throwaway PostgreSQL server has no place: neither ${tmpdir()} nor /tmp is a short path that its user can reach`,
    { hint: 'name a folder such as /tmp by TMPDIR' },
  );
}

async function canReach(folder: string, owner: Owner | undefined): Promise<boolean> {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    for (let path = folder; owner !== undefined; path = dirname(path)) {
      const { mode, uid, gid } = await stat(path);
      const groupOrOthers = gid === owner.gid ? 0o010 : 0o001;
      if ((mode & (uid === owner.uid ? 0o100 : groupOrOthers)) === 0) return false;
      if (path === dirname(path)) break;
    }
    return true;
  } catch {
    return false;
  }
}
