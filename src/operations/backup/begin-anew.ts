/**
 * A backup whose source let go, since somebody waited for the locks that it held, is begun anew, all of it and under
 * another id: its parts must be close together in time, and nothing of the first try counts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunContext } from '../../lib/events.ts';
import { GaveWayError } from '../../source/source.ts';
import type { BackupResult } from './request.ts';
import { type BackupPlan, type BackupRun, runBackup } from './run-backup.ts';

/** Between two tries. */
const pausesMs = [1000, 4000, 15_000, 60_000];

/** `sources`: the plan's components once more, since a source serves one dump. Throws as runBackup() does. */
export async function runPatiently(
  run: BackupRun,
  sources: () => Promise<BackupPlan['components']>,
  context: RunContext,
): Promise<BackupResult> {
  let current = run;
  for (const pauseMs of pausesMs) {
    try {
      return await runBackup(current, context);
    } catch (error) {
      if (!(error instanceof GaveWayError)) throw error;
      context.emit({ type: 'step', message: `${error.message}; the backup begins anew` });
    }
    await sleep(pauseMs, undefined, { signal: context.signal }).catch(() => context.signal.throwIfAborted());
    current = { ...run, plan: { ...run.plan, components: await sources() } };
  }
  return runBackup(current, context);
}
