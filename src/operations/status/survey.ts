/**
 * What status judges: all that the repository and this host's state tell of the backups. Of the servers only those
 * whose log is archived are asked, and nothing depends on their answer.
 */
import { statfs } from 'node:fs/promises';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { allEvidenceNames, readEvidence } from '../../repository/backups/evidence.ts';
import { findUnexplained, type HiddenManifest } from '../../repository/deletion/hidden-manifests.ts';
import { isBackupId } from '../../repository/manifests/ids.ts';
import { listLeases } from '../../repository/leases/record.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import { readNotes } from '../../repository/backups/notes.ts';
import { safetyTag } from '../../repository/retention/backups.ts';
import type { Repository } from '../../repository/repository.ts';
import { checkAuditNumbers, checkPast } from '../integrity/past.ts';
import { knownOf, type KnownBackup } from '../integrity/expectation.ts';
import { Ledger } from '../integrity/ledger.ts';
import type { IntegrityFinding } from '../integrity/request.ts';
import type { StatusRunning } from './request.ts';
import { newestProvenMoment, type ProvenMoment } from '../proof/proven-moment.ts';
import { readRuns, repositoryName, type RecordedRun } from '../backup/history.ts';
import { proofStateOf, type ProofState } from '../proof/state.ts';
import { packShares, type PackShares } from './packs.ts';
import { configuredComponents, dueTimes, type DueTimes } from './schedule.ts';
import { surveyWal, type SurveyedWal } from './survey-wal.ts';
import { componentOf, sumSizes } from '../component.ts';
import { restoreSteps, restoreTimeMs } from '../proof/restore-time.ts';

export interface SurveyedBackup {
  readonly id: string;
  readonly type: Manifest['type'];
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly durationMs: number;
  readonly components: readonly string[];
  readonly readBytes: number;
  readonly storedBytes: number;
  /** Known of the newest ones. */
  readonly standing?: ProofState | undefined;
}

export interface SurveyedProof {
  readonly id: string;
  readonly at: string;
  readonly restoreMs: number;
  readonly steps: readonly { readonly name: string; readonly durationMs: number }[];
  readonly readBytes: number;
}

export interface SurveyedTarget {
  readonly name: string;
  /** Components that are configured; empty for a target that only the repository knows. */
  readonly configured: readonly string[];
  /** Those that count, newest first; without the ones that were taken to save what a restore replaced. */
  readonly backups: readonly SurveyedBackup[];
  /** Of the newest backup that a drill has proven and nothing has refuted. */
  readonly proof: SurveyedProof | undefined;
  /** The recovery to a moment that a drill has proven last. */
  readonly recovery: ProvenMoment | undefined;
  /** Of this host, oldest first. */
  readonly runs: readonly RecordedRun[];
  /** The small size of the newest backup is intended. */
  readonly isSizeAcknowledged: boolean;
  /** By component, where schedules are configured for it. */
  readonly due: ReadonlyMap<string, DueTimes>;
  /** A backup of it is at work. */
  readonly isBackingUp: boolean;
}

export interface SurveyedStorage {
  /** Stored by the backups that are there. */
  readonly storedBytes: number;
  readonly freeBytes: number | undefined;
  readonly capacityBytes: number | undefined;
  /** Of the packs, how much is dead; undefined where that cannot be told in passing. */
  readonly packs: PackShares | undefined;
}

export interface Survey {
  readonly nowMs: number;
  readonly targets: readonly SurveyedTarget[];
  readonly damaged: readonly { readonly id: string; readonly object: string; readonly reason: string }[];
  readonly untrusted: readonly string[];
  readonly unchecked: readonly string[];
  /** Put under delete markers by somebody; none where that cannot be told. */
  readonly hidden: readonly Pick<HiddenManifest, 'id' | 'hiddenMs'>[];
  /** Gaps in the past, and a repository that was put back. */
  readonly past: readonly IntegrityFinding[];
  readonly keys: readonly { readonly id: string; readonly problem: string }[];
  readonly running: readonly StatusRunning[];
  readonly storage: SurveyedStorage;
  /** By cluster; empty without archived log. */
  readonly wal: readonly SurveyedWal[];
}

/** So many of a target's newest backups are asked how far they have been proven. */
const askedOfTarget = 20;

