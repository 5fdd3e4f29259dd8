/**
 * Deletes what the retention policy no longer keeps: first into trash, from where `undelete` takes it back, and for
 * good once the grace time has passed; then the packs that nobody needs any more. All of it under the `cleanup` lease.
 */
import type { RetentionByComponent } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { collectGarbage, type Collected, type DeletedBackup } from '../../repository/deletion/collector.ts';
import { type Lease } from '../../repository/leases/lease.ts';
import { acquireLease } from '../../repository/leases/acquire.ts';
import { writeNote } from '../../repository/backups/notes.ts';
import type { Repository } from '../../repository/repository.ts';
import { moveToTrash } from '../../repository/deletion/trash.ts';
import { audited, recordDeleted } from '../audit/audited.ts';
import { chooseBackup } from '../choose-backup.ts';
import { planCleanup, type CleanupPlan, type PlannedBackup } from './plan.ts';
import { readWalBase, shownWal, walRules } from './wal.ts';
import { noteWarnings } from '../warnings.ts';
import { withRepository } from '../open-repository.ts';
import type { CleanupOptions, CleanupRequest, CleanupResult } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';

/** What only the program itself sets: proofs do not wait for a day. */
export interface CleanupInternals {
  /** Told of backups directly before they are deleted for good; for the audit log. */
  readonly onDeleted?: (deleted: readonly DeletedBackup[]) => Promise<void>;
  /** Instead of the policy that is configured for each target. */
  readonly policies?: ReadonlyMap<string, RetentionByComponent>;
  /** Since when log of clusters without a base backup here stays; undefined: all of it. */
  readonly orphanWalDays?: number | undefined;
  readonly leastGraceMs?: number;
  /** Packs looked at in one pass. */
  readonly window?: number;
}

type Internals = CleanupInternals & Required<Pick<CleanupInternals, 'policies'>>;

const defaultGraceMs = 24 * 3_600_000;
const leastGraceMs = 3_600_000;
/** Half-written files younger than this may still be written. */
const leastTemporaryMs = 3_600_000;
const clockToleranceMs = 10 * 60_000;

export const cleanup = audited('cleanup', cleanUp);

export const cleanupOperation: Operation<CleanupOptions, CleanupRequest, CleanupResult> = {
  need: () => repositoryNeeds,
  complete: (options) => ({ dryRun: false, acknowledge: [], ...given(options) }),
  run: cleanup,
};

async function cleanUp(loaded: LoadedConfig, request: CleanupRequest, context: RunContext): Promise<CleanupResult> {
  const { config } = loaded;
  const internals = {
    policies: policiesOf(loaded, request.target),
    orphanWalDays: request.target === undefined ? config.retention.walDays : undefined,
  };
  const graceMs = request.graceMs ?? config.trashMs;
  return withRepository(loaded, context, async (repository) =>
    cleanRepository(repository, { ...request, graceMs }, context, {
      ...internals,
      onDeleted: async (deleted) => recordDeleted(repository, request, deleted, context),
    }),
  );
}

/** The same for an opened repository. */
export async function cleanRepository(
  repository: Repository,
  request: CleanupRequest,
  context: RunContext,
  internals: Internals,
): Promise<CleanupResult> {
  const { context: noting, warnings } = noteWarnings(context);
  const graceMs = request.graceMs ?? defaultGraceMs;
  const least = internals.leastGraceMs ?? leastGraceMs;
  if (graceMs < least) {
    throw new LifeboatError('usage', 'the grace time is too short: running backups may need what it protects', {
      state: 'nothing was changed',
      hint: 'give one of at least 1h',
    });
  }
  if (request.dryRun) {
    const plan = await planCleanup(
      repository,
      { policies: internals.policies, nowMs: Date.now(), maxDelete: request.maxDelete },
      noting,
    );
    const collected = await collect(
      repository,
      plan,
      { graceMs, nowMs: Date.now(), lease: undefined, internals },
      noting,
    );
    return resultOf('planned', repository, plan, collected, graceMs, warnings);
  }
  const lost = new AbortController();
  const working: RunContext = { ...noting, signal: AbortSignal.any([context.signal, lost.signal]) };
  const before = Date.now();
  await using lease = await acquireLease(repository.storage, {
    scope: 'cleanup',
    command: 'cleanup',
    signal: context.signal,
    onLost: (error) => lost.abort(error),
  });
  refuseClockDifference(lease.sinceMs, before);
  await acknowledge(repository, request, working);
  const plan = await planCleanup(
    repository,
    { policies: internals.policies, nowMs: Date.now(), maxDelete: request.maxDelete },
    working,
  );
  for (const backup of plan.backups.filter(({ keep }) => !keep)) {
    working.signal.throwIfAborted();
    working.emit({ type: 'step', message: `moving backup ${backup.id} to trash: ${backup.reasons.join('; ')}` });
    await moveToTrash(repository.storage, backup, () => lease.check());
  }
  const collected = await collect(repository, plan, { graceMs, nowMs: lease.sinceMs, lease, internals }, working);
  await removeTemporaries(repository, graceMs, working);
  return resultOf('done', repository, plan, collected, graceMs, warnings);
}

