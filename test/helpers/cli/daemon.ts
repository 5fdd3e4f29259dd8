/** Daemons of a bench: schedules that are due already, and what the repository knows of their slots. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';
import { withRepository } from '../../../src/operations/open-repository.ts';
import { chooseSchedule } from '../../../src/operations/schedule/choose.ts';
import { planOf, scheduleKeyOf } from '../../../src/operations/schedule/slot.ts';
import { slotNames } from '../../../src/repository/slots/documents.ts';
import { publishPlan } from '../../../src/repository/slots/plans.ts';
import { openSlots, type ReadSlot } from '../../../src/repository/slots/records.ts';
import type { Bench } from './command-run.ts';

const context = { signal: new AbortController().signal, emit: () => {} };

async function load(bench: Bench): Promise<LoadedConfig> {
  return loadConfig({ cwd: bench.folder, env: bench.env });
}

/** Says that a schedule has been in force for so long: its moments since then wait for a run. */
export async function inForceSince(bench: Bench, id: string, hours: number): Promise<void> {
  const loaded = await load(bench);
  const schedule = chooseSchedule(loaded, id);
  await withRepository(loaded, context, async (repository) =>
    publishPlan(repository, scheduleKeyOf(loaded, schedule), planOf(schedule), Date.now() - hours * 3_600_000),
  );
}

/** The records of a schedule, the oldest slot first. */
export async function recordsOf(bench: Bench, id: string): Promise<ReadSlot[]> {
  const loaded = await load(bench);
  const of = scheduleKeyOf(loaded, chooseSchedule(loaded, id));
  return withRepository(loaded, context, async (repository) => {
    const names = await slotNames(repository, of);
    return openSlots(
      repository,
      of,
      names.filter(({ kind }) => kind === 'record'),
    );
  });
}

/** A worker of a bench's daemon. */
export interface BenchWorker {
  readonly pid: number;
  /** With all of its group, as the kernel would. */
  kill(): void;
  /** It stands still. */
  stop(): void;
  gone(): Promise<void>;
}

/** The worker that runs a schedule. Throws unless there is one. */
export function workerOf(bench: Pick<Bench, 'tmp'>, id: string): BenchWorker {
  const pid = readdirSync('/proc').find((each) => /^\d+$/.test(each) && isWorker(bench, each, id));
  if (pid === undefined) throw new Error(`no worker runs ${id}`);
  return {
    pid: Number(pid),
    kill: () => process.kill(-Number(pid), 'SIGKILL'),
    stop: () => process.kill(Number(pid), 'SIGSTOP'),
    gone: async () => {
      while (existsSync(`/proc/${pid}`)) await sleep(10);
    },
  };
}

function isWorker({ tmp }: Pick<Bench, 'tmp'>, pid: string, id: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const isMeant = words.at(-2) === id && words.at(-3) === '--worker';
    return isMeant && readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`TMPDIR=${tmp}`);
  } catch {
    return false;
  }
}

/** The programs of a server, of which pg_dump can be made to stand still before it reads anything. */
export class HeldDump {
  /** For BACKUP_POSTGRES_BIN. */
  readonly binDir: string;
  readonly #order: string;
  readonly #pid: string;

  constructor(folder: string, realBinDir: string) {
    this.binDir = join(folder, 'bin');
    this.#order = join(folder, 'hold');
    this.#pid = join(folder, 'held');
    mkdirSync(this.binDir);
    for (const name of readdirSync(realBinDir)) {
      if (name !== 'pg_dump') symlinkSync(join(realBinDir, name), join(this.binDir, name));
    }
    const script = `#!/bin/sh
case " $* " in *' --version '*) exec '${realBinDir}/pg_dump' "$@" ;; esac
if rm '${this.#order}' 2>/dev/null; then
  echo $$ >'${this.#pid}.new' && mv '${this.#pid}.new' '${this.#pid}'
  kill -STOP $$
fi
exec '${realBinDir}/pg_dump' "$@"
`;
    writeFileSync(join(this.binDir, 'pg_dump'), script, { mode: 0o755 });
  }

  /** The next one to dump stands still. */
  hold(): void {
    rmSync(this.#pid, { force: true });
    writeFileSync(this.#order, '');
  }

  /** Once one stands still: its pid. */
  async held(): Promise<number> {
    while (!existsSync(this.#pid)) await sleep(20);
    const pid = readFileSync(this.#pid, 'utf8').trim();
    while (!/^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await sleep(5);
    return Number(pid);
  }
}
