/**
 * The evidence of a drill. It can be read without a key, so it tells counts and kinds; names of tables, keys and files
 * stand in the drill's own result.
 */
import { type LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { writeEvidence, type EvidencedBackup } from '../../repository/backups/evidence.ts';
import type { Repository } from '../../repository/repository.ts';
import { isDenied } from '../../storage/storage.ts';
import { weakestIsolation, type DrillRecord } from './subject.ts';
import type { DrilledComponent } from './request.ts';

/** One component's drill with all that was seen. */
export interface DrilledPart {
  readonly drilled: DrilledComponent;
  readonly record: DrillRecord;
}

/** `notes`: in words that anybody may read. */
export interface DrillEvidence {
  readonly level: 'drill' | 'pitr';
  readonly startedMs: number;
  readonly notes: readonly string[];
}

/** Writes it; the object's name, or undefined where nothing may be written. */
export async function recordDrill(
  repository: Repository,
  backup: EvidencedBackup,
  parts: readonly DrilledPart[],
  { level, startedMs, notes }: DrillEvidence,
  { emit }: RunContext,
): Promise<string | undefined> {
  const failed = parts.some(({ drilled }) => drilled.result === 'failed');
  try {
    const { object, warning } = await writeEvidence(repository, backup, {
      level,
      result: failed ? 'failed' : 'ok',
      startedMs,
      finishedMs: Date.now(),
      versions: Object.assign({}, ...parts.map(({ drilled }) => drilled.versions)) as Record<string, string>,
      compared: parts.flatMap(({ record }) => record.compared),
      counts: Object.assign({}, ...parts.map(({ drilled }) => drilled.counts)) as Record<string, number>,
      bytes: parts.reduce((sum, { drilled }) => sum + drilled.bytes, 0),
      steps: parts.flatMap(({ drilled }) =>
        drilled.steps.map((step) => ({ ...step, name: `${drilled.name} ${step.name}` })),
      ),
      damaged: parts.flatMap(({ drilled, record }) =>
        record.failures.flatMap((failure) => damageOf(drilled.name, failure)),
      ),
      notes,
      isolation: weakestIsolation(parts.map(({ record }) => record)),
    });
    if (warning !== undefined) emit({ type: 'warning', message: warning });
    return object;
  } catch (error) {
    if (!isDenied(error)) throw error;
    emit({
      type: 'warning',
      message: `no evidence is recorded, since the repository cannot be written to: ${messageOf(error)}`,
    });
    return undefined;
  }
}

/** Objects of the repository that the failure names, else the component and what kind of difference it was. */
function damageOf(component: string, failure: LifeboatError): { object: string; problem: string }[] {
  const objects = [...new Set(failure.message.match(/\b(?:packs|backups)\/[\w./-]+\.(?:pack|index)\b/g))];
  if (objects.length > 0) return objects.map((object) => ({ object, problem: 'it is damaged or missing' }));
  const mismatches = failure.facts?.['mismatches'];
  const kinds = Array.isArray(mismatches) ? (mismatches as { kind?: unknown }[]).map(({ kind }) => String(kind)) : [];
  const told = [...Map.groupBy(kinds, (kind) => kind)].map(([kind, { length }]) => `${kind}: ${length}`).join(', ');
  return [
    {
      object: component,
      problem: told === '' ? 'the restore failed' : `what was restored differs from what was recorded (${told})`,
    },
  ];
}
