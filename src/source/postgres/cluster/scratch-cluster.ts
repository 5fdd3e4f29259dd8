/**
 * A throwaway PostgreSQL server: initdb into a private folder, one Unix socket in it, a random password,
 * no network, no preloaded libraries, nothing durable. PostgreSQL refuses to run as root, so root's goes
 * under another user. Ended and removed with its scope, or by the next run if this one is killed.
 */
import { randomBytes } from 'node:crypto';
import { appendFile, chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../lib/errors.ts';
import { tellingFileErrors } from '../../../lib/file-errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { runTool, startTool, type RunningTool } from '../../../lib/exec.ts';
import { rememberPath, rememberProcess } from '../../../lib/leftovers.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { Secret } from '../../../lib/secret.ts';
import { folderPrefix, type ScratchPlace } from './scratch-place.ts';
import { scratchUrl } from './scratch-url.ts';

export interface ScratchCluster extends AsyncDisposable {
  /** As its superuser, named postgres. */
  readonly url: PostgresUrl;
  /** E.g. "15.18". */
  readonly version: string;
  readonly folder: string;
  /** Of the server itself. */
  readonly pid: number;
  /** Folder of its programs (pg_restore, pg_amcheck…). */
  readonly programs: string;
}

/** Makes and starts one. Throws `tool` (16) when it does not start, `space` (15). */
export async function startScratchCluster(place: ScratchPlace, context: RunContext): Promise<ScratchCluster> {
  const hint = 'make room there, or name a folder that this user may write to by TMPDIR';
  const folder = await tellingFileErrors(`cannot make a scratch server in ${place.parent}`, { hint }, async () =>
    mkdtemp(join(place.parent, folderPrefix)),
  );
  const remembered = rememberPath(folder);
  let server: Started | undefined;
  const dispose = async (): Promise<void> => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    remembered[Symbol.dispose]();
  };
  try {
    await chmod(folder, 0o700);
    const password = randomBytes(24).toString('hex');
    await initialize(place, folder, password, context);
    server = await start(place, folder, context);
    return {
      url: scratchUrl(folder, 'postgres', new Secret(password)),
      version: place.version,
      folder,
      pid: server.pid,
      programs: place.programs,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

const commonOptions = ['-U', 'postgres', '--no-instructions', '--encoding=UTF8', '--locale=C'];

/**
 * An empty cluster that is to stay: durable, with page checksums, superuser postgres. `dataDir`: empty, the owner's.
 * Throws `tool` (16), `space` (15).
 */
export async function makeCluster(
  { dataDir, programs, owner }: Pick<ScratchPlace, 'programs' | 'owner'> & { readonly dataDir: string },
  { signal }: Pick<RunContext, 'signal'>,
): Promise<void> {
  const durable = ['--data-checksums', '--auth-local=peer', '--auth-host=scram-sha-256'];
  const args = ['-D', dataDir, ...commonOptions, ...durable];
  await runServerTool({ file: join(programs, 'initdb'), args, cwd: dataDir, ...owner, signal }, 'initdb');
}

interface Started {
  readonly pid: number;
  stop(): Promise<void>;
}

async function initialize(
  { owner, programs }: ScratchPlace,
  folder: string,
  password: string,
  context: RunContext,
): Promise<void> {
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (owner !== undefined) for (const path of [folder, passwordFile]) await chown(path, owner.uid, owner.gid);
  const data = join(folder, 'data');
  const throwaway = ['--no-sync', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  const args = ['-D', data, ...commonOptions, ...throwaway];
  const { signal } = context;
  await runServerTool({ file: join(programs, 'initdb'), args, cwd: folder, ...owner, signal }, 'initdb');
  await rm(passwordFile);
  // Restored roles have nothing to do here, whatever their passwords.
  await writeFile(join(data, 'pg_hba.conf'), 'local all postgres scram-sha-256\n');
  const lines = Object.entries(settings(folder)).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  await appendFile(join(data, 'postgresql.conf'), lines.join(''));
}

/** Nothing of it has to survive: what makes data durable is off, and the log of changes as small as can be. */
function settings(folder: string): Record<string, string> {
  const bufferMiB = Math.min(1024, Math.max(64, Math.floor(freemem() / 8 / 1024 ** 2)));
  return {
    listen_addresses: '',
    unix_socket_directories: folder,
    unix_socket_permissions: '0700',
    port: '5432',
    shared_preload_libraries: '',
    session_preload_libraries: '',
    local_preload_libraries: '',
    fsync: 'off',
    full_page_writes: 'off',
    synchronous_commit: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    archive_mode: 'off',
    max_wal_size: '1GB',
    autovacuum: 'off',
    shared_buffers: `${bufferMiB}MB`,
    maintenance_work_mem: `${Math.min(256, bufferMiB)}MB`,
    max_connections: '100',
    max_locks_per_transaction: '256',
    logging_collector: 'off',
    log_statement: 'none',
    log_min_messages: 'fatal',
    log_min_error_statement: 'panic',
  };
}

async function start({ owner, programs }: ScratchPlace, folder: string, context: RunContext): Promise<Started> {
  const data = join(folder, 'data');
  let log = '';
  // Not ended by the signal of the run: SIGTERM would wait for every session. Its scope ends it.
  const tool = await startTool({
    file: join(programs, 'postgres'),
    args: ['-D', data],
    cwd: folder,
    ...owner,
    stdout: 'ignore',
    detached: true,
    onStderrLine: (line) => (log = `${log}${line}\n`.slice(-4000)),
  });
  const remembered = rememberProcess(tool.pid, 'SIGQUIT');
  const stop = async (): Promise<void> => {
    await endServer(tool);
    remembered[Symbol.dispose]();
  };
  try {
    await waitUntilReady(tool, data, () => log, context);
    return { pid: tool.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** SIGQUIT is PostgreSQL's immediate shutdown: it waits for nobody, but takes its shared memory away. */
async function endServer(tool: RunningTool): Promise<void> {
  tool.kill('SIGQUIT');
  const late = setTimeout(() => tool.kill('SIGKILL'), 10_000);
  await tool.result.catch(() => {});
  clearTimeout(late);
}

async function waitUntilReady(
  tool: RunningTool,
  data: string,
  log: () => string,
  { signal }: RunContext,
): Promise<void> {
  const ended = tool.result.then(
    () => true,
    () => true,
  );
  for (;;) {
    signal.throwIfAborted();
    const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
    if (Number(lines[0]) === tool.pid && lines[7]?.startsWith('ready') === true) return;
    if (await Promise.race([ended, sleep(20, false)])) {
      const last = log().trim().split('\n').slice(-3).join('; ') || 'it said nothing';
      throw new LifeboatError('tool', `a throwaway PostgreSQL server did not start: ${last}`);
    }
  }
}

async function runServerTool(spec: Parameters<typeof runTool>[0], name: string): Promise<void> {
  try {
    await runTool(spec);
  } catch (error) {
    if (!(error instanceof LifeboatError) || error.code !== 'source') throw error;
    const full = /No space left on device|Disk quota exceeded/.test(error.message);
    throw new LifeboatError(full ? 'space' : 'tool', `cannot make a throwaway PostgreSQL server: ${error.message}`, {
      hint: full ? 'make room, or name another folder by TMPDIR' : `see whether ${name} works for that user`,
      cause: error,
    });
  }
}
