/**
 * A base backup and its restore beside pg_basebackup | zstd -3 and, where it is installed, pgbackrest (zst 3, AES,
 * bundling, two processes). All of them wait until the server has archived what they need.
 */
import { chownSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSampleDatabase } from '../helpers/source/sample-database.ts';
import { program, startArchivingBench, type ArchivingBench } from './archiving.ts';
import { median, pair, ratio, run, type Command, type Timing } from './measure.ts';
import { mark, mb, print } from './report.ts';

export interface BaseBenchOptions {
  readonly rounds: number;
  readonly sizeBytes: number;
}

export async function benchBase({ rounds, sizeBytes }: BaseBenchOptions): Promise<void> {
  const bench = await startArchivingBench();
  try {
    await createSampleDatabase(bench.server, 'app', { sizeBytes });
    await bench.server.psql('app', 'VACUUM (FREEZE, ANALYZE);');
    const backrest = existsSync('/usr/bin/pgbackrest') ? await pgbackrest(bench) : undefined;
    await archiveTo(bench, bench.archiveCommand);
    await backups(bench, backrest, rounds);
    await second(bench);
    await restores(bench, backrest, rounds);
  } finally {
    await bench.server.stop();
  }
}

interface Backrest {
  readonly archiveCommand: string;
  /** A shell line without its command. */
  readonly line: string;
  readonly repository: string;
}

async function pgbackrest({ home, server, asServer, env }: ArchivingBench): Promise<Backrest> {
  const { uid, gid } = statSync(server.dataDir);
  const folder = join(home, 'pgbackrest');
  for (const name of ['', 'log', 'lock', 'spool', 'repository']) {
    mkdirSync(join(folder, name));
    chownSync(join(folder, name), uid, gid);
  }
  const settings = [
    '[global]',
    `repo1-path=${folder}/repository`,
    'repo1-cipher-type=aes-256-cbc',
    'repo1-cipher-pass=bench',
    'repo1-bundle=y',
    'repo1-retention-full=1',
    'compress-type=zst',
    'compress-level=3',
    'process-max=2',
    'start-fast=y',
    `log-path=${folder}/log`,
    `lock-path=${folder}/lock`,
    `spool-path=${folder}/spool`,
    'log-level-console=warn',
    '[bench]',
    `pg1-path=${server.dataDir}`,
    `pg1-socket-path=${server.socketDir}`,
    `pg1-port=${server.port}`,
    'pg1-user=postgres',
  ];
  writeFileSync(join(folder, 'pgbackrest.conf'), `${settings.join('\n')}\n`);
  const plain = `pgbackrest --config=${folder}/pgbackrest.conf --stanza=bench`;
  const line = `cd ${home} && ${asServer} ${plain}`;
  await run(`${line} stanza-create`, env);
  return { archiveCommand: `${plain} archive-push %p`, line, repository: join(folder, 'repository') };
}