/** Throws what the storage throws. */
export async function survey(
  loaded: LoadedConfig,
  repository: Repository,
  only: string | undefined,
  nowMs: number,
  context: RunContext,
): Promise<Survey> {
  const [listed, trashed] = await Promise.all([listAll(repository, 'manifests/'), listAll(repository, 'trash/')]);
  const known = [
    ...listed.map((each) => knownOf(each, 'manifests/')),
    ...trashed.map((each) => knownOf(each, 'trash/')),
  ];
  const evidence = await allEvidenceNames(repository);
  const names = [
    ...new Set([...loaded.config.targets.keys(), ...listed.flatMap(({ manifest }) => manifest?.target ?? [])]),
  ].filter((name) => only === undefined || name === only);
  const runs = await readRuns(loaded.config.stateDir, repositoryName(loaded.config));
  const running = await runningIn(repository);
  const counting = listed.filter(({ trust }) => trust === 'sealed');
  const idsOf = (trust: ListedManifest['trust']): string[] =>
    listed
      .filter((each) => each.trust === trust && (only === undefined || each.manifest?.target === only))
      .map(({ id }) => id);
  const [surveyed, hidden, past, keys, storage, wal] = await Promise.all([
    Promise.all(names.map((name) => surveyTarget(loaded, repository, name, counting, runs, evidence, nowMs))),
    findUnexplained(repository),
    pastOf(repository, known, names),
    keysOf(repository),
    storageOf(loaded, repository, counting, [...listed, ...trashed]),
    surveyWal(loaded, repository, counting, context),
  ]);
  return {
    nowMs,
    targets: surveyed.map((target) => ({
      ...target,
      isBackingUp: running.some(({ scope, isAlive }) => isAlive && scope === `backup-${target.name}`),
    })),
    damaged: listed
      .filter(({ trust }) => trust === 'damaged')
      .map(({ id, object, reason }) => ({ id, object, reason: reason ?? 'it cannot be read' })),
    untrusted: idsOf('untrusted'),
    unchecked: idsOf('unchecked'),
    hidden: (hidden ?? []).filter(
      ({ listed: { manifest } }) => only === undefined || manifest === undefined || manifest.target === only,
    ),
    past,
    keys,
    running,
    storage,
    wal: wal.filter(({ targets: of }) => only === undefined || of.length === 0 || of.includes(only)),
  };
}

async function listAll(repository: Repository, folder: 'manifests/' | 'trash/'): Promise<ListedManifest[]> {
  const all: ListedManifest[] = [];
  for await (const listed of repository.listManifests({ folder })) if (isBackupId(listed.id)) all.push(listed);
  return all;
}

type EvidenceByBackup = Awaited<ReturnType<typeof allEvidenceNames>>;

async function surveyTarget(
  { config }: LoadedConfig,
  repository: Repository,
  name: string,
  listed: readonly ListedManifest[],
  runs: readonly RecordedRun[],
  evidence: EvidenceByBackup,
  nowMs: number,
): Promise<Omit<SurveyedTarget, 'isBackingUp'>> {
  const configured = configuredComponents(config.targets.get(name));
  const own = listed.filter(({ manifest }) => manifest?.target === name && manifest.tags?.includes(safetyTag) !== true);
  const proofStates = new Map(
    await Promise.all(
      own
        .slice(0, askedOfTarget)
        .map(async (each) => [each.id, await proofStateOf(repository, each, evidence.get(each.id) ?? [])] as const),
    ),
  );
  const [newest] = own;
  const due = configured.flatMap((component) => {
    const times = dueTimes(config, name, component, nowMs);
    return times === undefined ? [] : [[component, times] as const];
  });
  return {
    name,
    configured,
    backups: own.flatMap(({ id, manifest }) =>
      manifest === undefined ? [] : [backupOf(manifest, proofStates.get(id))],
    ),
    proof: await newestProof(repository, own, proofStates, evidence),
    recovery: await newestProvenMoment(repository, own, evidence),
    runs: runs.filter((run) => run.target === name),
    isSizeAcknowledged: newest !== undefined && (await readNotes(repository, newest.id)).note?.acknowledged === true,
    due: new Map(due),
  };
}

