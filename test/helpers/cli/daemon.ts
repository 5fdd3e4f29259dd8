/** Daemons of a bench: schedules that are due already, and what the repository knows of their slots. */
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
