/**
 * A backup before a deployment: all that a restore brings back, made now, read back, kept for some days whatever the
 * policy says, and the command that takes the deployment back. Whoever deploys waits for it, and goes on only if it has
 * ended well; so it ends before anything is changed, or fails.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { writeNote } from '../../repository/backups/notes.ts';
import { audited } from '../audit/audited.ts';
import { backup, backupOperation } from '../backup/backup.ts';
import type { BackupOptions, BackupRequest, BackupResult } from '../backup/request.ts';
import { pathOf } from '../complete.ts';
import { withRepository } from '../open-repository.ts';
import type { ComponentName, Operation } from '../operation.ts';
import { chooseTarget } from '../targets.ts';
import { noteWarnings } from '../warnings.ts';
import { summarized } from './summary.ts';
import { requireUndo, undoOf } from './undo.ts';

/** The tag of such backups. */
const preDeployTag = 'pre-deploy';

export interface PreDeployRequest extends BackupRequest {
  /** What is deployed. */
  readonly label: string;
  /** Undefined: as configured. */
  readonly keepDays?: number | undefined;
  /** Absolute; Markdown is added at its end. */
  readonly summaryFile?: string | undefined;
}

export type PreDeployOptions = BackupOptions &
  Pick<PreDeployRequest, 'label'> & {
    readonly keepDays?: number | undefined;
    readonly summaryFile?: string | undefined;
  };

export const preDeployOperation: Operation<PreDeployOptions, PreDeployRequest, BackupResult> = {
  command: 'backup',
  need: backupOperation.need,
  complete: ({ label, keepDays, summaryFile, ...options }, surroundings) => {
    const request = backupOperation.complete(options, surroundings);
    refuseNoGate(request, label);
    refuseKeeping(keepDays);
    const tags = [...new Set([...request.tags, preDeployTag])];
    return { ...request, label, tags, keepDays, summaryFile: pathOf(summaryFile, surroundings.cwd) };
  },
  run: async (loaded, request, context) =>
    summarized(request, context, async (inner) => takeOne(loaded, request, inner)),
};

/** What would let a deployment begin without a backup, or without a way back. */
function refuseNoGate({ ifRunning, components }: BackupRequest, label: string): void {
  const why =
    label.trim() === ''
      ? 'the label is empty: say what is deployed'
      : ifRunning.action === 'skip'
        ? '--if-running=skip would let a deployment begin without a backup; wait=10m waits for the other one'
        : components.includes('base')
          ? 'a base backup cannot be restored in place: leave it out'
          : undefined;
  if (why !== undefined) throw new LifeboatError('usage', `--pre-deploy: ${why}`, { state: 'no backup was made' });
}

/** As the configuration does. */
const mostDays = 3650;

function refuseKeeping(keepDays: number | undefined): void {
  if (keepDays === undefined || keepDays <= mostDays) return;
  throw new LifeboatError('usage', `--keep-days: ${keepDays} days are too many, ${mostDays} at most`, {
    state: 'no backup was made',
    hint: 'to keep one until it is released: lifeboat hold',
  });
}

async function takeOne(loaded: LoadedConfig, request: PreDeployRequest, context: RunContext): Promise<BackupResult> {
  const { context: noting, warnings } = noteWarnings(context);
  const { keepDays = loaded.config.preDeploy.keepDays, summaryFile: _, ...wanted } = request;
  const components = request.components.length > 0 ? request.components : restorable(loaded, request.target);
  const result = await backup(loaded, { ...wanted, components }, context);
  if (result.outcome !== 'done') return result;
  const until = new Date(Date.now() + keepDays * 86_400_000);
  const hold = { id: result.id, reason: `before the deployment of ${request.label}`.slice(0, 1000), until };
  await keep(loaded, hold, noting).catch((error: unknown) => {
    if (!(error instanceof LifeboatError)) throw error;
    throw error.withState(`backup ${result.id} is stored, but not on hold`);
  });
  await requireUndo(loaded, result, noting);
  return {
    ...result,
    hold: { reason: hold.reason, until: until.toISOString() },
    undo: undoOf(loaded, result),
    warnings: [...result.warnings, ...warnings],
  };
}

/** All that is configured, but for base backups: those take long, and are not restored in place. */
function restorable(loaded: LoadedConfig, name: string | undefined): ComponentName[] {
  const { postgres, redis, files } = chooseTarget(loaded, name);
  return [
    ...(postgres === undefined ? [] : (['database'] as const)),
    ...(redis === undefined ? [] : (['redis'] as const)),
    ...(files === undefined ? [] : (['files'] as const)),
  ];
}

interface Keeping {
  readonly id: string;
  readonly reason: string;
  readonly until: Date;
}

/**
 * Reads the manifest back, and holds the backup. Without the lease of cleanups, so that no cleanup keeps a deployment
 * waiting: nobody else says anything of a backup that is seconds old, and none deletes the newest of a target.
 */
const keep = audited('hold', async (loaded: LoadedConfig, { id, reason, until }: Keeping, context: RunContext) =>
  withRepository(loaded, context, async (repository) => {
    const { manifest, trust, reason: why = 'it cannot be checked' } = await repository.readManifest(id);
    if (manifest === undefined || trust !== 'sealed') {
      throw new LifeboatError('integrity', `backup ${id} cannot be read back: ${why}`, {
        hint: 'lifeboat doctor tells whether the key fits the repository; then make another one',
      });
    }
    await writeNote(repository, manifest, { hold: { reason, until } });
    return { id };
  }),
);
