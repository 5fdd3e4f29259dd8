/**
 * Evidence: what was proven of a backup, when, and how long it took. Only what is authentic and names the
 * seal of the very manifest counts; three of each level are kept. Layout: man lifeboat-repository(7).
 */
import { hostname } from 'node:os';
import { mapInOrder } from '../../lib/concurrency.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import { compactUtc } from '../../lib/time.ts';
import { programVersion } from '../../lib/version.ts';
import { faultIn } from '../../config/schema-words.ts';
import { AlreadyExistsError, NotFoundError, StorageError } from '../../storage/storage.ts';
import { isAheadOfClocks } from '../clocks.ts';
import { distrustOf, openRecord, sealRecord } from '../keys/sealed-records.ts';
import {
  evidenceSchema,
  maxNamed,
  parseEvidenceName,
  type Evidence,
  type EvidenceLevel,
  type EvidenceName,
  type EvidenceResult,
} from './evidence-record.ts';
import type { Manifest } from '../manifests/manifest.ts';
import type { Repository } from '../repository.ts';
import { reasonFor } from '../box/seal.ts';

/** The backup that evidence is of: a ListedManifest with trust 'sealed' fits. */
export interface EvidencedBackup {
  readonly id: string;
  readonly seal: string | undefined;
  readonly manifest: Manifest | undefined;
}

/** What a check or drill found. Names of tables, keys and files do not belong in it: anybody can read it. */
export interface EvidenceDraft {
  readonly level: EvidenceLevel;
  readonly result: EvidenceResult;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  readonly finishedMs: number;
  /** Added to lifeboat's and Node's. */
  readonly versions?: Readonly<Record<string, string>>;
  readonly compared: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  /** Read from the repository. */
  readonly bytes: number;
  readonly steps: readonly {
    readonly name: string;
    readonly durationMs: number;
    readonly bytes?: number | undefined;
  }[];
  readonly damaged?: readonly { readonly object: string; readonly problem: string }[];
  readonly notes?: readonly string[];
  /** See evidenceSchema. */
  readonly isolation?: string | undefined;
}

/** One piece as read. `evidence` is there only if it counts. */
export interface ReadEvidence extends EvidenceName {
  readonly evidence: Evidence | undefined;
  /** Why it does not count; one sentence. */
  readonly reason: string | undefined;
}

export interface WrittenEvidence {
  readonly object: string;
  /** Older evidence that could not be removed; told, but no failure. */
  readonly warning: string | undefined;
}

const keptPerLevel = 3;
/** Whoever writes to the bucket may have put any number there. */
const readAtOnce = 16;

/**
 * Writes one piece of evidence under the backup's data key, signed by us, and removes what is then too old.
 * Throws StorageError where nothing may be written, LifeboatError `key` without the key.
 */
export async function writeEvidence(
  repository: Repository,
  backup: EvidencedBackup,
  draft: EvidenceDraft,
): Promise<WrittenEvidence> {
  const { manifest, seal } = backup;
  if (manifest === undefined || seal === undefined) {
    throw new LifeboatError('integrity', `nothing can be recorded of backup ${backup.id}: its manifest is damaged`);
  }
  const key = { dataKey: await repository.dataKeyOf(manifest), signer: await repository.keyring?.signer() };
  const members = { backup: manifest.id, manifestSeal: seal, ...membersOf(draft) };
  // The name has whole seconds: of two in one second the later takes the next one.
  for (let tried = 0; ; tried++) {
    const at = compactUtc(new Date(draft.finishedMs + tried * 1000));
    const object = `evidence/${manifest.id}/${at}-${draft.level}-${draft.result}.json`;
    try {
      await repository.storage.put(object, [sealRecord(object, members, key)]);
      return { object, warning: await prune(repository, backup, draft.level) };
    } catch (error) {
      if (!(error instanceof AlreadyExistsError) || tried >= 60) throw error;
    }
  }
}

