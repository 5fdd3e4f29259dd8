/**
 * The folder of a throwaway server, in parts: what the server's user may write to, what it may only read, and what it
 * does not see. We write before a folder is given away and only where nobody else can put something in our way, and
 * connect to the very socket that the server has made, not to what stands in its place later.
 */
import { chmod, link, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError } from '../../../lib/errors.ts';
import type { Isolation, Reach } from '../../../lib/isolation.ts';
import { makeOwned, writeOwned } from '../../../lib/owned-files.ts';

export interface Quarters {
  /** The whole; 0700 and ours. Clients of ours find the socket in it. */
  readonly folder: string;
  readonly isolation: Isolation;
  /** The server's: where it makes its socket. */
  readonly run: string;
  /** What its programs can reach. */
  readonly reach: Reach;
  /** Writes a file that the server's user may read, and nobody else; its path. */
  write(name: string, text: string): Promise<string>;
  /** Writes its configuration; arguments for the server. */
  configure(settings: Readonly<Record<string, string>>, access: ServerAccess): Promise<string[]>;
  /** Makes the socket reachable; once the server listens. */
  reachSocket(): Promise<void>;
}

const socketName = '.s.PGSQL.5432';
/** Of the folder in which the server makes its socket; short, since the path of a socket is. */
export const runFolder = 's';

export interface QuartersSettings {
  readonly isolation: Isolation;
  /** Folders of the server's user elsewhere, or made later in this one: its data directory, tablespaces. */
  readonly writable: readonly string[];
  /** What its programs may read besides. */
  readonly readable?: readonly string[];
}

/** Who may connect. */
export interface ServerAccess {
  /** Contents of pg_hba.conf. */
  readonly hba: string;
  /** Contents of pg_ident.conf. */
  readonly ident: string;
}

/** Divides an empty folder of ours. */
export async function makeQuarters(
  folder: string,
  { isolation, writable, readable = [] }: QuartersSettings,
): Promise<Quarters> {
  const { owner } = isolation;
  const [run, conf] = [join(folder, runFolder), join(folder, 'conf')];
  await chmod(folder, isPassable(isolation) ? 0o711 : 0o700);
  await makeOwned(run, owner);
  await mkdir(conf, { mode: 0o711 });
  await chmod(conf, 0o711);
  const write = async (name: string, text: string): Promise<string> => writeOwned(join(conf, name), text, owner);
  return {
    folder,
    isolation,
    run,
    reach: { home: folder, writable: [run, ...writable], readable: [conf, ...readable] },
    write,
    configure: async (settings, { hba, ident }) => {
      const files = { hba_file: await write('hba.conf', hba), ident_file: await write('ident.conf', ident) };
      return ['-c', `config_file=${await write('postgresql.conf', linesOf({ ...settings, ...files }))}`];
    },
    reachSocket: async () => reachSocket(run, folder),
  };
}

/** In a sandbox nobody comes by our folder. Else the server's user has to, but can list nothing. */
function isPassable({ kind, owner }: Isolation): boolean {
  return owner !== undefined && kind !== 'namespaces';
}

/** A link to the same file, not to its name: what somebody puts under that name later is not followed. */
async function reachSocket(run: string, folder: string): Promise<void> {
  const path = join(folder, socketName);
  await link(join(run, socketName), path);
  if ((await lstat(path)).isSocket()) return;
  throw new LifeboatError('tool', `a throwaway PostgreSQL server made no socket in ${run}`);
}

function linesOf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join('');
}
