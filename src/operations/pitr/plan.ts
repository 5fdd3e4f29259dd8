/**
 * Plans a recovery to a moment: which base backup, along which timeline, by which WAL; and refuses, before
 * a byte is written, what could not succeed. A recovery that runs out of WAL says so only after hours.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { baseFacts, type BaseFacts } from '../../source/postgres/base/facts.ts';
import { placeTablespaces } from '../../source/postgres/base/tablespaces.ts';
import type { ScratchPlace } from '../../source/postgres/cluster/scratch-place.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import { baseBackups, placeFor, startsTooLate, wholeFirst } from './choose-base.ts';
import { neededFor } from './needed-segments.ts';
import { lacksOwnLog, NoBaseError, whyNoBase } from './no-base.ts';
import type { PitrPlanned, PitrRequest } from './request.ts';
import { formatMicroseconds, parseTarget, type PitrTarget } from './moment.ts';
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

/** Throws `window` (17) with the nearest moments, `integrity` (14) naming what is missing, `tool` (16), `usage` (2). */
export async function planPitr(
  loaded: LoadedConfig,
  request: PitrRequest,
  repository: Repository,
  context: RunContext,
): Promise<PitrPlan> {
  const target = parseTarget(request.to);
  const name = request.target ?? defaultTargetName(loaded);
  const candidates = await baseBackups(repository, name);
  if (candidates.length === 0) throw new NoBaseError('there is no base backup to recover from', name);
  const search: Search = { repository, request, target, inventories: new Map() };
  // Newest first.
  const tried: BaseFacts[] = [];
  const reasons: string[] = [];
  for (const { manifest, component } of wholeFirst(candidates)) {
    const facts = factsOf(baseFacts, await readComponentFacts(repository, manifest), component, manifest.id);
    tried.push(facts);
    const way = await wayFrom(search, manifest.id, facts, context);
    if (typeof way === 'string') {
      reasons.push(way);
      continue;
    }
    warnOfDamage(manifest, component, context);
    warnOfOtherCluster(manifest, facts, tried, context);
    const shown = shownPlan(manifest, component, facts, way, request, target);
    return { manifest, component, facts, ...way, target, shown };
  }
  throw await whyNoBase({ repository, name, to: request.to, target, reasons, oldest: tried.at(-1) });
}

function defaultTargetName({ config: { defaultTarget, targets } }: LoadedConfig): string | undefined {
  return defaultTarget ?? (targets.size === 1 ? [...targets.keys()][0] : undefined);
}

interface Search {
  readonly repository: Repository;
  readonly request: PitrRequest;
  readonly target: PitrTarget;
  /** By system identifier: what was listed already. */
  readonly inventories: Map<string, WalInventory>;
}

type Way = Pick<PitrPlan, 'inventory' | 'run' | 'end' | 'needed' | 'place'>;

/** The way from this base backup to the target, or the reason why there is none. */
async function wayFrom(
  { repository, request, target, inventories }: Search,
  id: string,
  facts: BaseFacts,
  context: RunContext,
): Promise<Way | string> {
  const early = startsTooLate(facts, target);
  if (early !== undefined) return `${id} ${early}`;
  const { systemIdentifier } = facts;
  const inventory = inventories.get(systemIdentifier) ?? (await takeInventory(repository, facts));
  inventories.set(systemIdentifier, inventory);
  const timeline = timelineFrom(inventory, facts, request.timeline);
  if (timeline instanceof LifeboatError) return `${id} is of timeline ${facts.timeline}: ${timeline.message}`;
  const run = await readableRun(repository, systemIdentifier, runOf(inventory, facts, timeline));
  if (run.last < segmentsOfBase(facts).last) return lacksOwnLog(id, facts, run);
  const place = await placeFor(facts);
  const end = await endOfRun(repository, systemIdentifier, run, place.programs, context);
  const needed = await neededFor(
    repository,
    { facts, run, end, target, inclusive: request.inclusive, programs: place.programs },
    context,
  );
  if (needed !== undefined) return { inventory, run, end, needed, place };
  const sought = target.kind === 'name' ? 'restore point of that name' : 'end of that transaction in the archived WAL';
  return `after ${id} there is no ${sought}`;
}

/** An earlier one would do as well, with more log; there is none. */
function warnOfDamage({ id }: Manifest, component: ManifestComponent, { emit }: RunContext): void {
  const flaw = flawOf({ components: [component] });
  if (flaw === undefined) return;
  const message = `base backup ${id} is of a damaged source, and no other leads to that moment: ${flaw}`;
  emit({ type: 'warning', component: 'base', message });
}

function warnOfOtherCluster(
  { id, target }: Manifest,
  { systemIdentifier }: BaseFacts,
  [newest]: readonly BaseFacts[],
  { emit }: RunContext,
): void {
  if (newest === undefined || newest.systemIdentifier === systemIdentifier) return;
  emit({
    type: 'warning',
    component: 'base',
    message:
      `base backup ${id} is of the cluster with system identifier ${systemIdentifier}; the newest of target ` +
      `${target} is of another one, ${newest.systemIdentifier}, which has taken its place`,
  });
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

function shownPlan(
  manifest: Manifest,
  component: ManifestComponent,
  facts: BaseFacts,
  { run, needed, end }: Way,
  request: PitrRequest,
  target: PitrTarget,
): PitrPlanned {
  const baseBytes = component.artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
  const walBytes = needed.length * facts.walSegmentBytes;
  return {
    id: manifest.id,
    target: manifest.target,
    to: shownTarget(target),
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

function shownTarget({ kind, text }: PitrTarget): string {
  return kind === 'time' || kind === 'latest' || kind === 'immediate' ? text : `${kind}:${text}`;
}

function shownTablespaces(facts: BaseFacts, { dataDir, tablespaceMap = {} }: PitrRequest): PitrPlanned['tablespaces'] {
  if (dataDir === undefined) return facts.tablespaces.map(({ name, path, bytes }) => ({ name, from: path, bytes }));
  const placed = placeTablespaces(facts, dataDir, new Map(Object.entries(tablespaceMap)));
  return placed.map(({ name, from, to, bytes }) => ({ name, from, bytes, to }));
}
