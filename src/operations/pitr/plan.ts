/**
 * Plans a recovery to a moment: which base backup, along which timeline, by which WAL; and refuses, before
 * a byte is written, what could not succeed. A recovery that runs out of WAL says so only after hours.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { segmentAt } from '../../source/postgres/wal/file-name.ts';
import { baseFacts, type BaseFacts } from '../../source/postgres/base/facts.ts';
import { placeTablespaces } from '../../source/postgres/base/tablespaces.ts';
import type { ScratchPlace } from '../../source/postgres/cluster/scratch-cluster.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import { baseBackups, placeFor, startsTooLate } from './choose-base.ts';
import { logicalBackups } from './logical-backups.ts';
import { neededFor } from './needed-segments.ts';
import type { PitrPlanned, PitrRequest } from './request.ts';
import { formatMicroseconds, parseTarget, parseTime, type PitrTarget } from './moment.ts';
import { chooseTimeline, readableRun, runOf, type WalRun } from './wal-run.ts';
import { endOfRun, type RunEnd } from './run-contents.ts';
import { takeInventory, type WalInventory } from './wal-inventory.ts';
import { segmentsOfBase } from '../wal/base-segments.ts';

export interface PitrPlan {
  readonly manifest: Manifest;
  readonly component: ManifestComponent;
  readonly facts: BaseFacts;
  readonly inventory: WalInventory;
  readonly run: WalRun;
  readonly end: RunEnd;
  /** Names of the segments up to the target, as far as that is known. */
  readonly needed: readonly string[];
  readonly target: PitrTarget;
  readonly place: ScratchPlace;
  readonly shown: PitrPlanned;
}

const lacksLog = 'lacks its own WAL';

/** There is no base backup with its log, whatever the moment. */
export class NoBaseError extends LifeboatError {
  /** Whose; undefined: anybody's. */
  readonly target: string | undefined;

  constructor(message: string, target: string | undefined) {
    super('window', message, {
      state: 'nothing was changed',
      hint: 'lifeboat list shows what there is; lifeboat backup base takes one',
    });
    this.target = target;
  }
}

/** Throws `window` (17) with the nearest moments, `integrity` (14) naming what is missing, `tool` (16), `usage` (2). */
export async function planPitr(
  loaded: LoadedConfig,
  request: PitrRequest,
  repository: Repository,
  context: RunContext,
): Promise<PitrPlan> {
  const target = parseTarget(request.to);
  const name =
    request.target ??
    loaded.config.defaultTarget ??
    (loaded.config.targets.size === 1 ? [...loaded.config.targets.keys()][0] : undefined);
  const candidates = await baseBackups(repository, name);
  if (candidates.length === 0) throw new NoBaseError('there is no base backup to recover from', name);
  const inventories = new Map<string, WalInventory>();
  const reasons: string[] = [];
  let oldest: BaseFacts | undefined;
  let newest: BaseFacts | undefined;
  for (const { manifest, component } of candidates) {
    const facts = factsOf(baseFacts, await readComponentFacts(repository, manifest), component, manifest.id);
    oldest = facts;
    newest ??= facts;
    const early = startsTooLate(facts, target);
    if (early !== undefined) {
      reasons.push(`${manifest.id} ${early}`);
      continue;
    }
    const inventory = inventories.get(facts.systemIdentifier) ?? (await takeInventory(repository, facts));
    inventories.set(facts.systemIdentifier, inventory);
    const timeline = timelineFrom(inventory, facts, request.timeline);
    if (timeline instanceof LifeboatError) {
      reasons.push(`${manifest.id} is of timeline ${facts.timeline}: ${timeline.message}`);
      continue;
    }
    const run = await readableRun(repository, facts.systemIdentifier, runOf(inventory, facts, timeline));
    if (run.last < segmentsOfBase(facts).last) {
      const { timeline: ownTimeline, walSegmentBytes } = facts;
      const lacking = run.missing ?? segmentAt(ownTimeline, (run.last + 1n) * BigInt(walSegmentBytes), walSegmentBytes);
      reasons.push(`${manifest.id} ${lacksLog}: ${lacking} is ${run.damage === undefined ? 'missing' : 'damaged'}`);
      continue;
    }
    const place = await placeFor(facts);
    const end = await endOfRun(repository, facts.systemIdentifier, run, place.programs, context);
    const needed = await neededFor(
      repository,
      { facts, run, end, target, inclusive: request.inclusive, programs: place.programs },
      context,
    );
    if (needed === undefined) {
      reasons.push(
        `after ${manifest.id} there is no ` +
          (target.kind === 'name' ? 'restore point of that name' : 'end of that transaction in the archived WAL'),
      );
      continue;
    }
    if (newest !== undefined && newest.systemIdentifier !== facts.systemIdentifier) {
      context.emit({
        type: 'warning',
        component: 'base',
        message:
          `base backup ${manifest.id} is of the cluster with system identifier ` +
          `${facts.systemIdentifier}; the newest of target ${manifest.target} is of ` +
          `another one, ${newest.systemIdentifier}, which has taken its place`,
      });
    }
    return {
      manifest,
      component,
      facts,
      inventory,
      run,
      end,
      needed,
      target,
      place,
      shown: shownPlan(manifest, component, facts, run, needed, end, request, target),
    };
  }
  if (reasons.length > 0 && reasons.every((reason) => reason.includes(lacksLog))) {
    throw new NoBaseError(`no base backup has its write-ahead log: ${reasons.slice(0, 5).join('; ')}`, name);
  }
  const logical = target.kind === 'time' ? await logicalBefore(repository, name, target.atUs) : undefined;
  const otherwise = logical === undefined ? '' : `; a logical backup from before: lifeboat restore ${logical}`;
  throw new LifeboatError(
    'window',
    `no base backup can be recovered to ${request.to}: ${reasons.slice(0, 5).join('; ')}`,
    {
      state: 'nothing was changed',
      hint:
        oldest === undefined
          ? undefined
          : `the earliest possible moment is ${oldest.stoppedAt} (lsn:${oldest.stopLsn})${otherwise}`,
      facts: oldest === undefined ? undefined : { earliest: oldest.stoppedAt, earliestLsn: oldest.stopLsn, logical },
    },
  );
}