function backupOf(manifest: Manifest, standing: ProofState | undefined): SurveyedBackup {
  const { readBytes, storedBytes } = sumSizes(manifest.components);
  return {
    id: manifest.id,
    type: manifest.type,
    startedAt: manifest.startedAt,
    finishedAt: manifest.finishedAt,
    durationMs: Math.max(0, Date.parse(manifest.finishedAt) - Date.parse(manifest.startedAt)),
    components: manifest.components.map(({ kind }) => componentOf(kind)),
    readBytes,
    storedBytes,
    standing,
  };
}

async function newestProof(
  repository: Repository,
  listed: readonly ListedManifest[],
  proofStates: ReadonlyMap<string, ProofState | undefined>,
  evidence: EvidenceByBackup,
): Promise<SurveyedProof | undefined> {
  for (const each of listed) {
    const names = (evidence.get(each.id) ?? []).filter(({ level, result }) => level === 'drill' && result === 'ok');
    if (names.length === 0 || each.manifest === undefined) continue;
    const proven = (proofStates.get(each.id) ?? (await proofStateOf(repository, each, evidence.get(each.id) ?? [])))
      ?.proven;
    const name = names.find(({ object }) => object === proven?.object);
    const read = name === undefined ? undefined : await readEvidence(repository, each, name);
    if (read?.evidence === undefined) continue;
    return {
      id: each.id,
      at: read.evidence.finishedAt,
      restoreMs: restoreTimeMs(read.evidence.steps),
      steps: restoreSteps(read.evidence.steps),
      readBytes: sumSizes(each.manifest.components).readBytes,
    };
  }
  return undefined;
}

async function pastOf(
  repository: Repository,
  known: readonly KnownBackup[],
  targets: readonly string[],
): Promise<IntegrityFinding[]> {
  const numbers = new Map<string, number[]>();
  for await (const { key } of repository.storage.list('audit/')) {
    const match = /^audit\/([^/]+)\/(\d{20})\.json$/.exec(key);
    if (match?.[1] !== undefined) numbers.set(match[1], [...(numbers.get(match[1]) ?? []), Number(match[2])]);
  }
  const ledger = new Ledger();
  await checkPast(repository, known, targets, numbers, ledger);
  checkAuditNumbers(known, numbers, ledger);
  return ledger.findings();
}

async function keysOf(repository: Repository): Promise<{ id: string; problem: string }[]> {
  if (repository.keyring === undefined) return [];
  const { describeKeys } = await import('../../repository/rekey.ts');
  try {
    return (await describeKeys(repository)).flatMap(({ id, openedBy, reason, differsFromConfiguration }) => {
      if (openedBy === undefined) return [{ id, problem: `does not open: ${reason ?? 'unknown'}` }];
      return differsFromConfiguration
        ? [{ id, problem: 'is wrapped for others than the key and recipients that are configured' }]
        : [];
    });
  } catch (error) {
    if (!(error instanceof LifeboatError) || !['integrity', 'key'].includes(error.code)) throw error;
    return [{ id: 'files', problem: `cannot be read: ${error.message}` }];
  }
}

async function runningIn({ storage }: Repository): Promise<StatusRunning[]> {
  const { leases } = await listLeases(storage);
  return leases.map(({ scope, record, status, renewedMs }) => ({
    scope,
    command: record?.command ?? 'unknown',
    host: record?.host ?? 'unknown',
    user: record?.user ?? 'unknown',
    since: record?.since ?? new Date(renewedMs).toISOString(),
    isAlive: status === 'live',
  }));
}

/** `all`: what still needs its packs, in trash too. */
async function storageOf(
  { config: { repository } }: LoadedConfig,
  { storage }: Repository,
  listed: readonly ListedManifest[],
  all: readonly ListedManifest[],
): Promise<SurveyedStorage> {
  const storedBytes = listed.reduce(
    (sum, { manifest }) => sum + (manifest === undefined ? 0 : sumSizes(manifest.components).storedBytes),
    0,
  );
  const packs = await packShares(storage, all);
  if (repository?.kind !== 'local') return { storedBytes, freeBytes: undefined, capacityBytes: undefined, packs };
  const { bavail, bfree, blocks, bsize } = await statfs(repository.path);
  // What only root may use counts neither as used nor as there.
  return { storedBytes, freeBytes: bavail * bsize, capacityBytes: (blocks - bfree + bavail) * bsize, packs };
}
