/** Where a throwaway Redis server lives: what it may read and write of a folder of ours, and its configuration. */
import { constants } from 'node:fs';
import { chmod, link, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Isolation, Reach } from '../../lib/isolation.ts';
import { makeOwned, writeOwned } from '../../lib/owned-files.ts';
import { give } from '../../lib/owners.ts';
import type { Secret } from '../../lib/secret.ts';

export interface ScratchRooms {
  /** What its programs can reach, but for the network. */
  readonly reach: Reach;
  /** Where the server makes its socket. */
  readonly ownSocket: string;
  /** Where we link that to: nothing that takes its place later counts. */
  readonly socketPath: string;
  readonly data: string;
}

export interface RoomsRequest {
  /** Private, with the file. */
  readonly folder: string;
  /** Of the RDB file in it. */
  readonly fileName: string;
  readonly isolation: Isolation;
}

/** None of it is the server's but where it makes its socket. `attempt`: each needs rooms of its own. */
export async function makeRooms({ folder, fileName, isolation }: RoomsRequest, attempt: number): Promise<ScratchRooms> {
  const { kind, owner } = isolation;
  const home = join(folder, String(attempt));
  const data = join(home, 'data');
  for (const path of [home, data]) await mkdir(path, { mode: 0o700 });
  const run = await makeOwned(join(home, 's'), owner);
  await link(join(folder, fileName), join(data, fileName));
  await using file = await open(join(data, fileName), constants.O_RDONLY | constants.O_NOFOLLOW);
  give(file.fd, owner);
  // Another user has to come by where no sandbox shows it the way, but can list nothing.
  await chmod(data, 0o711);
  if (owner !== undefined && kind !== 'namespaces') for (const path of [folder, home]) await chmod(path, 0o711);
  return {
    reach: { home, writable: [run], readable: [data] },
    ownSocket: join(run, 's'),
    socketPath: join(home, 'r'),
    data,
  };
}

export interface ScratchSettings {
  readonly fileName: string;
  readonly databases: number;
  readonly bind: string | undefined;
  readonly port: number;
  readonly password: Secret;
  /** DEBUG is a setting since version 7. */
  readonly hasDebugSetting: boolean;
}

/** Writes its configuration; the path. The password stands in this 0600 file only. */
export async function writeConfig(
  { data, ownSocket }: ScratchRooms,
  { fileName, databases, bind, port, password, hasDebugSetting }: ScratchSettings,
  { owner }: Isolation,
): Promise<string> {
  const lines = [
    ...(bind === undefined ? [] : [`bind ${bind}`]),
    `port ${port}`,
    `unixsocket ${ownSocket}`,
    'unixsocketperm 700',
    `requirepass ${password.reveal()}`,
    `dir ${data}`,
    `dbfilename ${fileName}`,
    'save ""',
    'appendonly no',
    `databases ${databases}`,
    'daemonize no',
    // To its standard output, which is a pipe to us.
    'logfile ""',
    'maxmemory 0',
    'repl-diskless-sync yes',
    'repl-diskless-sync-delay 0',
    // A slow target must not be cut off while it loads.
    'client-output-buffer-limit replica 0 0 0',
    'repl-timeout 3600',
    ...(hasDebugSetting ? ['enable-debug-command local'] : []),
  ];
  return writeOwned(join(data, 'scratch.conf'), `${lines.join('\n')}\n`, owner);
}
