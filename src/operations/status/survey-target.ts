/**
 * What status knows of one target: its backups, how far they are proven, how its runs went, and when the next one is
 * due.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { readEvidence, type allEvidenceNames } from '../../repository/backups/evidence.ts';
import { readNotes } from '../../repository/backups/notes.ts';
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { safetyTag } from '../../repository/retention/backups.ts';
import type { RecordedRun } from '../backup/history.ts';
import { componentOf, sumSizes } from '../component.ts';
import { newestProvenMoment, type ProvenMoment } from '../proof/proven-moment.ts';
import { restoreSteps, restoreTimeMs } from '../proof/restore-time.ts';
import { proofStateOf, type ProofState } from '../proof/state.ts';
import { configuredComponents, dueTimes, type DueTimes } from './schedule.ts';

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
  /** Of a damaged source: what is wrong with it, by component. */
  readonly flaws: ReadonlyMap<string, string>;
}

export interface SurveyedProof {
  readonly id: string;
  readonly at: string;
  readonly restoreMs: number;
  readonly steps: readonly { readonly name: string; readonly durationMs: number }[];
  readonly readBytes: number;
  /** As in the evidence. */
  readonly isolation?: string | undefined;
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

type EvidenceByBackup = Awaited<ReturnType<typeof allEvidenceNames>>;

/** So many of a target's newest backups are asked how far they have been proven. */
const askedOfTarget = 20;

/** `listed`: all that count, newest first; `runs`: of this host, of all targets. Who is at work knows the caller. */
export async function surveyTarget(
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
    flaws: flawsByComponent(manifest),
  };
}

function flawsByComponent(manifest: Manifest): Map<string, string> {
  return new Map(
    manifest.components.flatMap(({ kind }) => {
      const flaw = flawOf(manifest, [kind]);
      return flaw === undefined ? [] : [[componentOf(kind), flaw] as const];
    }),
  );
}

async function newestProof(
  repository: Repository,
  listed: readonly ListedManifest[],
  proofStates: ReadonlyMap<string, ProofState | undefined>,
  evidence: EvidenceByBackup,
): Promise<SurveyedProof | undefined> {
  for (const each of listed.filter(({ manifest }) => manifest !== undefined && flawOf(manifest) === undefined)) {
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
      isolation: read.evidence.isolation,
    };
  }
  return undefined;
}