/** Or why none: an earlier base backup may be from before the timelines parted. */
function timelineFrom(inventory: WalInventory, facts: BaseFacts, wanted: number | undefined): number | LifeboatError {
  try {
    return chooseTimeline(inventory, facts, wanted);
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'window') return error;
    throw error;
  }
}

/** Id of the newest logical backup that was complete by then. */
async function logicalBefore(
  repository: Repository,
  target: string | undefined,
  atUs: bigint,
): Promise<string | undefined> {
  let best: { readonly id: string; readonly at: string } | undefined;
  for await (const { manifest, component } of logicalBackups(repository, target)) {
    if (parseTime(component.finishedAt) <= atUs && (best === undefined || component.finishedAt > best.at)) {
      best = { id: manifest.id, at: component.finishedAt };
    }
  }
  return best?.id;
}

function shownPlan(
  manifest: Manifest,
  component: ManifestComponent,
  facts: BaseFacts,
  run: WalRun,
  needed: readonly string[],
  end: RunEnd,
  request: PitrRequest,
  target: PitrTarget,
): PitrPlanned {
  const baseBytes = component.artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
  const walBytes = needed.length * facts.walSegmentBytes;
  return {
    id: manifest.id,
    target: manifest.target,
    to:
      target.kind === 'time' || target.kind === 'latest' || target.kind === 'immediate'
        ? target.text
        : `${target.kind}:${target.text}`,
    systemIdentifier: facts.systemIdentifier,
    serverVersion: facts.serverVersion,
    timeline: run.timeline,
    baseAt: facts.stoppedAt,
    baseBytes,
    segments: { count: needed.length, first: needed[0] ?? '', last: needed.at(-1) ?? '', bytes: walBytes },
    window: {
      from: facts.stoppedAt,
      to: end.lastCommitUs === undefined ? undefined : formatMicroseconds(end.lastCommitUs),
    },
    // Orders of magnitude of one disk: 100 MB/s to write and sync the base backup, 30 MB/s to replay.
    estimatedMs: 5000 + baseBytes / 100_000 + walBytes / 30_000,
    dataDir: request.dataDir,
    tablespaces: shownTablespaces(facts, request),
  };
}

function shownTablespaces(facts: BaseFacts, { dataDir, tablespaceMap = {} }: PitrRequest): PitrPlanned['tablespaces'] {
  if (dataDir === undefined) return facts.tablespaces.map(({ name, path, bytes }) => ({ name, from: path, bytes }));
  return placeTablespaces(facts, dataDir, new Map(Object.entries(tablespaceMap))).map(({ name, from, to, bytes }) => ({
    name,
    from,
    bytes,
    to,
  }));
}
