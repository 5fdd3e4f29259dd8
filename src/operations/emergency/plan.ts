/**
 * The plan of an emergency restore, made before anything is touched: which backup, what it would replace, what
 * would be lost, whether this is the server it was taken from, whether there is room, how long it will take, and
 * the steps in order. It can be written to a sealed file, for somebody else to look at and apply.
 */
import { hostname } from 'node:os';
import type { Config } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { requireAuthority } from '../authority.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { chooseForEmergency, type EmergencyChoice, type PassedOver } from './newest-whole.ts';
import { lookAt, type LiveComponent } from './live.ts';
import { lookAround, lossOf, mismatchesOf, refuseDown, type ComponentNeed, type Looked } from './look-around.ts';
import { expectedTime } from './expected-time.ts';
import type { ComponentName } from '../operation.ts';
import { commandLine } from '../shell-words.ts';
import { proofStateOf, type BackupState } from '../proof/state.ts';
import { componentOf } from '../component.ts';

export type StepName =
  | 'safety-backup'
  | 'stop-services'
  | 'restore-database'
  | 'restore-redis'
  | 'restore-files'
  | 'start-services'
  | 'check';

export interface PlannedStep {
  readonly name: StepName;
  /** For people. */
  readonly title: string;
}

/** Times RFC 3339 in UTC, sizes bytes. No secret stands in it. */
export interface EmergencyPlan {
  readonly id: string;
  /** Of its manifest. */
  readonly seal: string;
  readonly target: string;
  readonly repository: string;
  /** This host. */
  readonly host: string;
  readonly createdAt: string;
  readonly takenAt: string;
  readonly state?: BackupState | undefined;
  readonly provenAt?: string | undefined;
  readonly passedOver: readonly PassedOver[];
  readonly components: readonly ComponentName[];
  /** Names of the databases, and the roots of the files. */
  readonly databases?: readonly string[] | undefined;
  readonly roots?: readonly string[] | undefined;
  readonly live: readonly LiveComponent[];
  /** Why this may be the wrong place; each must be confirmed by name. */
  readonly mismatches: readonly string[];
  /** What is written there now and is not in the backup. */
  readonly losses: readonly string[];
  readonly needs: readonly ComponentNeed[];
  /** What was asked for was the newest whole one. */
  readonly isNewest: boolean;
  /** From what was measured. */
  readonly expectedMs?: number | undefined;
  /** The drill or restore that it is reckoned from. */
  readonly measured?: { readonly id: string; readonly at: string; readonly ms: number } | undefined;
  readonly steps: readonly PlannedStep[];
  /** Roles and tablespaces are created, too: the server is another one than the backup's. */
  readonly withGlobals: boolean;
  /** Take it although it is not whole, or not signed by anybody trusted. */
  readonly forced: boolean;
  /** Save what is there first. */
  readonly safetyBackup: boolean;
  /** What must be typed. */
  readonly confirmName: string;
}

export interface PlanOptions extends EmergencyChoice {
  readonly safetyBackup: boolean;
}

/**
 * Throws `not_found`, `integrity` (no whole backup), `usage` (nowhere to restore to), `source` (a server that is needed
 * is down), `space`.
 */
export async function planEmergency(
  loaded: LoadedConfig,
  repository: Repository,
  options: PlanOptions,
  context: RunContext,
): Promise<EmergencyPlan> {
  const { config } = loaded;
  const chosen = await chooseForEmergency(repository, config, options, context);
  const { manifest, listed } = chosen;
  const components = componentsOf(manifest, options.only);
  if (components.includes('database')) {
    const isVouchedFor = await repository.vouchesFor(listed);
    const authority = { id: manifest.id, isVouchedFor, isForced: options.force };
    requireAuthority(authority, 'roles and grants', 'to take it as it is: its full id and --force', context.emit);
  }
  const looked = await lookAround(repository, config, manifest, components, context);
  refuseDown(looked.live, config.targets.get(options.target));
  const standing = await proofStateOf(repository, listed);
  const expected = await expectedTime(repository, listed, manifest, components);
  const mismatches = mismatchesOf(manifest, looked);
  const plan: EmergencyPlan = {
    id: manifest.id,
    seal: listed.seal ?? '',
    target: manifest.target,
    repository: repository.storage.location,
    host: hostname(),
    createdAt: new Date().toISOString(),
    takenAt: manifest.startedAt,
    state: standing?.state,
    provenAt: standing?.proven?.at,
    passedOver: chosen.passedOver,
    components,
    databases: looked.databases,
    roots: looked.roots,
    live: looked.live,
    mismatches,
    losses: looked.live.flatMap((live) => lossOf(live, manifest)),
    needs: looked.needs,
    isNewest: options.id === undefined || options.id === 'latest',
    expectedMs: expected?.ms,
    measured: expected === undefined ? undefined : { id: expected.id, at: expected.at, ms: expected.measuredMs },
    steps: stepsOf(config, components, looked.live, options),
    withGlobals: components.includes('database') && isOtherServer(looked),
    forced: options.force,
    safetyBackup: options.safetyBackup,
    confirmName: mismatches.length === 0 ? manifest.target : `${manifest.target}@${hostname()}`,
  };
  refuseFull(plan);
  return plan;
}

