/** Evidence of a validation: one piece for each backup, of what was done and found. */
import type { RunContext } from '../../lib/events.ts';
import { messageOf } from '../../lib/errors.ts';
import { writeEvidence, type EvidenceDraft } from '../../repository/backups/evidence.ts';
import type { EvidenceLevel } from '../../repository/backups/evidence-record.ts';
import type { Repository } from '../../repository/repository.ts';
import { NotFoundError, isDenied } from '../../storage/storage.ts';
import { openBackup } from './choose.ts';
import type { DamageBook } from './damage.ts';
import type { OpenBackup } from './objects.ts';
import type { Validation } from './stages.ts';
import { manifestKey } from '../../repository/object-keys.ts';

/**
 * A backup that was deleted while it was read is not damaged: what was found of it is forgotten. Returns the ids of
 * such.
 */
export async function dropDeleted(
  { storage }: Repository,
  backups: readonly OpenBackup[],
  book: DamageBook,
  { emit }: RunContext,
): Promise<Set<string>> {
  const gone = new Set<string>();
  for (const { id } of backups) {
    if (book.of(id).length === 0) continue;
    try {
      await storage.stat(manifestKey(id));
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      emit({ type: 'warning', message: `backup ${id} was deleted while it was being read` });
      book.forget(id);
      gone.add(id);
    }
  }
  return gone;
}

/**
 * Backups that were not asked for, but use what was found damaged: theirs is a failure, too, and a later
 * backup must not build on them.
 */
export async function touchedOthers(repository: Repository, run: Validation): Promise<OpenBackup[]> {
  const checked = new Set(run.backups.map(({ id }) => id));
  const ids = new Set(
    run.book
      .entries()
      .flatMap(({ touched }) =>
        [...touched].flatMap(([id, { artifacts, whole }]) =>
          (whole || artifacts.size > 0) && !checked.has(id) ? [id] : [],
        ),
      ),
  );
  const others: OpenBackup[] = [];
  for (const id of ids) {
    const open = await openBackup(repository, await repository.readManifest(id));
    if (open !== undefined) others.push(open);
  }
  return others;
}

/** Writes the evidence; by backup id the object, undefined where nothing may be written (said once). */
export async function recordEvidence(
  repository: Repository,
  run: Validation,
  backups: readonly OpenBackup[],
  startedMs: number,
  { emit }: RunContext,
): Promise<Map<string, string | undefined>> {
  const written = new Map<string, string | undefined>();
  const finishedMs = Date.now();
  let isRefused = false;
  for (const backup of backups) {
    written.set(backup.id, undefined);
    if (isRefused) continue;
    try {
      const { object, warning } = await writeEvidence(repository, backup, draftOf(run, backup, startedMs, finishedMs));
      written.set(backup.id, object);
      if (warning !== undefined) emit({ type: 'warning', message: warning });
    } catch (error) {
      if (!isDenied(error)) throw error;
      isRefused = true;
      emit({
        type: 'warning',
        message: `no evidence is recorded, since the repository cannot be written to: ${messageOf(error)}`,
      });
    }
  }
  return written;
}

function draftOf(run: Validation, backup: OpenBackup, startedMs: number, finishedMs: number): EvidenceDraft {
  const { sample, backups, request } = run;
  const level: EvidenceLevel = sample === undefined ? request.level : 'sample';
  const artifacts = backup.manifest.components.flatMap((component) => component.artifacts);
  const damaged = run.book.of(backup.id).filter(({ object }) => !object.startsWith('keys/'));
  return {
    level,
    result: run.isDamaged(backup.id) ? 'failed' : 'ok',
    startedMs,
    finishedMs,
    versions: run.versions.get(backup.id) ?? {},
    compared: backups.includes(backup)
      ? comparedBy[level]
      : ['chunks in packs that were found damaged while another backup was checked'],
    counts: {
      artifacts: artifacts.length,
      chunks: artifacts.reduce((sum, { chunks }) => sum + chunks, 0),
      packs: run.packsOf.get(backup.id) ?? 0,
      ...(request.level === 'deep' ? { archives: run.archivesOf.get(backup.id) ?? 0 } : {}),
      ...(sample === undefined ? {} : { samplePart: sample.part, sampleParts: sample.parts }),
    },
    bytes: run.tally.bytes,
    steps: run.steps,
    damaged,
    notes:
      backups.length === 1 && backups.includes(backup)
        ? []
        : [`durations and bytes are those of a check of ${backups.length} backups`],
  };
}

const present = 'presence and sizes of packs with the table of packs';
const beside = 'facts, indexes and table of packs with the hashes in the manifest';
const bytes = 'every byte of every pack with its authentication';
const places = 'each record of the indexes with the directories of the packs';

const comparedBy: Record<EvidenceLevel, readonly string[]> = {
  quick: [present, beside],
  sample: [present, beside, 'every byte of some packs with its authentication'],
  stored: [present, beside, bytes, places],
  deep: [present, beside, bytes, places, 'every chunk with its id', 'every archive, read to its end, with the facts'],
  drill: [],
  pitr: [],
  restore: [],
};
