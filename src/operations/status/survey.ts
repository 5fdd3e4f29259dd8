/**
 * What status judges: all that the repository and this host's state tell of the backups. Of the servers only those
 * whose log is archived are asked, and nothing depends on their answer.
 */
import { statfs } from 'node:fs/promises';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { allEvidenceNames } from '../../repository/backups/evidence.ts';
import { findUnexplained, type HiddenManifest } from '../../repository/deletion/hidden-manifests.ts';
import { isBackupId } from '../../repository/manifests/ids.ts';
import { listLeases } from '../../repository/leases/record.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Repository } from '../../repository/repository.ts';
import { checkAuditNumbers, checkPast } from '../integrity/past.ts';
import { knownOf, type KnownBackup } from '../integrity/expectation.ts';
import { Ledger } from '../integrity/ledger.ts';
import type { IntegrityFinding } from '../integrity/request.ts';
import type { StatusRunning, StatusSchedule } from './request.ts';
import { surveySlots } from './survey-slots.ts';
import { readRuns, repositoryName } from '../backup/history.ts';
import { packShares, type PackShares } from './packs.ts';
import { surveyCertificates, type SurveyedCertificate } from './survey-certificates.ts';
import { surveyTarget, type SurveyedTarget } from './survey-target.ts';
import { surveyWal, type SurveyedWal } from './survey-wal.ts';
import { sumSizes } from '../component.ts';

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
  /** Put under delete markers, or into trash, by somebody; none where that cannot be told. */
  readonly hidden: readonly Pick<HiddenManifest, 'id' | 'by' | 'hiddenMs'>[];
  /** Gaps in the past, and a repository that was put back. */
  readonly past: readonly IntegrityFinding[];
  readonly keys: readonly { readonly id: string; readonly problem: string }[];
  readonly running: readonly StatusRunning[];
  readonly schedules: readonly StatusSchedule[];
  readonly storage: SurveyedStorage;
  /** By cluster; empty without archived log. */
  readonly wal: readonly SurveyedWal[];
  readonly certificates: readonly SurveyedCertificate[];
}

/** `only`: what is of this target; undefined: of all. Throws what the storage throws. */
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
  const names = targetNames(loaded, listed).filter((name) => only === undefined || name === only);
  const runs = await readRuns(loaded.config.stateDir, repositoryName(loaded.config));
  const running = await runningIn(repository);
  const counting = listed.filter(({ trust }) => trust === 'sealed');
  const [surveyed, hidden, past, keys, schedules, storage, wal, certificates] = await Promise.all([
    Promise.all(names.map((name) => surveyTarget(loaded, repository, name, counting, runs, evidence, nowMs))),
    hiddenOf(repository, only),
    pastOf(repository, known, names),
    keysOf(repository),
    surveySlots(repository, counting, running, only, nowMs),
    storageOf(loaded, repository, counting, [...listed, ...trashed]),
    surveyWal(loaded, repository, counting, context),
    surveyCertificates(loaded.config, only),
  ]);
  return {
    nowMs,
    targets: surveyed.map((target) => ({ ...target, isBackingUp: isBackingUp(target.name, running) })),
    damaged: damagedOf(listed),
    untrusted: idsOf(listed, 'untrusted', only),
    unchecked: idsOf(listed, 'unchecked', only),
    hidden,
    past,
    keys,
    running,
    schedules,
    storage,
    wal: wal.filter(({ targets: of }) => only === undefined || of.length === 0 || of.includes(only)),
    certificates,
  };
}

/** Those that are configured, then those that only the repository knows. */
function targetNames({ config }: LoadedConfig, listed: readonly ListedManifest[]): string[] {
  return [...new Set([...config.targets.keys(), ...listed.flatMap(({ manifest }) => manifest?.target ?? [])])];
}

function isBackingUp(target: string, running: readonly StatusRunning[]): boolean {
  return running.some(({ scope, isAlive }) => isAlive && scope === `backup-${target}`);
}

/** Of all targets: which one it is of cannot be told. */
function damagedOf(listed: readonly ListedManifest[]): Survey['damaged'] {
  return listed
    .filter(({ trust }) => trust === 'damaged')
    .map(({ id, object, reason = 'it cannot be read' }) => ({ id, object, reason }));
}

function idsOf(
  listed: readonly ListedManifest[],
  trust: ListedManifest['trust'],
  only: string | undefined,
): readonly string[] {
  return listed
    .filter((each) => each.trust === trust && (only === undefined || each.manifest?.target === only))
    .map(({ id }) => id);
}

async function hiddenOf(repository: Repository, only: string | undefined): Promise<HiddenManifest[]> {
  const hidden = (await findUnexplained(repository)) ?? [];
  return hidden.filter(
    ({ listed: { manifest } }) => only === undefined || manifest === undefined || manifest.target === only,
  );
}

async function listAll(repository: Repository, folder: 'manifests/' | 'trash/'): Promise<ListedManifest[]> {
  const all: ListedManifest[] = [];
  for await (const listed of repository.listManifests({ folder })) if (isBackupId(listed.id)) all.push(listed);
  return all;
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
