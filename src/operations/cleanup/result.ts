/** What a cleanup answers: the plan, and what became of what nobody needs. */
import type { Collected } from '../../repository/deletion/collector.ts';
import type { Repository } from '../../repository/repository.ts';
import type { CleanupPlan, PlannedBackup } from './plan.ts';
import type { CleanupResult } from './request.ts';
import { shownWal } from './wal.ts';

/** A plan that was carried out, or would be; the reason where nothing was collected. */
export interface Cleaned {
  readonly plan: CleanupPlan;
  readonly collected: Collected | string;
}

/** The answer; `graceMs` is the grace time that was asked for. */
export function resultOf(
  outcome: CleanupResult['outcome'],
  repository: Repository,
  { plan, collected }: Cleaned,
  graceMs: number,
  warnings: readonly string[],
): CleanupResult {
  const found = typeof collected === 'string' ? undefined : collected;
  const shown = ({ id, target, type, startedAt, keep, reasons }: PlannedBackup): CleanupResult['backups'][number] => ({
    id,
    target,
    type,
    startedAt,
    keep,
    reasons,
    bytes: keep ? undefined : (found?.laterBytesOf.get(id) ?? 0),
  });
  return {
    outcome,
    repository: repository.storage.location,
    graceMs,
    backups: plan.backups.map(shown),
    deleted: found?.deleted ?? [],
    freed: { packs: found?.packs ?? 0, bytes: found?.bytes ?? 0 },
    laterBytes: found?.laterBytes ?? 0,
    retained: (found?.retained ?? []).map(({ key, untilMs }) => ({
      object: key,
      until: untilMs === undefined ? undefined : new Date(untilMs).toISOString(),
    })),
    wal: (found?.wal ?? []).map(shownWal),
    hidden: (found?.hidden ?? []).map(({ id, hiddenMs }) => ({ id, hiddenAt: new Date(hiddenMs).toISOString() })),
    stopped: typeof collected === 'string' ? collected : undefined,
    warnings,
  };
}
