/**
 * What can be had in an emergency, by target and component: the newest whole backup, how old it is, when it was proven,
 * how long it would take. Needs the repository and a key, no server.
 */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { judgeOnce, newestWhole, type JudgeWhole, type PassedOver } from './newest-whole.ts';
import { isAtWork, JournalFile } from './journal.ts';
import { noteWarnings } from '../warnings.ts';
import { withRepository } from '../open-repository.ts';
import type { ComponentName, Operation } from '../operation.ts';
import { proofStateOf, type BackupState } from '../proof/state.ts';
import { componentOf } from '../component.ts';
import { repositoryNeeds } from '../complete.ts';
import { exitCodeOf } from '../../lib/errors.ts';

export interface EmergencyStatusRequest {
  /** Undefined: every target in the repository. */
  readonly target?: string | undefined;
}

/** Times RFC 3339 in UTC. */
export interface EmergencyComponent {
  readonly component: ComponentName;
  /** Undefined: no backup of it is whole. */
  readonly id?: string | undefined;
  readonly takenAt?: string | undefined;
  readonly ageMs?: number | undefined;
  readonly state?: BackupState | undefined;
  readonly provenAt?: string | undefined;
  /** Measured by a drill or a restore of all of that backup. */
  readonly expectedMs?: number | undefined;
  /** Bytes that a restore reads. */
  readonly bytes?: number | undefined;
  /** Newer ones that are not whole. */
  readonly passedOver: readonly PassedOver[];
}

export interface UnfinishedRun {
  readonly id: string;
  readonly startedAt: string;
  readonly journal: string;
  /** The process that is at it; undefined: it was interrupted. */
  readonly pid?: number | undefined;
  /** Names of the steps that are done, and of those that are not. */
  readonly done: readonly string[];
  readonly left: readonly string[];
}

export interface EmergencyStatusResult {
  readonly repository: string;
  readonly targets: readonly {
    readonly target: string;
    readonly components: readonly EmergencyComponent[];
    /** A run of this host that was interrupted. */
    readonly unfinished?: UnfinishedRun | undefined;
  }[];
  readonly warnings: readonly string[];
}

export const emergencyStatusOperation: Operation<
  EmergencyStatusRequest,
  EmergencyStatusRequest,
  EmergencyStatusResult
> = {
  need: () => repositoryNeeds,
  complete: (options) => options,
  run: emergencyStatus,
  exitCode: ({ targets }) => {
    const isWhole =
      targets.length > 0 && targets.every(({ components }) => components.every(({ id }) => id !== undefined));
    return isWhole ? 0 : exitCodeOf.not_found;
  },
};

export async function emergencyStatus(
  loaded: LoadedConfig,
  request: EmergencyStatusRequest,
  told: RunContext,
): Promise<EmergencyStatusResult> {
  const { context, warnings } = noteWarnings(told);
  return withRepository(loaded, context, async (repository) => {
    const found = await componentsByTarget(repository, request.target);
    const judge = judgeOnce(repository, loaded.config, context);
    const targets: EmergencyStatusResult['targets'][number][] = [];
    for (const [target, components] of [...found].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const newest: EmergencyComponent[] = [];
      for (const component of components) {
        newest.push(await newestOf(loaded, repository, target, component, judge, context));
      }
      targets.push({
        target,
        components: newest,
        unfinished: await unfinishedOf(loaded, repository.repositoryId, target),
      });
    }
    return { repository: repository.storage.location, targets, warnings };
  });
}

async function componentsByTarget(
  repository: Repository,
  only: string | undefined,
): Promise<Map<string, Set<ComponentName>>> {
  const found = new Map<string, Set<ComponentName>>();
  for await (const { manifest } of repository.listManifests()) {
    if (manifest === undefined || (only !== undefined && manifest.target !== only)) continue;
    const components = found.get(manifest.target) ?? new Set();
    found.set(manifest.target, components);
    for (const { kind } of manifest.components) components.add(componentOf(kind));
  }
  return found;
}

async function newestOf(
  { config }: LoadedConfig,
  repository: Repository,
  target: string,
  component: ComponentName,
  judge: JudgeWhole,
  context: RunContext,
): Promise<EmergencyComponent> {
  const { found, passedOver } = await newestWhole(repository, config, { target, only: [component] }, context, {
    judge,
  });
  if (found?.manifest === undefined) return { component, passedOver };
  const { manifest } = found;
  const standing = await proofStateOf(repository, found);
  return {
    component,
    id: manifest.id,
    takenAt: manifest.startedAt,
    ageMs: Math.max(0, Date.now() - Date.parse(manifest.startedAt)),
    state: standing?.state,
    provenAt: standing?.proven?.at,
    expectedMs: standing?.proven?.durationMs ?? standing?.restored?.durationMs,
    bytes: bytesOf(manifest, component),
    passedOver,
  };
}

function bytesOf({ components }: Manifest, wanted: ComponentName): number {
  return components
    .filter(({ kind }) => componentOf(kind) === wanted)
    .flatMap(({ artifacts }) => artifacts)
    .reduce((sum, { bytes }) => sum + bytes, 0);
}

async function unfinishedOf(
  { config }: LoadedConfig,
  repositoryId: string,
  target: string,
): Promise<UnfinishedRun | undefined> {
  const file = new JournalFile(config.stateDir, repositoryId, target);
  const journal = await file.read().catch(() => undefined);
  if (journal === undefined || journal.finishedAt !== undefined) return undefined;
  const { plan, startedAt, steps, by } = journal;
  const named = (isDone: boolean): string[] =>
    steps.filter(({ state }) => (state === 'done') === isDone && state !== 'skipped').map(({ name }) => name);
  return {
    id: plan.id,
    startedAt,
    journal: file.path,
    pid: isAtWork(journal) ? by.pid : undefined,
    done: named(true),
    left: named(false),
  };
}
