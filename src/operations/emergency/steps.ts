/**
 * The doing of each step of an emergency restore. Each can be repeated after it was cut short: restores go on by their
 * marks, and commands are run again.
 */
import type { Config } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { safetyTag } from '../../repository/retention/backups.ts';
import { backup } from '../backup/backup.ts';
import type { Journal, JournalFile, JournalStep } from './journal.ts';
import { lookAt } from './live.ts';
import type { EmergencyPlan } from './plan.ts';
import { runService } from './services.ts';
import type { RestoreMarks } from '../restore/marks.ts';
import { restore } from '../restore/restore.ts';
import type { ComponentName } from '../operation.ts';
import type { RestoredComponent } from '../restore/request.ts';

/** Returns what came of it, one line each. */
export async function runEmergencyStep(
  loaded: LoadedConfig,
  file: JournalFile,
  journal: Journal,
  step: JournalStep,
  context: RunContext,
): Promise<string[]> {
  const { plan } = journal;
  const { emergency } = loaded.config;
  switch (step.name) {
    case 'stop-services':
      return runService('stop', emergency, file.servicesLog, context);
    case 'safety-backup':
      return saveAll(loaded, journal, context);
    case 'restore-database':
      return restoreOne(loaded, plan, 'database', marksOf(file, journal, step), context);
    case 'restore-redis':
      return restoreOne(loaded, plan, 'redis', marksOf(file, journal, step), context);
    case 'restore-files':
      return restoreOne(loaded, plan, 'files', marksOf(file, journal, step), context);
    case 'start-services':
      return runService('start', emergency, file.servicesLog, context);
    case 'check':
      return check(loaded.config, plan, context);
  }
}

/** Each component on its own: one that is dead must not keep the others from being saved. */
async function saveAll(loaded: LoadedConfig, journal: Journal, context: RunContext): Promise<string[]> {
  const { plan } = journal;
  const notes: string[] = [];
  for (const { component, hasData } of plan.live) {
    if (!hasData) continue;
    try {
      const result = await backup(
        loaded,
        {
          target: plan.target,
          components: [component],
          label: `before the emergency restore of ${plan.id}`,
          tags: [safetyTag],
          ifRunning: { action: 'wait', waitMs: 600_000 },
          // It is to be replaced, so it is meant.
          acceptNewSystem: true,
          dryRun: false,
        },
        context,
      );
      if (result.outcome !== 'done') continue;
      journal.safetyBackupId = result.id;
      notes.push(`${component} as it was is backup ${result.id}`);
    } catch (error) {
      context.signal.throwIfAborted();
      // Where it cannot be read, it cannot be saved; a database that is replaced is kept beside.
      if (!(error instanceof LifeboatError) || error.code !== 'source') throw error;
      context.emit({ type: 'warning', message: `${component} as it is cannot be saved: ${error.message}` });
      notes.push(`${component} could not be saved: ${error.message}`);
    }
  }
  return notes;
}

/** Kept in the journal, before what they speak of can be seen. */
function marksOf(file: JournalFile, journal: Journal, step: JournalStep): RestoreMarks {
  const earlier = [...(step.marks ?? [])];
  return {
    earlier,
    note: async (mark) => {
      (step.marks ??= []).push(mark);
      await file.write(journal);
    },
  };
}

async function restoreOne(
  loaded: LoadedConfig,
  plan: EmergencyPlan,
  component: ComponentName,
  marks: RestoreMarks,
  context: RunContext,
): Promise<string[]> {
  const request = {
    id: plan.id,
    target: plan.target,
    only: [component],
    postgres: { databases: [], tables: [], content: 'all' as const, intoLive: true, globals: plan.withGlobals },
    redis: { keys: [], method: 'auto' as const, intoLive: true },
    files: { paths: [], intoLive: true },
    // The whole plan was confirmed, and what is there was saved by a step of its own.
    safetyBackup: false,
    force: plan.forced,
    dryRun: false,
    confirm: async () => {},
    marks,
  };
  const result = await restore(loaded, request, context);
  return result.outcome === 'done' ? result.components.map(noteOf) : [];
}

function noteOf({ name, to, verified, summary, kept, undo }: RestoredComponent): string {
  const what = summary === undefined ? '' : ` (${summary})`;
  const old = kept === undefined ? '' : `; the old one is kept as ${kept}`;
  const back = undo === undefined ? '' : `; to take it back: ${undo}`;
  return `${name} is restored to ${to}, ${verdicts[verified]}${what}${old}${back}`;
}

const verdicts: Readonly<Record<RestoredComponent['verified'], string>> = {
  equal: 'equal to the backup',
  partial: 'equal where it could be compared',
  'not-checked': 'not compared',
};

/** Everything that was restored, and compared then, must be there now that services run. */
async function check({ targets }: Config, plan: EmergencyPlan, context: RunContext): Promise<string[]> {
  const target = targets.get(plan.target);
  if (target === undefined) throw new LifeboatError('usage', `target ${plan.target} is no longer configured`);
  const notes: string[] = [];
  for (const component of plan.components) {
    const live = await lookAt(component, target, plan, context);
    if (live === undefined) continue;
    if (!live.reachable) {
      throw new LifeboatError(
        'source',
        `${component} was restored, but cannot be reached now: ${live.where}: ${live.problem ?? ''}`,
        { retryable: true },
      );
    }
    notes.push(`${component}: ${live.where} holds ${live.holds}`);
  }
  return notes;
}