function componentsOf(manifest: Manifest, only: readonly ComponentName[]): ComponentName[] {
  const components = manifest.components
    .map(({ kind }) => componentOf(kind))
    .filter((name) => name !== 'base' && (only.length === 0 || only.includes(name)));
  const missing = only.find((name) => !components.includes(name));
  if (missing !== undefined) {
    throw new LifeboatError('not_found', `backup ${manifest.id} has no ${missing}`, {
      state: 'nothing was changed',
      hint: 'leave the id out: the newest backup that has it is taken',
    });
  }
  return components;
}

function isOtherServer({ live, systemIdentifier }: Looked): boolean {
  const isOther = (found: string | undefined): boolean => found === undefined || found !== systemIdentifier;
  return live.some((each) => each.component === 'database' && isOther(each.systemIdentifier));
}

function refuseFull({ needs }: EmergencyPlan): void {
  for (const { component, neededBytes, freeBytes } of needs) {
    if (freeBytes === undefined || freeBytes >= neededBytes) continue;
    throw new LifeboatError(
      'space',
      `${component} takes about ${formatBytes(neededBytes)} beside what is there, and only ` +
        `${formatBytes(freeBytes)} are free`,
      {
        state: 'nothing was changed',
        hint: 'make room there, or point the configuration to a larger disk or another server',
        facts: { component, neededBytes, freeBytes },
      },
    );
  }
}

function stepsOf(
  { emergency }: Config,
  components: readonly ComponentName[],
  live: readonly LiveComponent[],
  { safetyBackup }: PlanOptions,
): PlannedStep[] {
  const saved = live.filter(({ hasData }) => hasData).map(({ component }) => component);
  const steps: PlannedStep[] = [];
  if (emergency.stopServices !== undefined) {
    steps.push({ name: 'stop-services', title: `stop services: ${commandLine(emergency.stopServices)}` });
  }
  // After the services: what they wrote last is in it.
  if (safetyBackup && saved.length > 0) {
    steps.push({ name: 'safety-backup', title: `back up what is still there (${saved.join(', ')})` });
  }
  for (const component of components) {
    if (component !== 'base') {
      steps.push({ name: `restore-${component}`, title: `restore ${component}: beside, compare, swap` });
    }
  }
  if (emergency.startServices !== undefined) {
    steps.push({ name: 'start-services', title: `start services: ${commandLine(emergency.startServices)}` });
  }
  steps.push({ name: 'check', title: 'look at what is live now' });
  return steps;
}

/**
 * What an interrupted run must not be gone on with: the configuration now leads to other servers than were planned and
 * confirmed.
 */
export async function movedSince({ targets }: Config, plan: EmergencyPlan, context: RunContext): Promise<string[]> {
  const target = targets.get(plan.target);
  if (target === undefined) return [`target ${plan.target} is no longer configured`];
  const moved: string[] = [];
  for (const before of plan.live) {
    const now = await lookAt(before.component, target, plan, context);
    if (now === undefined) continue;
    if (now.where !== before.where) {
      moved.push(`${before.component} was to be restored to ${before.where}, now ${now.where} is configured`);
    } else if (now.reachable && now.systemIdentifier !== before.systemIdentifier) {
      moved.push(`${now.where} is another server than the one that was planned for`);
    }
  }
  return moved;
}