/** What was to be deleted is deleted by then: half-written files that stay take room, and that is a warning. */
async function removeTemporaries({ storage }: Repository, graceMs: number, { emit }: RunContext): Promise<void> {
  try {
    await storage.removeStaleTemporaries(Math.max(graceMs, leastTemporaryMs));
  } catch (error) {
    emit({ type: 'warning', message: `half-written files of killed runs are still there: ${messageOf(error)}` });
  }
}

/**
 * Each configured target's policy; of a target that is named but not configured here, the general one. Backups of
 * others are left alone: their own host may keep them longer.
 */
function policiesOf({ config }: LoadedConfig, only: string | undefined): Map<string, RetentionByComponent> {
  const named = [...config.targets.values()].map(
    ({ name, retention }) => [name, retention ?? config.retention] as const,
  );
  if (only === undefined) return new Map(named);
  return new Map([[only, config.targets.get(only)?.retention ?? config.retention]]);
}

function refuseClockDifference(storageMs: number, beforeMs: number): void {
  const offMs = storageMs < beforeMs ? beforeMs - storageMs : Math.max(0, storageMs - Date.now());
  if (offMs <= clockToleranceMs) return;
  throw new LifeboatError(
    'usage',
    `the clocks of this host and of the storage differ by ${Math.round(offMs / 60_000)} minutes: ages cannot be told`,
    { state: 'nothing was changed', hint: 'set the clock (NTP), then run it again' },
  );
}

async function acknowledge(
  repository: Repository,
  { acknowledge: ids, target }: CleanupRequest,
  context: RunContext,
): Promise<void> {
  for (const id of ids) {
    const { manifest } = await chooseBackup(repository, { id, target }, context.emit);
    await writeNote(repository, manifest, { acknowledged: true });
  }
}

interface Collecting {
  readonly graceMs: number;
  readonly nowMs: number;
  readonly lease: Lease | undefined;
  readonly internals: Internals;
}

/** Garbage is not collected where it cannot be told what is needed: that is a warning, and the reason. */
async function collect(
  repository: Repository,
  plan: CleanupPlan,
  { graceMs, nowMs, lease, internals }: Collecting,
  context: RunContext,
): Promise<Collected | string> {
  const going = new Set(plan.backups.filter(({ keep }) => !keep).map(({ id }) => id));
  try {
    return await collectGarbage(repository, {
      graceMs,
      nowMs,
      lease,
      leaving: lease === undefined ? going : new Set(),
      left: lease === undefined ? undefined : going,
      readBase: async (manifest) => readWalBase(repository, manifest),
      ruleOf: walRules(internals, nowMs),
      window: internals.window,
      onDeleted: internals.onDeleted ?? (async () => {}),
      context,
    });
  } catch (error) {
    if (!(error instanceof LifeboatError) || !['integrity', 'locked'].includes(error.code) || context.signal.aborted) {
      throw error;
    }
    // A lease that is lost ends the run; one that pins what is gone only this step.
    await lease?.check();
    const reason = `space is not freed: ${error.message}`;
    context.emit({ type: 'warning', message: error.hint === undefined ? reason : `${reason} (${error.hint})` });
    return reason;
  }
}

function resultOf(
  outcome: CleanupResult['outcome'],
  repository: Repository,
  plan: CleanupPlan,
  collected: Collected | string,
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
