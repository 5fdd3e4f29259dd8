/**
 * Plans a recovery to a moment: which base backup, along which timeline, by which WAL; and refuses, before
 * a byte is written, what could not succeed. A recovery that runs out of WAL says so only after hours.
 */
import type { LoadedConfig } from '../config/load.ts';
import { LifeboatError, messageOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import type { Manifest, ManifestComponent } from '../repository/manifest.ts';
import type { Repository } from '../repository/repository.ts';
import { formatLsn, parseLsn, segmentAt } from '../repository/wal-names.ts';
import { baseFacts, type BaseFacts } from '../source/postgres/base-facts.ts';
import { placeTablespaces } from '../source/postgres/base-places.ts';
import { findScratchPlace, type ScratchPlace } from '../source/postgres/scratch-cluster.ts';
import { NotFoundError } from '../storage/storage.ts';
import { segmentsOfBase } from './base-complete.ts';
import { factsOf, readComponentFacts } from './facts-document.ts';
import type { PitrPlanned, PitrRequest } from './pitr-requests.ts';
import { formatMicroseconds, parseTarget, parseTime, type PitrTarget } from './pitr-target.ts';
import { chooseTimeline, endOfRun, findRestorePoint, readableRun, runOf, segmentFault, takeInventory, type RunEnd, type WalInventory, type WalRun } from './pitr-wal.ts';
import { findTransaction } from './pitr-xid.ts';
import { positionOfFault, WalDump, type DumpedWal } from './wal-dump.ts';
import { readSegment } from './wal-segment.ts';

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

/** A backup with a base backup in it. */
export interface Candidate {
  readonly manifest: Manifest;
  /** Of the manifest. */
  readonly seal: string | undefined;
  readonly component: ManifestComponent;
}

const lacksLog = 'lacks its own WAL';

/** There is no base backup with its log, whatever the moment. */
export class NoBaseError extends LifeboatError {
  /** Whose; undefined: anybody's. */
  readonly target: string | undefined;

  constructor(message: string, target: string | undefined) {
    super('window', message, { state: 'nothing was changed', hint: 'lifeboat list shows what there is; lifeboat backup base takes one' });
    this.target = target;
  }
}

/** Throws `window` (17) with the nearest moments, `integrity` (14) naming what is missing, `tool` (16), `usage` (2). */
export async function planPitr(loaded: LoadedConfig, request: PitrRequest, repository: Repository, context: RunContext): Promise<PitrPlan> {
  const target = parseTarget(request.to);
  const name = request.target ?? loaded.config.defaultTarget ?? (loaded.config.targets.size === 1 ? [...loaded.config.targets.keys()][0] : undefined);
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
    const inventory = inventories.get(facts.systemIdentifier) ?? (await takeInventory(repository, facts.systemIdentifier));
    inventories.set(facts.systemIdentifier, inventory);
    const timeline = timelineFrom(inventory, facts, request.timeline);
    if (timeline instanceof LifeboatError) {
      reasons.push(`${manifest.id} is of timeline ${facts.timeline}: ${timeline.message}`);
      continue;
    }
    const run = await readableRun(repository, facts.systemIdentifier, runOf(inventory, facts, timeline));
    if (run.last < segmentsOfBase(facts).last) {
      reasons.push(`${manifest.id} ${lacksLog}: ${run.missing ?? segmentAt(facts.timeline, (run.last + 1n) * BigInt(facts.walSegmentBytes), facts.walSegmentBytes)} is ${run.damage === undefined ? 'missing' : 'damaged'}`);
      continue;
    }
    const place = await placeFor(facts);
    const end = await endOfRun(repository, facts.systemIdentifier, run, place.programs, context);
    const needed = await neededFor(repository, { facts, run, end, target, inclusive: request.inclusive, programs: place.programs }, context);
    if (needed === undefined) {
      reasons.push(`after ${manifest.id} there is no ${target.kind === 'name' ? 'restore point of that name' : 'end of that transaction in the archived WAL'}`);
      continue;
    }
    if (newest !== undefined && newest.systemIdentifier !== facts.systemIdentifier) {
      context.emit({ type: 'warning', component: 'base', message: `base backup ${manifest.id} is of the cluster with system identifier ${facts.systemIdentifier}; the newest of target ${manifest.target} is of another one, ${newest.systemIdentifier}, which has taken its place` });
    }
    return { manifest, component, facts, inventory, run, end, needed, target, place, shown: shownPlan(manifest, component, facts, run, needed, end, request, target) };
  }
  if (reasons.length > 0 && reasons.every((reason) => reason.includes(lacksLog))) throw new NoBaseError(`no base backup has its write-ahead log: ${reasons.slice(0, 5).join('; ')}`, name);
  const logical = target.kind === 'time' ? await logicalBefore(repository, name, target.atUs) : undefined;
  throw new LifeboatError('window', `no base backup can be recovered to ${request.to}: ${reasons.slice(0, 5).join('; ')}`, {
    state: 'nothing was changed',
    hint: oldest === undefined ? undefined : `the earliest possible moment is ${oldest.stoppedAt} (lsn:${oldest.stopLsn})${logical === undefined ? '' : `; a logical backup from before: lifeboat restore ${logical}`}`,
    facts: oldest === undefined ? undefined : { earliest: oldest.stoppedAt, earliestLsn: oldest.stopLsn, logical },
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

/** Id of the newest logical backup that was complete by then. */
async function logicalBefore(repository: Repository, target: string | undefined, atUs: bigint): Promise<string | undefined> {
  let best: { readonly id: string; readonly at: string } | undefined;
  for await (const { manifest, trust } of repository.listManifests()) {
    const component = manifest?.components.find(({ kind }) => kind === 'postgres');
    if (manifest === undefined || component === undefined || trust !== 'sealed' || (target !== undefined && manifest.target !== target)) continue;
    if (parseTime(component.finishedAt) <= atUs && (best === undefined || component.finishedAt > best.at)) best = { id: manifest.id, at: component.finishedAt };
  }
  return best?.id;
}

/** Reads every segment that is needed, and its header. Throws `integrity` (14) naming all that are missing or damaged. */
export async function checkWal(repository: Repository, { needed, facts, inventory, run, place }: PitrPlan, { signal, emit }: RunContext): Promise<number> {
  const faults: string[] = [];
  const records = new WalDump({ programs: place.programs, args: ['--quiet'], segmentBytes: facts.walSegmentBytes }, { signal });
  const noteRecords = (dumped: DumpedWal | undefined): void => void (dumped?.fault !== undefined && faults.push(recordFault(dumped.fault, dumped.first, facts)));
  for (const [n, name] of needed.entries()) {
    signal.throwIfAborted();
    if (n % 100 === 0) emit({ type: 'step', component: 'base', message: `opening WAL segment ${n + 1} of ${needed.length}` });
    try {
      const content = await readSegment(repository, inventory.systemId, name);
      const fault = segmentFault(content, facts, (run.first + BigInt(n)) * BigInt(facts.walSegmentBytes));
      if (fault !== undefined) faults.push(`${name}: ${fault}`);
      noteRecords(fault === undefined ? await records.add(name, content, { isUnfinished: !inventory.segments.has(name) }) : await records.end());
    } catch (error) {
      noteRecords(await records.end());
      if (error instanceof NotFoundError) faults.push(`${name}: it is missing`);
      else if (error instanceof LifeboatError && error.code === 'integrity') faults.push(`${name}: ${messageOf(error)}`);
      else throw error;
    }
  }
  noteRecords(await records.end());
  if (faults.length > 0) throw new LifeboatError('integrity', `the WAL that is needed is not whole: ${faults.slice(0, 10).join('; ')}${faults.length > 10 ? ` and ${faults.length - 10} more` : ''}`, { state: 'nothing was changed', hint: 'recover to a moment before it, or start from a later base backup', facts: { faults } });
  return needed.length;
}

/** With the segment that holds the record. */
function recordFault(fault: string, first: string, { walSegmentBytes }: BaseFacts): string {
  const position = positionOfFault(fault);
  const timeline = Number.parseInt(first.slice(0, 8), 16);
  return `${position === undefined ? first : segmentAt(timeline, parseLsn(position), walSegmentBytes)}: ${fault}`;
}

/** Those that count, newest first. Throws `usage` (2) if they are of several targets and none is named, `key` (12) if none can be told to be genuine. */
export async function baseBackups(repository: Repository, target: string | undefined): Promise<Candidate[]> {
  const found: Candidate[] = [];
  let unchecked: LifeboatError | undefined;
  for await (const { manifest, trust, reason, seal } of repository.listManifests()) {
    const component = manifest?.components.find(({ kind }) => kind === 'base');
    if (manifest === undefined || component === undefined || (target !== undefined && manifest.target !== target)) continue;
    if (trust === 'sealed') found.push({ manifest, component, seal });
    else if (trust === 'unchecked') unchecked ??= new LifeboatError('key', `cannot tell whether base backup ${manifest.id} is genuine: ${reason}`, { state: 'nothing was changed', hint: 'configure the key of the repository' });
  }
  if (found.length === 0 && unchecked !== undefined) throw unchecked;
  const targets = [...new Set(found.map(({ manifest }) => manifest.target))];
  if (targets.length > 1) throw new LifeboatError('usage', 'there are base backups of several targets', { hint: `choose one with --target: ${targets.join(', ')}` });
  return found;
}

/** Why this base backup cannot serve, whatever WAL there is. */
function startsTooLate(facts: BaseFacts, target: PitrTarget): string | undefined {
  if (target.kind === 'time' && parseTime(facts.stoppedAt) > target.atUs) return `ends only at ${facts.stoppedAt}`;
  if (target.kind === 'lsn' && parseLsn(facts.stopLsn) > target.lsn) return `ends only at ${facts.stopLsn}`;
  if (target.kind === 'xid' && isOlderXid(target.xid, BigInt(facts.oldestXid))) return 'holds that transaction already';
  return undefined;
}

/** Transaction ids may be given with 32 bits, which come round. */
function isOlderXid(xid: bigint, oldest: bigint): boolean {
  if (xid >= 2n ** 32n) return xid < oldest;
  return BigInt.asUintN(32, xid - oldest) >= 2n ** 31n;
}

interface Reach {
  readonly facts: BaseFacts;
  readonly run: WalRun;
  readonly end: RunEnd;
  readonly target: PitrTarget;
  readonly inclusive: boolean;
  /** Folder with pg_waldump. */
  readonly programs: string;
}

/** Segments up to the target; undefined if it is not in this run. Throws `window` for what lies behind its end. */
async function neededFor(repository: Repository, reach: Reach, context: RunContext): Promise<readonly string[] | undefined> {
  const { facts, run, end, target, inclusive, programs } = reach;
  const size = BigInt(facts.walSegmentBytes);
  const upTo = (number: bigint): readonly string[] => run.names.slice(0, Number(number - run.first) + 1);
  if (target.kind === 'immediate') return upTo(segmentsOfBase(facts).last);
  // The server would ask for what is missing, and the recovery fail after hours.
  if (target.kind === 'latest' && run.missing !== undefined) throw behindTheEnd(reach);
  if (target.kind === 'name') {
    const place = await findRestorePoint(repository, facts.systemIdentifier, run, { name: target.name, afterLsn: parseLsn(facts.stopLsn), segmentBytes: facts.walSegmentBytes }, context);
    if (place === undefined && run.missing !== undefined) throw behindTheEnd(reach);
    return place === undefined ? undefined : run.names.slice(0, place + 1);
  }
  if (target.kind === 'xid') {
    const place = await findTransaction(repository, facts, run, { xid: target.xid, programs }, context);
    if (place === undefined && run.missing !== undefined) throw behindTheEnd(reach);
    return place === undefined ? undefined : run.names.slice(0, place + 1);
  }
  if (target.kind === 'lsn') {
    if (end.lastRecordLsn === undefined || target.lsn > end.lastRecordLsn) throw behindTheEnd(reach);
    return upTo(target.lsn / size);
  }
  // Recovery stops at the first commit that is later; without one it would run out of WAL.
  if (target.kind === 'time' && (end.lastCommitUs === undefined || target.atUs > end.lastCommitUs || (inclusive && target.atUs === end.lastCommitUs))) throw behindTheEnd(reach);
  return run.names;
}

function behindTheEnd({ run, end, target, facts }: Reach): LifeboatError {
  const last = end.lastCommitUs === undefined ? undefined : formatMicroseconds(end.lastCommitUs - 1n);
  const lsn = end.lastRecordLsn === undefined ? undefined : formatLsn(end.lastRecordLsn);
  const why = run.damage?.message ?? (run.missing === undefined ? 'the archived WAL ends before' : `the archived WAL has a gap before: ${run.missing} is missing`);
  const nearest = target.kind === 'lsn' || target.kind === 'latest' ? (lsn === undefined ? undefined : `lsn:${lsn}`) : last;
  return new LifeboatError(run.damage === undefined ? 'window' : 'integrity', `cannot recover to ${target.text}: ${why}`, {
    state: 'nothing was changed',
    hint: `the latest possible moment is ${nearest ?? `the end of the base backup (${facts.stoppedAt}): --to immediate`}${nearest === undefined || run.missing !== undefined ? '' : '; or all that there is: --to latest'}`,
    facts: { earliest: facts.stoppedAt, latest: last, latestLsn: lsn, missing: run.missing },
  });
}

/** Programs of exactly the version of a base backup, and a place for its cluster. Throws `tool` (16). */
export async function placeFor(facts: BaseFacts): Promise<ScratchPlace> {
  const major = Math.floor(facts.serverVersionNum / 10000);
  const place = await findScratchPlace(major);
  if (Number.parseInt(place.version, 10) === major) return place;
  throw new LifeboatError('tool', `a base backup of PostgreSQL ${facts.serverVersion} is recovered by version ${major} only; installed is ${place.version}`, { state: 'nothing was changed', hint: `Debian, Ubuntu: apt-get install postgresql-${major}` });
}

function shownPlan(manifest: Manifest, component: ManifestComponent, facts: BaseFacts, run: WalRun, needed: readonly string[], end: RunEnd, request: PitrRequest, target: PitrTarget): PitrPlanned {
  const baseBytes = component.artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
  const walBytes = needed.length * facts.walSegmentBytes;
  return {
    id: manifest.id,
    target: manifest.target,
    to: target.kind === 'time' || target.kind === 'latest' || target.kind === 'immediate' ? target.text : `${target.kind}:${target.text}`,
    systemIdentifier: facts.systemIdentifier,
    serverVersion: facts.serverVersion,
    timeline: run.timeline,
    baseAt: facts.stoppedAt,
    baseBytes,
    segments: { count: needed.length, first: needed[0] ?? '', last: needed.at(-1) ?? '', bytes: walBytes },
    window: { from: facts.stoppedAt, to: end.lastCommitUs === undefined ? undefined : formatMicroseconds(end.lastCommitUs) },
    // Orders of magnitude of one disk: 100 MB/s to write and sync the base backup, 30 MB/s to replay.
    estimatedMs: 5000 + baseBytes / 100_000 + walBytes / 30_000,
    dataDir: request.dataDir,
    tablespaces: shownTablespaces(facts, request),
  };
}

function shownTablespaces(facts: BaseFacts, { dataDir, tablespaceMap = {} }: PitrRequest): PitrPlanned['tablespaces'] {
  if (dataDir === undefined) return facts.tablespaces.map(({ name, path, bytes }) => ({ name, from: path, bytes }));
  return placeTablespaces(facts, dataDir, new Map(Object.entries(tablespaceMap))).map(({ name, from, to, bytes }) => ({ name, from, bytes, to }));
}
