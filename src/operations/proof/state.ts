/**
 * How far a backup has been proven: stored → checked → decoded → proven, from evidence that counts. A
 * failure overrides what was found before it; what it cannot tell anything of stays.
 */
import {
  allEvidenceNames,
  evidenceNames,
  readEvidence,
  type EvidencedBackup,
  type ReadEvidence,
} from '../../repository/backups/evidence.ts';
import {
  evidenceLevels,
  type Evidence,
  type EvidenceLevel,
  type EvidenceName,
  type EvidenceResult,
} from '../../repository/backups/evidence-record.ts';
import type { Repository } from '../../repository/repository.ts';

/** In rising order. */
export const backupStates = ['stored', 'checked', 'decoded', 'proven'] as const;
export type BackupState = (typeof backupStates)[number];

/** One step of the proof. */
export interface Milestone {
  /** RFC 3339, UTC. */
  readonly at: string;
  readonly durationMs: number;
  readonly level: EvidenceLevel;
  /** The evidence. */
  readonly object: string;
}

export interface ProofState {
  readonly state: BackupState;
  /** Each by the newest evidence of its level or a higher one that no later failure overrides. */
  readonly checked?: Milestone | undefined;
  readonly decoded?: Milestone | undefined;
  readonly proven?: Milestone | undefined;
  readonly lastFailure?: Milestone | undefined;
  /** The last failure was not followed by a success that would have found the same. */
  readonly failing: boolean;
  /** A real restore that verified well; counts for nothing here. */
  readonly restored?: Milestone | undefined;
  /** A recovery to a moment behind it that a drill has proven; says more than the others, but of the log too. */
  readonly recovered?: Milestone | undefined;
}

/** The newest of each level that count. */
export type NewestEvidence = ReadonlyMap<
  EvidenceLevel,
  Readonly<Partial<Record<EvidenceResult, { readonly object: string; readonly evidence: Evidence }>>>
>;

/** What a success of a level shows: 2 checked, 3 decoded, 4 proven. A sample shows no more than a quick check does… */
const shows: Record<EvidenceLevel, number> = { quick: 1, sample: 1, stored: 2, deep: 3, drill: 4, pitr: 0, restore: 0 };
/** …but what it found takes a full reading to be refuted. */
const refutedBy: Record<EvidenceLevel, number> = {
  quick: 1,
  sample: 2,
  stored: 2,
  deep: 3,
  drill: 4,
  pitr: 0,
  restore: 0,
};

/** How far one backup has been proven. Undefined where no key can tell. */
export async function proofStateOf(
  repository: Repository,
  backup: EvidencedBackup & { readonly trust: string },
  names?: readonly EvidenceName[],
): Promise<ProofState | undefined> {
  if (backup.trust === 'unchecked' || backup.manifest === undefined) return undefined;
  return judge(await newestEvidence(repository, backup, names ?? (await evidenceNames(repository, backup.id))));
}

/** What `latest:proven` asks of a backup. */
export function provenIn(
  repository: Repository,
): (backup: EvidencedBackup & { readonly trust: string }) => Promise<boolean> {
  return async (backup) => (await proofStateOf(repository, backup))?.state === 'proven';
}

/** The same for many backups with one listing. */
export async function proofStates(
  repository: Repository,
): Promise<(backup: EvidencedBackup & { readonly trust: string }) => Promise<ProofState | undefined>> {
  const names = await allEvidenceNames(repository);
  return async (backup) => proofStateOf(repository, backup, names.get(backup.id) ?? []);
}

/** Opens no more than it takes: for each level the newest success and the newest failure. `names` oldest first. */
export async function newestEvidence(
  repository: Repository,
  backup: EvidencedBackup,
  names: readonly EvidenceName[],
): Promise<NewestEvidence> {
  const found = await Promise.all(
    evidenceLevels.map(async (level) => {
      const newest = async (result: EvidenceResult): Promise<ReadEvidence | undefined> => {
        for (const name of names.filter((each) => each.level === level && each.result === result).toReversed()) {
          const read = await readEvidence(repository, backup, name);
          if (read.evidence !== undefined) return read;
        }
        return undefined;
      };
      const [ok, failed] = await Promise.all([newest('ok'), newest('failed')]);
      return [level, { ...entryOf('ok', ok), ...entryOf('failed', failed) }] as const;
    }),
  );
  return new Map(found);
}

function entryOf(result: EvidenceResult, read: ReadEvidence | undefined): object {
  return read?.evidence === undefined ? {} : { [result]: { object: read.object, evidence: read.evidence } };
}

/** Pure: what the newest evidence of each level comes to. */
export function judge(newest: NewestEvidence): ProofState {
  const all = (result: EvidenceResult): Milestone[] =>
    evidenceLevels.flatMap((level) => milestone(newest.get(level)?.[result])).toSorted(byTime);
  const isStep = ({ level }: Milestone): boolean => level !== 'restore' && level !== 'pitr';
  const successes = all('ok').filter(isStep);
  const failures = all('failed').filter(isStep);
  const open = failures.filter(
    (failure) =>
      !successes.some((success) => isLater(success, failure) && shows[success.level] >= refutedBy[failure.level]),
  );
  // A pack that is lost breaks every level above, too, until it is found again; a failed drill stays one until the
  // next.
  const counts = (success: Milestone): boolean =>
    !failures.some(
      (failure) =>
        isLater(failure, success) && (refutedBy[failure.level] >= shows[success.level] || open.includes(failure)),
    );
  const counting = successes.filter(counts);
  const reached = (rank: number): Milestone | undefined => counting.findLast(({ level }) => shows[level] >= rank);
  const [checked, decoded, proven] = [reached(2), reached(3), reached(4)];
  const state =
    proven !== undefined ? 'proven' : decoded !== undefined ? 'decoded' : checked !== undefined ? 'checked' : 'stored';
  const [restored] = milestone(newest.get('restore')?.ok);
  const [recovered] = milestone(newest.get('pitr')?.ok);
  const [astray] = milestone(newest.get('pitr')?.failed);
  const isAstray = astray !== undefined && (recovered === undefined || isLater(astray, recovered));
  const lastFailure = open.at(-1) ?? (isAstray ? astray : failures.at(-1));
  return { state, checked, decoded, proven, lastFailure, failing: open.length > 0 || isAstray, restored, recovered };
}

function milestone(found: { readonly object: string; readonly evidence: Evidence } | undefined): Milestone[] {
  if (found === undefined) return [];
  const { evidence, object } = found;
  return [{ at: evidence.finishedAt, durationMs: evidence.durationMs, level: evidence.level, object }];
}

function byTime(a: Milestone, b: Milestone): number {
  return Date.parse(a.at) - Date.parse(b.at);
}

/** Of two at the same instant the failure counts as later. */
function isLater(one: Milestone, other: Milestone): boolean {
  const distance = byTime(one, other);
  return distance > 0 || (distance === 0 && one.object.endsWith('-failed.json'));
}
