/** The doing of each step of an emergency restore. Each can be repeated after it was cut short: restores are made beside what is there, and commands are run again. */
import type { Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { LifeboatError, messageOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { runTool } from '../lib/exec.ts';
import { formatDuration } from '../lib/time.ts';
import { safetyTag } from '../repository/retention-backups.ts';
import { backup } from './backup.ts';
import type { Journal, JournalStep } from './emergency-journal.ts';
import { lookAt } from './emergency-live.ts';
import type { EmergencyPlan } from './emergency-plan.ts';
import { restore } from './restore.ts';
import type { ComponentName, RestoredComponent } from './requests.ts';

/** A command that hangs must not hang the restore. */
const serviceTimeoutMs = 10 * 60_000;

/** Returns what came of it, one line each. */
export async function runEmergencyStep(loaded: LoadedConfig, journal: Journal, step: JournalStep, context: RunContext): Promise<string[]> {
  const { plan } = journal;
  const { emergency } = loaded.config;
  switch (step.name) {
    case 'stop-services':
      return runService('stop', emergency.stopServices, context);
    case 'safety-backup':
      return saveAll(loaded, journal, context);
    case 'restore-database':
      return restoreOne(loaded, plan, 'database', context);
    case 'restore-redis':
      return restoreOne(loaded, plan, 'redis', context);
    case 'restore-files':
      return restoreOne(loaded, plan, 'files', context);
    case 'start-services':
      return runService('start', emergency.startServices, context);
    case 'check':
      return check(loaded.config, plan, context);
  }
}

async function runService(what: 'stop' | 'start', argv: readonly string[] | undefined, { signal }: RunContext): Promise<string[]> {
  const [file, ...args] = argv ?? [];
  if (file === undefined) throw new LifeboatError('usage', `no command to ${what} services is configured any more`, { hint: `configure emergency.${what}Services, or ${what} them by hand and resume with "true" as the command` });
  const limit = AbortSignal.timeout(serviceTimeoutMs);
  try {
    await runTool({ file, args, signal: AbortSignal.any([signal, limit]) });
    return [];
  } catch (error) {
    signal.throwIfAborted();
    const why = limit.aborted ? `it ran longer than ${formatDuration(serviceTimeoutMs)}` : messageOf(error);
    throw new LifeboatError('tool', `services cannot be ${what === 'stop' ? 'stopped' : 'started'}: ${why}`, { hint: `run it by hand to see why: ${[file, ...args].join(' ')}`, cause: error });
  }
}

/** Each component on its own: one that is dead must not keep the others from being saved. */
async function saveAll(loaded: LoadedConfig, journal: Journal, context: RunContext): Promise<string[]> {
  const { plan } = journal;
  const notes: string[] = [];
  for (const { component, hasData } of plan.live) {
    if (!hasData) continue;
    try {
      const result = await backup(loaded, { target: plan.target, components: [component], label: `before the emergency restore of ${plan.id}`, tags: [safetyTag], ifRunning: { action: 'wait', waitMs: 600_000 }, dryRun: false }, context);
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

async function restoreOne(loaded: LoadedConfig, plan: EmergencyPlan, component: ComponentName, context: RunContext): Promise<string[]> {
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
  };
  const result = await restore(loaded, request, context);
  return result.outcome === 'done' ? result.components.map(noteOf) : [];
}

function noteOf({ name, to, verified, summary, kept, undo }: RestoredComponent): string {
  const verdict = verified === 'equal' ? 'equal to the backup' : verified === 'partial' ? 'equal where it could be compared' : 'not compared';
  const old = kept === undefined ? '' : `; the old one is kept as ${kept}`;
  return `${name} is restored to ${to}, ${verdict}${summary === undefined ? '' : ` (${summary})`}${old}${undo === undefined ? '' : `; to take it back: ${undo}`}`;
}

/** Everything that was restored, and compared then, must be reachable now that services run. */
async function check({ targets }: Config, plan: EmergencyPlan, context: RunContext): Promise<string[]> {
  const target = targets.get(plan.target);
  if (target === undefined) throw new LifeboatError('usage', `target ${plan.target} is no longer configured`);
  const notes: string[] = [];
  for (const component of plan.components) {
    const live = await lookAt(component, target, plan, context);
    if (live === undefined) continue;
    if (!live.reachable) throw new LifeboatError('source', `${component} was restored, but cannot be reached now: ${live.where}: ${live.problem ?? ''}`, { retryable: true });
    notes.push(`${component}: ${live.where} holds ${live.holds}`);
  }
  return notes;
}
