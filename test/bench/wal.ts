/**
 * The archive_command: real segments that a loaded server has made ready, shipped in the archiver's order by the
 * recommended line (one call takes many along), one by one, and those that were shipped already; beside `zstd -3`
 * of the same files one after the other into a folder.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startArchivingBench, type ArchivingBench } from './archiving.ts';
import { median, pair, ratio, run, type Command, type Timing } from './measure.ts';
import { mark, mb, print } from './report.ts';

export interface WalBenchOptions {
  readonly rounds: number;
  readonly segments: number;
}

const aloneSegments = 10;
const shippedCalls = 100;

export async function benchWal({ rounds, segments }: WalBenchOptions): Promise<void> {
  const bench = await startArchivingBench();
  try {
    const names = await makeSegments(bench, segments);
    const data = bench.server.dataDir;
    const list = names.join(' ');
    const fresh = async (): Promise<void> => {
      await bench.freshRepository();
      await run(
        `cd ${data}/pg_wal/archive_status && for f in ${list}; do rm -f $f.done; touch $f.ready; done`,
        bench.env,
      );
    };
    const compressed = join(bench.home, 'zstd');
    const cleared = (): void => {
      rmSync(compressed, { recursive: true, force: true });
      mkdirSync(compressed);
    };
    const archive = bench.archiveCommand.replaceAll('%p', 'pg_wal/$f').replaceAll('%f', '$f');
    const batches: Command = {
      name: `lifeboat wal push, ${segments} ready segments`,
      line: asServer(
        bench,
        data,
        `for f in ${list}; do ( ${archive} ) >/dev/null; mv pg_wal/archive_status/$f.ready ` +
          'pg_wal/archive_status/$f.done; done',
      ),
      prepare: fresh,
    };
    const zstd: Command = {
      name: 'zstd -3, one after the other',
      line: `cd ${data} && for f in ${list}; do zstd -3 -q pg_wal/$f -o ${compressed}/$f.zst; done`,
      prepare: cleared,
    };
    const [ours, theirs] = (await pair([batches, zstd], rounds, bench.env)) as [Timing, Timing];
    print(`wal push (${mb(segments * 16 * 1024 * 1024)} of WAL)`, [ours, theirs]);
    process.stdout.write(
      `  ${(segments / median(ours.secondsEach)).toFixed(1).padStart(8)}    segments per second in batches; zstd ` +
        `-3: ${(segments / median(theirs.secondsEach)).toFixed(1)}\n`,
    );
    mark('wal push / zstd -3', ratio(ours, theirs), 1);
    await alone(bench, names.slice(0, aloneSegments), rounds);
    await shipped(bench, names, rounds);
  } finally {
    await bench.server.stop();
  }
}

async function alone(bench: ArchivingBench, names: readonly string[], rounds: number): Promise<void> {
  // No archive_status beside them: nothing else is ready.
  const folder = join(bench.home, 'alone');
  for (const path of ['pg_wal', 'global']) mkdirSync(join(folder, path), { recursive: true });
  for (const each of ['global/pg_control', ...names.map((name) => `pg_wal/${name}`)]) {
    copyFileSync(join(bench.server.dataDir, each), join(folder, each));
  }
  const line =
    `chmod -R a+rwX ${folder} && ` +
    asServer(
      bench,
      folder,
      `for f in ${names.join(' ')}; do ${program(bench)} wal push ` +
        `pg_wal/$f --config ${bench.config} >/dev/null; done`,
    );
  const [timing, node] = (await pair(
    [
      {
        name: `lifeboat wal push, ${names.length} segments one by one`,
        line,
        prepare: async () => bench.freshRepository(),
      },
      { name: 'node -e 0 as often', line: `for f in ${names.join(' ')}; do ${process.execPath} -e 0; done` },
    ],
    rounds,
    bench.env,
  )) as [Timing, Timing];
  print('wal push alone', [timing, node]);
  mark('wal push / node -e 0', ratio(timing, node), 6);
  process.stdout.write(
    `  ${(names.length / median(timing.secondsEach)).toFixed(1).padStart(8)}    segments per second, ` +
      `${((1000 * median(timing.secondsEach)) / names.length).toFixed(0)} ms each\n`,
  );
}

async function shipped(bench: ArchivingBench, names: readonly string[], rounds: number): Promise<void> {
  const data = bench.server.dataDir;
  const [first = '', second = ''] = names;
  const call = (name: string): string => bench.archiveCommand.replaceAll('%p', `pg_wal/${name}`).replaceAll('%f', name);
  await bench.freshRepository();
  await run(
    `cd ${data}/pg_wal/archive_status && for f in ${names.join(' ')}; do rm -f $f.done; touch $f.ready; done`,
    bench.env,
  );
  const one = (name: string): string =>
    asServer(bench, data, `sh -c '${call(name).replaceAll("'", `'\\''`)}' >/dev/null`);
  await pair([{ name: '', line: one(first) }], 1, bench.env);
  const again: Command = {
    name: `${shippedCalls} calls for what was shipped along`,
    line: asServer(
      bench,
      data,
      `for i in $(seq ${shippedCalls}); do sh -c '${call(second).replaceAll("'", `'\\''`)}'; done`,
    ),
  };
  const [timing] = (await pair([again], rounds, bench.env)) as [Timing];
  process.stdout.write(
    `  ${((1000 * median(timing.secondsEach)) / shippedCalls).toFixed(1).padStart(8)} ms  a call of ` +
      'archive_command for a segment that is shipped already\n\n',
  );
}

function program(bench: ArchivingBench): string {
  return /(\S+) wal push/.exec(bench.archiveCommand)?.[1] ?? 'lifeboat';
}

/** A line for bash, in a folder, as the server's user. */
function asServer({ asServer: prefix }: ArchivingBench, folder: string, line: string): string {
  return `cd ${folder} && ${prefix} bash -c ${quoted(`set -euo pipefail; ${line}`)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Runs pgbench until so many segments are ready; their names. */
async function makeSegments({ server, env }: ArchivingBench, wanted: number): Promise<string[]> {
  const ready = (): string[] =>
    readdirSync(join(server.dataDir, 'pg_wal/archive_status'))
      .filter((name) => /^[0-9A-F]{24}\.ready$/.test(name))
      .map((name) => name.slice(0, 24))
      .toSorted();
  await pair([{ name: '', line: 'pgbench -i -q -s 30 postgres' }], 1, env);
  while (ready().length < wanted) {
    // A checkpoint now and then, so that whole pages come into the log as they do in a busy day.
    await pair([{ name: '', line: 'psql -Xqc CHECKPOINT postgres && pgbench -n -N -c 4 -T 4 postgres' }], 1, env);
  }
  return ready().slice(0, wanted);
}
