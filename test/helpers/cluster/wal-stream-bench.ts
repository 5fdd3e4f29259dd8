/** A server without archive_command and commands that stream its log: what the tests of the receiver have in common. */
import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PitrResult } from '../../../src/operations/pitr/request.ts';
import type { WalStatusResult } from '../../../src/operations/wal/request.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import { openRepository, type Repository } from '../../../src/repository/repository.ts';
import { readWal } from '../../../src/repository/wal/archive.ts';
import { withConnection } from '../../../src/source/postgres/server/connection.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { makeBench, testKey, type Bench, type RunningCommand } from '../cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { encryption } from '../repository/repository.ts';

export interface StreamBench {
  readonly bench: Bench;
  readonly server: TestPostgres;
  readonly systemId: string;
  /** Opens it as another host would. Its storage is the caller's to close. */
  openRepository(): Promise<Repository>;
  /** Starts a receiver and waits until it has shipped something. */
  stream(...flags: string[]): Promise<RunningCommand>;
  status(): Promise<WalStatusResult>;
  stop(): Promise<void>;
}

/**
 * A repository that is not in the bench's folder: by which environment commands find it, and its storage for the test
 * itself.
 */
export interface OtherRepository {
  readonly env: Readonly<Record<string, string>>;
  open(): Promise<Storage>;
}

/**
 * Segments of 1 MB, all of them kept in pg_wal to compare with; a table w for rows. The repository is made.
 * `version`: a major one of PostgreSQL.
 */
export async function startStreamBench(other?: OtherRepository, version?: number): Promise<StreamBench> {
  const server = await startPostgres({
    ...(version === undefined ? {} : { version }),
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1'],
    settings: {
      synchronous_commit: 'on',
      wal_keep_size: '2GB',
      min_wal_size: '2MB',
      autovacuum: 'off',
      wal_sender_timeout: '5s',
    },
  });
  // Its own programs are found in PATH.
  const bench = makeBench({ DATABASE_URL: '', PATH: `${server.binDir}:${process.env['PATH'] ?? '/usr/bin:/bin'}` });
  // A recovered server runs as another user.
  chmodSync(bench.folder, 0o755);
  bench.env = { ...bench.env, DATABASE_URL: server.url(), BACKUP_JOBS: '2', ...other?.env };
  writeFileSync(
    join(bench.folder, 'lifeboat.config.json'),
    JSON.stringify({
      targets: { main: { postgres: { url: { env: 'DATABASE_URL' }, databases: ['postgres'], base: {} } } },
    }),
  );
  await bench.json('init');
  await server.query('postgres', 'CREATE TABLE w (n bigint PRIMARY KEY, at timestamptz NOT NULL, filler text)');
  const [row] = await server.query('postgres', 'SELECT system_identifier AS id FROM pg_control_system()');
  const systemId = row?.['id'] ?? '';
  return {
    bench,
    server,
    systemId,
    openRepository: async () =>
      openRepository(
        (await other?.open()) ?? openLocalStorage(bench.repository),
        encryption({ key: testKey }),
        join(bench.folder, 'other-state'),
      ),
    stream: async (...flags) => {
      const command = await bench.start([
        'wal',
        'stream',
        '--debug',
        '--interval',
        '0.5s',
        '--report',
        '0.5s',
        ...flags,
      ]);
      await command.said(/shipped up to/);
      return command;
    },
    // A server that is stopped is a warning, a gap is 14.
    status: async () => {
      const result = await bench.run('wal status --json');
      assert.ok([0, 3].includes(result.exitCode), result.stdout + result.stderr);
      return JSON.parse(result.stdout) as WalStatusResult;
    },
    stop: async () => {
      await server.stop();
      await bench[Symbol.asyncDispose]();
    },
  };
}

/** Every segment that the server has finished since `from` is in the archive, byte for byte. Returns how many. */
export async function checkArchived(
  { openRepository: open, server, systemId }: StreamBench,
  from: string,
): Promise<number> {
  const repository = await open();
  const [row] = await server.query('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn()) AS current');
  // Later ones are empty, made beforehand.
  const finished = readdirSync(join(server.dataDir, 'pg_wal'))
    .filter((name) => /^[0-9A-F]{24}$/.test(name) && name >= from && name < (row?.['current'] ?? ''))
    .toSorted();
  for (const name of finished) {
    assert.ok(
      (await readWal(repository, systemId, name)).equals(readFileSync(join(server.dataDir, 'pg_wal', name))),
      `${name} differs`,
    );
  }
  await repository.storage.close();
  return finished.length;
}

export interface Writer {
  /** When each row was acknowledged, milliseconds since 1970, by its number. */
  readonly acknowledged: ReadonlyMap<number, number>;
  /** Resolves once nothing is under way any more. */
  stop(): Promise<void>;
}

/** 6 KB that do not compress, so that a segment is full soon. `n` in SQL. */
const filler = (n: string): string =>
  `(SELECT string_agg(md5(${n} || '-' || i), '' ORDER BY i) FROM generate_series(1, 190) i)`;

/** Commits numbered rows one by one, from a number on; a server that is away is waited for. */
export function startWriter(server: TestPostgres, from: number): Writer {
  const acknowledged = new Map<number, number>();
  let isStopped = false;
  const loop = (async () => {
    for (let n = from; !isStopped;) {
      await withConnection(parsePostgresUrl(server.url()), {}, async (connection) => {
        for (; !isStopped; n++) {
          await connection.query(
            `INSERT INTO public.w VALUES (${n}, clock_timestamp(), ${filler(String(n))}) ON CONFLICT DO NOTHING`,
          );
          acknowledged.set(n, Date.now());
          await sleep(2);
        }
      }).catch(async () => sleep(50));
    }
  })();
  return {
    acknowledged,
    stop: async () => {
      isStopped = true;
      await loop;
    },
  };
}

/** Recovers to the end of the archive, from the repository alone (another host), and gives the rows' numbers. */
export async function recoverLatest(bench: Bench): Promise<number[]> {
  const dataDir = join(bench.folder, `recovered-${Math.random()}`);
  const env = { BACKUP_STATE_DIR: join(bench.folder, `other-${Math.random()}`), DATABASE_URL: 'postgres:///nowhere' };
  const done = await bench.json<PitrResult>(['pitr', '--to', 'latest', '--data-dir', dataDir, '--action', 'promote'], {
    env,
    exitCode: 3,
  });
  assert.deepEqual(
    done.warnings.map((each) => /what the server had set is not on this host.*: (\w+)/.exec(each)?.[1]),
    ['unix_socket_directories'],
    "the folder of the test server's sockets is another user's",
  );
  assert.ok(done.outcome === 'done' && done.url !== undefined && done.pid !== undefined);
  try {
    const rows = await withConnection(parsePostgresUrl(done.url), {}, async (connection) =>
      connection.query(`SELECT n FROM public.w WHERE filler = ${filler('n')} ORDER BY n`),
    );
    return rows.map(({ n }) => Number(n));
  } finally {
    process.kill(done.pid, 'SIGQUIT');
    const socket = parsePostgresUrl(done.url).host;
    await sleep(300);
    for (const path of [dataDir, socket]) {
      if (path.startsWith('/')) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}
