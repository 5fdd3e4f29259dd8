/**
 * The plan of an emergency restore, made before anything is touched: which backup, what it would replace, what
 * would be lost, whether this is the server it was taken from, whether there is room, how long it will take, and
 * the steps in order. It can be written to a sealed file, for somebody else to look at and apply.
 */
import { hostname } from 'node:os';
import type { Config, TargetConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatDuration } from '../../lib/time.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { filesFacts } from '../../source/files/facts.ts';
import { postgresFacts } from '../../source/postgres/facts/facts.ts';
import { chooseForEmergency, type EmergencyChoice, type PassedOver } from './newest-whole.ts';
import { lookAt, lookAtDatabase, lookAtFiles, lookAtRedis, type LiveComponent } from './live.ts';
import { expectedTime } from './expected-time.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
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
  readonly needs: readonly {
    readonly component: ComponentName;
    readonly neededBytes: number;
    readonly freeBytes?: number | undefined;
  }[];
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
  const components = manifest.components
    .map(({ kind }) => componentOf(kind))
    .filter((name) => name !== 'base' && (options.only.length === 0 || options.only.includes(name)));
  const missing = options.only.find((name) => !components.includes(name));
  if (missing !== undefined) {
    throw new LifeboatError('not_found', `backup ${manifest.id} has no ${missing}`, {
      state: 'nothing was changed',
      hint: 'leave the id out: the newest backup that has it is taken',
    });
  }
  const looked = await lookAround(repository, config, manifest, components, context);
  refuseDown(looked.live, config.targets.get(options.target));
  const standing = await proofStateOf(repository, listed);
  const expected = await expectedTime(repository, listed, manifest, components);
  const mismatches = mismatchesOf(manifest, looked);
  const wrongServer = looked.live.some(
    (live) =>
      live.component === 'database' &&
      (live.systemIdentifier === undefined || live.systemIdentifier !== looked.systemIdentifier),
  );
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
    withGlobals: components.includes('database') && wrongServer,
    forced: options.force,
    safetyBackup: options.safetyBackup,
    confirmName: mismatches.length === 0 ? manifest.target : `${manifest.target}@${hostname()}`,
  };
  refuseFull(plan);
  return plan;
}

interface Looked {
  readonly live: readonly LiveComponent[];
  readonly needs: EmergencyPlan['needs'];
  /** Of the server that was backed up. */
  readonly systemIdentifier: string | undefined;
  readonly databases: readonly string[];
  readonly roots: readonly string[];
}

async function lookAround(
  repository: Repository,
  config: Config,
  manifest: Manifest,
  wanted: readonly ComponentName[],
  context: RunContext,
): Promise<Looked> {
  const target = config.targets.get(manifest.target);
  if (target === undefined) {
    throw new LifeboatError(
      'usage',
      `target ${manifest.target} is not configured here: there is nowhere to restore to`,
      {
        state: 'nothing was changed',
        hint: 'set DATABASE_URL, REDIS_URL or BACKUP_FILES (and BACKUP_TARGET), or name a configuration with --config',
      },
    );
  }
  const facts = await readComponentFacts(repository, manifest);
  const live: LiveComponent[] = [];
  const needs: { component: ComponentName; neededBytes: number; freeBytes?: number | undefined }[] = [];
  let systemIdentifier: string | undefined;
  const databases: string[] = [];
  const roots: string[] = [];
  const need = (found: LiveComponent, neededBytes: number): void => {
    live.push(found);
    needs.push({
      component: found.component,
      neededBytes,
      ...(found.freeBytes === undefined ? {} : { freeBytes: found.freeBytes }),
    });
  };
  for (const component of manifest.components.filter(({ kind }) => wanted.includes(componentOf(kind)))) {
    if (component.kind === 'postgres') {
      const recorded = factsOf(postgresFacts, facts, component, manifest.id);
      ({ systemIdentifier } = recorded);
      databases.push(...recorded.databases.map(({ name }) => name));
      const bytes = recorded.databases.flatMap(({ tables }) => tables).reduce((sum, table) => sum + table.bytes, 0);
      const found = await lookAtDatabase(target, recorded.databases, context);
      // What is live has indexes, too, which take room when it is restored.
      need(found, Math.max(bytes, found.bytes ?? 0));
    } else if (component.kind === 'redis') need(await lookAtRedis(target, context), sumOf(component));
    else if (component.kind === 'files') {
      const recorded = factsOf(filesFacts, facts, component, manifest.id);
      roots.push(...recorded.roots.map(({ path }) => path));
      need(await lookAtFiles(roots), recorded.contentBytes);
    }
  }
  return { live, needs, systemIdentifier, databases, roots };
}

function sumOf({ artifacts }: ManifestComponent): number {
  return artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** A server that is down cannot be restored into; what it holds is not known either. */
function refuseDown(live: readonly LiveComponent[], target: TargetConfig | undefined): void {
  const down = live.find(({ reachable }) => !reachable);
  if (down === undefined || target === undefined) return;
  const message = `${down.component} cannot be restored: ${down.where}: ${down.problem ?? 'unreachable'}`;
  const variable = down.component === 'redis' ? 'REDIS_URL' : 'DATABASE_URL';
  const others = live.filter(({ reachable }) => reachable).map(({ component }) => `--${component}-only`);
  const server = `start an empty server there (or point ${variable} to another one)`;
  throw new LifeboatError('source', message, {
    state: 'nothing was changed',
    hint: `${server}, or restore the rest first: ${others.join(' ')}`,
  });
}

/** Where nothing is there to be replaced, no place is the wrong one. */
function mismatchesOf(manifest: Manifest, { live, systemIdentifier }: Looked): string[] {
  const mismatches: string[] = [];
  const isOtherHost = manifest.host !== hostname();
  for (const { component, where, hasData, holds, systemIdentifier: found } of live) {
    if (!hasData) continue;
    const knowsServer = component === 'database' && found !== undefined && systemIdentifier !== undefined;
    if (knowsServer && found !== systemIdentifier) {
      mismatches.push(
        `the backup is of PostgreSQL with the system identifier ${systemIdentifier}; ${where} has ${found} and ` +
          `holds ${holds}`,
      );
    }
    if (!knowsServer && isOtherHost) {
      mismatches.push(
        `the backup was taken on host ${manifest.host}, this is ${hostname()}, and ${where} holds ${holds}`,
      );
    }
  }
  return mismatches;
}

function lossOf({ component, where, hasData, lastWriteAt, holds }: LiveComponent, manifest: Manifest): string[] {
  if (!hasData) return [];
  if (lastWriteAt === undefined) {
    return [
      `${component}: all that was written to ${where} (${holds}) since the backup, ${manifest.startedAt}; when ` +
        'that was last cannot be told',
    ];
  }
  const taken = `the backup, ${manifest.startedAt}`;
  const behindMs = Date.parse(lastWriteAt) - Date.parse(manifest.startedAt);
  if (behindMs <= 0) {
    return [
      `${component}: nothing that is seen: ${where} (${holds}) is replaced, but was last written to before ${taken}`,
    ];
  }
  return [
    `${component}: ${formatDuration(behindMs)} of writing to ${where} (${holds}), from ${taken}, to the last ` +
      `write, ${lastWriteAt}`,
  ];
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