function membersOf(draft: EvidenceDraft): Omit<Evidence, 'backup' | 'manifestSeal'> {
  const {
    level,
    result,
    startedMs,
    finishedMs,
    versions = {},
    compared,
    counts,
    bytes,
    steps,
    damaged = [],
    notes = [],
    isolation,
  } = draft;
  return {
    level,
    result,
    startedAt: new Date(startedMs).toISOString(),
    finishedAt: new Date(finishedMs).toISOString(),
    durationMs: Math.max(0, Math.round(finishedMs - startedMs)),
    host: hostname(),
    versions: { lifeboat: programVersion(), node: process.versions.node, ...versions },
    compared: [...compared],
    counts: { ...counts },
    bytes,
    steps: steps.map(({ name, durationMs, bytes: stepBytes }) => ({
      name,
      durationMs: Math.round(durationMs),
      ...(stepBytes === undefined ? {} : { bytes: stepBytes }),
    })),
    damaged: damaged.slice(0, maxNamed).map(({ object, problem }) => ({ object, problem: problem.slice(0, 1000) })),
    damagedCount: damaged.length,
    notes: notes.map((note) => note.slice(0, 1000)),
    ...(isolation === undefined ? {} : { isolation }),
  };
}

/** Only what counts is counted, so that a forged piece pushes no good one out. Returns why nothing could be removed. */
async function prune(
  repository: Repository,
  backup: EvidencedBackup,
  level: EvidenceLevel,
): Promise<string | undefined> {
  try {
    const pieces = (await evidenceNames(repository, backup.id)).filter((name) => name.level === level).toReversed();
    const counting: string[] = [];
    for (const name of pieces.length > keptPerLevel ? pieces : []) {
      const { evidence } = await readEvidence(repository, backup, name);
      if (evidence !== undefined) counting.push(name.object);
    }
    await repository.storage.remove(counting.slice(keptPerLevel));
    return undefined;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return `older evidence of ${backup.id} could not be removed: ${messageOf(error)}`;
  }
}

/** The evidence of one backup by its names, oldest first. */
export async function evidenceNames(
  { storage }: Pick<Repository, 'storage'>,
  backupId: string,
): Promise<EvidenceName[]> {
  const names: EvidenceName[] = [];
  for await (const { key } of storage.list(`evidence/${backupId}/`)) {
    const name = parseEvidenceName(key);
    if (name !== undefined) names.push(name);
  }
  return names;
}

/** The evidence of all backups by its names, in one listing; by backup id, oldest first. */
export async function allEvidenceNames({ storage }: Pick<Repository, 'storage'>): Promise<Map<string, EvidenceName[]>> {
  const byBackup = new Map<string, EvidenceName[]>();
  for await (const { key } of storage.list('evidence/')) {
    const name = parseEvidenceName(key);
    if (name === undefined) continue;
    const known = byBackup.get(name.backupId);
    if (known === undefined) byBackup.set(name.backupId, [name]);
    else known.push(name);
  }
  return byBackup;
}

/** Opens one piece and says whether it counts for `backup`. Throws only what the storage throws. */
export async function readEvidence(
  { storage, keyring }: Pick<Repository, 'storage' | 'keyring'>,
  backup: EvidencedBackup,
  name: EvidenceName,
): Promise<ReadEvidence> {
  const refused = (reason: string): ReadEvidence => ({ ...name, evidence: undefined, reason });
  try {
    const opened = await openRecord(await storage.get(name.object), name.object, keyring);
    const distrust = distrustOf(opened);
    if (distrust !== undefined) return refused(distrust);
    const parsed = evidenceSchema.safeParse(opened.members);
    if (!parsed.success) return refused(`it is not of a shape that this version knows: ${faultIn(parsed.error)}`);
    const evidence = parsed.data;
    if (evidence.backup !== backup.id || evidence.manifestSeal !== backup.seal) {
      return refused('it is of another manifest than the one that is there');
    }
    if (evidence.level !== name.level || evidence.result !== name.result) {
      return refused('it says something else than its name');
    }
    // It would be the newest until then, and nothing that is found meanwhile could refute it.
    if (isAheadOfClocks(name.at) || isAheadOfClocks(evidence.finishedAt)) {
      return refused('it is of a time that no clock shows yet');
    }
    return { ...name, evidence, reason: undefined };
  } catch (error) {
    if (error instanceof NotFoundError) return refused('it is gone');
    if (error instanceof LifeboatError && (error.code === 'integrity' || error.code === 'key')) {
      return refused(reasonFor(name.object, error));
    }
    throw error;
  }
}

/** Every piece of evidence of one backup, oldest first, each opened. */
export async function readAllEvidence(repository: Repository, backup: EvidencedBackup): Promise<ReadEvidence[]> {
  const names = await evidenceNames(repository, backup.id);
  const all: ReadEvidence[] = [];
  const reads = mapInOrder(names, (name) => readEvidence(repository, backup, name), readAtOnce);
  for await (const read of reads) all.push(read);
  return all;
}
