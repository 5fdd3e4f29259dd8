/**
 * A throwaway PostgreSQL server: initdb into a private folder, one Unix socket in it, a random password,
 * no network, no preloaded libraries, nothing durable. It runs functions of whoever owns what is restored into it, so
 * it runs isolated, and nothing that we write or connect to lies where it can put something else. Ended and removed
 * with its scope, or by the next run if this one is killed.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../lib/errors.ts';
import { tellingFileErrors } from '../../../lib/file-errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { runTool, type RunningTool } from '../../../lib/exec.ts';
import { runIsolated, startIsolated, type Isolation, type IsolatedProgram } from '../../../lib/isolation.ts';
import { rememberPath } from '../../../lib/leftovers.ts';
import { makeOwned } from '../../../lib/owned-files.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { Secret } from '../../../lib/secret.ts';
import { fillLogin, type FillLogin } from './fill-login.ts';
import { withConnection } from '../server/connection.ts';
import { folderPrefix, type ScratchPlace } from './scratch-place.ts';
import { scratchUrl } from './scratch-url.ts';
import { makeQuarters, type Quarters } from './quarters.ts';

export interface ScratchCluster extends AsyncDisposable {
  /** As a superuser that nobody knows. */
  readonly url: PostgresUrl;
  /** Who fills its databases. */
  readonly filler: FillLogin;
  /** E.g. "15.18". */
  readonly version: string;
  readonly folder: string;
  /** Of the server, or of the sandbox that it runs in. */
  readonly pid: number;
  /** Folder of its programs (pg_restore, pg_amcheck…). */
  readonly programs: string;
}