/** Sets it, and waits until the server has nothing left to archive. */
async function archiveTo({ server, setArchiveCommand }: ArchivingBench, command: string): Promise<void> {
  await setArchiveCommand(command);
  const [row] = await server.query(
    'postgres',
    'SELECT pg_walfile_name(pg_switch_wal()) AS name FROM pg_current_xact_id()',
  );
  for (;;) {
    const [done] = await server.query(
      'postgres',
      `SELECT last_archived_wal >= '${row?.['name']}' AS done FROM pg_stat_archiver`,
    );
    if (done?.['done'] === 't') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function backups(bench: ArchivingBench, backrest: Backrest | undefined, rounds: number): Promise<void> {
  const { home, env, config } = bench;
  const prepare = async (): Promise<void> => {
    await archiveTo(bench, 'true');
    await bench.freshRepository();
    await archiveTo(bench, bench.archiveCommand);
  };
  const commands: Command[] = [
    {
      name: 'lifeboat backup base',
      line: `cd ${home} && ${bench.asServer} ${program} backup base -q --config ${config}`,
      prepare,
    },
    {
      name: 'pg_basebackup | zstd -3',
      line: `pg_basebackup -Ft -D - -X none --checkpoint=fast | zstd -3 -q -f -o ${home}/base.tar.zst`,
    },
    ...(backrest === undefined
      ? []
      : [
          {
            name: 'pgbackrest backup',
            line: `${backrest.line} --type=full backup`,
            prepare: async () => archiveTo(bench, backrest.archiveCommand),
          },
        ]),
  ];
  const timings = await pair(commands, rounds, env);
  print('base backup', timings);
  const [ours, piped, theirs] = timings as [Timing, Timing, Timing | undefined];
  mark('base backup / pg_basebackup | zstd -3', ratio(ours, piped));
  if (theirs !== undefined) mark('base backup / pgbackrest', ratio(ours, theirs), 1.15);
  const sizes = [
    `lifeboat ${mb(await bytesOf(`${home}/repository/packs`, env))}`,
    `zstd -3 ${mb(statSync(`${home}/base.tar.zst`).size)}`,
    ...(backrest === undefined
      ? []
      : [`pgbackrest ${mb(await bytesOf(`${backrest.repository}/backup/bench/latest/`, env))}`]),
  ];
  process.stdout.write(`  stored: ${sizes.join(', ')}\n\n`);
}

/** A second base backup of a cluster of which little has changed. */
async function second({ server, home, env, config, ...bench }: ArchivingBench): Promise<void> {
  await bench.setArchiveCommand(bench.archiveCommand);
  const first = await bytesOf(`${home}/repository/packs`, env);
  await server.psql(
    'app',
    "UPDATE app.events SET body = body || '.' WHERE id <= (SELECT max(id) / 1000 FROM app.events)",
  );
  const said = await run(`cd ${home} && ${bench.asServer} ${program} backup base --json -q --config ${config}`, env);
  const { components } = JSON.parse(said) as { components: { storedBytes: number }[] };
  const stored = components.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  process.stdout.write(
    `second base backup, 0.1 % of the rows updated in one stretch: ${mb(stored)} stored, ` +
      `${((100 * stored) / first).toFixed(2)} % of the first\n\n`,
  );
}

async function restores(bench: ArchivingBench, backrest: Backrest | undefined, rounds: number): Promise<void> {
  const { home, env, config } = bench;
  const into = join(home, 'restored');
  const removed = (): void => rmSync(into, { recursive: true, force: true });
  const empty = (): void => {
    removed();
    mkdirSync(into, { mode: 0o700 });
  };
  const { uid, gid } = statSync(bench.server.dataDir);
  const ownedEmpty = (): void => {
    empty();
    chownSync(into, uid, gid);
  };
  const phases: number[] = [];
  const noted = async (): Promise<void> => {
    const log = await run(`cat ${home}/pitr.log 2>/dev/null || true`, env);
    const seconds = /restore of the base backup took ([\d.]+) s/.exec(log)?.[1];
    if (seconds !== undefined) phases.push(Number(seconds));
    rmSync(join(home, 'pitr.log'), { force: true });
  };
  const commands: Command[] = [
    {
      name: 'lifeboat pitr --to immediate (recovered, every table read, shut down)',
      line:
        `cd ${home} && ${program} pitr --to immediate --data-dir ${into} --config ${config} --debug ` +
        `2>${home}/pitr.log >/dev/null`,
      prepare: removed,
    },
    {
      name: 'zstd -d | tar -x',
      line: `zstd -d -q -c ${home}/base.tar.zst | tar -x -C ${into} && sync -f ${into}`,
      prepare: async () => {
        await noted();
        empty();
      },
    },
    ...(backrest === undefined
      ? []
      : [
          {
            name: 'pgbackrest restore',
            line: `${backrest.line} --pg1-path=${into} --type=immediate restore`,
            prepare: ownedEmpty,
          },
        ]),
  ];
  const timings = await pair(commands, rounds, env);
  removed();
  print('restore of the base backup', timings);
  const [ours, piped, theirs] = timings as [Timing, Timing, Timing | undefined];
  const started = await startSeconds(bench);
  const alone: Timing = { ...ours, secondsEach: phases.map((seconds) => seconds + started) };
  process.stdout.write(
    `  ${median(alone.secondsEach).toFixed(2).padStart(8)} s  of it until the files are there and durable, the ` +
      'start of the program and its plan counted in\n',
  );
  mark('files restored / zstd -d | tar -x', ratio(alone, piped));
  if (theirs !== undefined) mark('files restored / pgbackrest restore', ratio(alone, theirs), 1.25);
  process.stdout.write('\n');
}

/** What comes before the first byte. */
async function startSeconds({ home, env, config }: ArchivingBench): Promise<number> {
  const [timing] = (await pair(
    [{ name: '', line: `cd ${home} && ${program} pitr --to immediate --dry-run --config ${config} >/dev/null` }],
    3,
    env,
  )) as [Timing];
  return median(timing.secondsEach);
}

async function bytesOf(path: string, env: Readonly<Record<string, string>>): Promise<number> {
  return Number((await run(`du -sbL ${path} | cut -f1`, env)).trim());
}