/** Makes and starts one. Throws `tool` (16) when it does not start, `space` (15). */
export async function startScratchCluster(
  place: ScratchPlace,
  isolation: Isolation,
  context: RunContext,
): Promise<ScratchCluster> {
  const hint = 'make room there, or name a folder that this user may write to by TMPDIR';
  const folder = await tellingFileErrors(`cannot make a scratch server in ${place.parent}`, { hint }, async () =>
    mkdtemp(join(place.parent, folderPrefix)),
  );
  const remembered = rememberPath(folder);
  let server: IsolatedProgram | undefined;
  const dispose = async (): Promise<void> => {
    await server?.end();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    remembered[Symbol.dispose]();
  };
  try {
    const data = await makeOwned(join(folder, 'data'), isolation.owner);
    const quarters = await makeQuarters(folder, { isolation, writable: [data] });
    const home: Home = { ...place, quarters, data };
    const logins = makeLogins();
    await initialize(home, logins.admin, context);
    server = await start(home, logins, context, (started) => (server = started));
    return {
      ...(await letIn(folder, logins, context)),
      version: place.version,
      folder,
      pid: server.tool.pid,
      programs: place.programs,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

const commonOptions = ['--encoding=UTF8', '--locale=C'];

/**
 * An empty cluster that is to stay: durable, with page checksums, superuser postgres. `dataDir`: empty, the owner's.
 * Throws `tool` (16), `space` (15).
 */
export async function makeCluster(
  { dataDir, programs, owner }: Pick<ScratchPlace, 'programs' | 'owner'> & { readonly dataDir: string },
  { signal }: Pick<RunContext, 'signal'>,
): Promise<void> {
  const durable = ['--data-checksums', '--auth-local=peer', '--auth-host=scram-sha-256'];
  const args = ['-D', dataDir, '-U', 'postgres', ...commonOptions, ...durable];
  await runServerTool('initdb', async () =>
    runTool({ file: join(programs, 'initdb'), args, cwd: dataDir, ...owner, signal }),
  );
}

/** Names and passwords of chance: the backup's roles are no more than ordinary ones, "postgres" among them. */
interface Login {
  readonly role: string;
  readonly password: string;
}

interface Logins {
  /** The first superuser. It takes rights from the others, and nothing belongs to it. */
  readonly admin: Login;
  readonly maker: Login;
  readonly filler: Login;
}

function makeLogins(): Logins {
  const login = (): Login => ({
    role: `lifeboat_${randomBytes(8).toString('hex')}`,
    password: randomBytes(24).toString('hex'),
  });
  return { admin: login(), maker: login(), filler: login() };
}

/** Makes the roles that there are not yet. */
async function letIn(
  folder: string,
  { admin, maker, filler }: Logins,
  { signal }: RunContext,
): Promise<Pick<ScratchCluster, 'url' | 'filler'>> {
  const urlOf = ({ role, password }: Login): PostgresUrl => scratchUrl(folder, role, new Secret(password));
  const adminUrl = urlOf(admin);
  await withConnection(adminUrl, { signal }, async (client) => {
    await client.query(`CREATE ROLE ${maker.role} LOGIN SUPERUSER PASSWORD '${maker.password}'`);
    await client.query(`CREATE ROLE ${filler.role} LOGIN PASSWORD '${filler.password}'`);
  });
  const url = urlOf(filler);
  return { url: urlOf(maker), filler: fillLogin({ adminUrl, admin: admin.role, url, role: filler.role }) };
}

/** Where a server lives, and by which programs. */
interface Home extends Pick<ScratchPlace, 'programs'> {
  readonly quarters: Quarters;
  /** Its data directory. */
  readonly data: string;
}

async function initialize(
  { programs, quarters, data }: Home,
  { role, password }: Login,
  { signal }: RunContext,
): Promise<void> {
  const passwordFile = await quarters.write('password', `${password}\n`);
  const throwaway = ['--no-sync', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  const args = ['-D', data, '-U', role, ...commonOptions, ...throwaway];
  const spec = { file: join(programs, 'initdb'), args, cwd: data, signal };
  await runServerTool('initdb', async () => runIsolated(quarters.isolation, spec, quarters.reach));
  await rm(passwordFile);
}

/** Nothing of it has to survive: what makes data durable is off, and the log of changes as small as can be. */
function settings({ run }: Quarters): Record<string, string> {
  const bufferMiB = Math.min(1024, Math.max(64, Math.floor(freemem() / 8 / 1024 ** 2)));
  return {
    listen_addresses: '',
    // Before 14 the default is what its pg_hba.conf does not take.
    password_encryption: 'scram-sha-256',
    unix_socket_directories: run,
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
    // That it is ready it says in its log.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    // As initdb would have set it.
    default_text_search_config: 'pg_catalog.english',
  };
}

async function start(
  { programs, quarters, data }: Home,
  { admin, maker, filler }: Logins,
  context: RunContext,
  onStart: (server: IsolatedProgram) => void,
): Promise<IsolatedProgram> {
  // Restored roles have nothing to do here, whatever their passwords.
  const roles = [admin, maker, filler].map(({ role }) => role).join(',');
  const config = await quarters.configure(settings(quarters), { hba: `local all ${roles} scram-sha-256\n`, ident: '' });
  let log = '';
  // Not ended by the signal of the run: SIGTERM would wait for every session. Its scope ends it.
  const spec = {
    file: join(programs, 'postgres'),
    args: ['-D', data, ...config],
    cwd: data,
    stdout: 'ignore' as const,
    onStderrLine: (line: string) => void (log = `${log}${line}\n`.slice(-4000)),
  };
  const server = await startIsolated(quarters.isolation, spec, { ...quarters.reach, gently: 'SIGQUIT' });
  onStart(server);
  await waitUntilReady(server.tool, () => log, context);
  await quarters.reachSocket();
  return server;
}

async function waitUntilReady(tool: RunningTool, log: () => string, { signal }: RunContext): Promise<void> {
  const ended = tool.result.then(
    () => true,
    () => true,
  );
  while (!/database system is ready to accept connections/.test(log())) {
    signal.throwIfAborted();
    if (await Promise.race([ended, sleep(20, false)])) {
      const last = log().trim().split('\n').slice(-3).join('; ') || 'it said nothing';
      throw new LifeboatError('tool', `a throwaway PostgreSQL server did not start: ${last}`);
    }
  }
}

async function runServerTool(name: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof LifeboatError) || error.code !== 'source') throw error;
    const full = /No space left on device|Disk quota exceeded/.test(error.message);
    throw new LifeboatError(full ? 'space' : 'tool', `cannot make a throwaway PostgreSQL server: ${error.message}`, {
      hint: full ? 'make room, or name another folder by TMPDIR' : `see whether ${name} works for that user`,
      cause: error,
    });
  }
}
