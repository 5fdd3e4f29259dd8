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
import { pruneSlots } from '../../repository/slots/prune.ts';
import { moveToTrash } from '../../repository/deletion/trash.ts';
import { audited, recordDeleted } from '../audit/audited.ts';
import { hooked } from '../hooks/hooked.ts';
import { chooseBackup } from '../choose-backup.ts';
import { adoptTrash } from './adopt.ts';
import { forgetDeleted, vanishedAmong } from './memory.ts';
import { planCleanup, type CleanupPlan } from './plan.ts';
import { resultOf, type Cleaned } from './result.ts';
import { readWalBase, walRules } from './wal.ts';
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

export const cleanup = audited('cleanup', hooked('cleanup', cleanUp));

export const cleanupOperation: Operation<CleanupOptions, CleanupRequest, CleanupResult> = {
  command: 'cleanup',
  need: () => repositoryNeeds,
  complete: (options) => ({ dryRun: false, acknowledge: [], adoptTrash: [], ...given(options) }),
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
  refuseShortGrace(graceMs, internals.leastGraceMs ?? leastGraceMs);
  const asked = { ...request, graceMs };
  const cleaned = await (request.dryRun ? foretell : carryOut)(repository, asked, noting, internals);
  return resultOf(request.dryRun ? 'planned' : 'done', repository, cleaned, graceMs, warnings);
}

function refuseShortGrace(graceMs: number, least: number): void {
  if (graceMs >= least) return;
  throw new LifeboatError('usage', 'the grace time is too short: running backups may need what it protects', {
    state: 'nothing was changed',
    hint: 'give one of at least 1h',
  });
}

type Asked = CleanupRequest & { readonly graceMs: number };

/** What would become of everything; nothing is written. */
async function foretell(
  repository: Repository,
  { graceMs, maxDelete }: Asked,
  context: RunContext,
  internals: Internals,
): Promise<Cleaned> {
  const { policies } = internals;
  const plan = await planCleanup(repository, { policies, nowMs: Date.now(), maxDelete }, context);
  const collecting = { graceMs, nowMs: Date.now(), lease: undefined, internals };
  return { plan, collected: await collect(repository, plan, collecting, context) };
}

async function carryOut(
  repository: Repository,
  request: Asked,
  context: RunContext,
  internals: Internals,
): Promise<Cleaned> {
  const { graceMs, maxDelete } = request;
  const lost = new AbortController();
  const working: RunContext = { ...context, signal: AbortSignal.any([context.signal, lost.signal]) };
  const before = Date.now();
  await using lease = await acquireLease(repository.storage, {
    scope: 'cleanup',
    command: 'cleanup',
    signal: context.signal,
    onLost: (error) => lost.abort(error),
  });
  refuseClockDifference(lease.sinceMs, before);
  await acknowledge(repository, request, working);
  await adoptTrash(repository, request.adoptTrash, lease, working);
  const { policies } = internals;
  const plan = await planCleanup(repository, { policies, nowMs: Date.now(), maxDelete }, working);
  for (const backup of plan.backups.filter(({ keep }) => !keep)) {
    working.signal.throwIfAborted();
    working.emit({ type: 'step', message: `moving backup ${backup.id} to trash: ${backup.reasons.join('; ')}` });
    await moveToTrash(repository, backup, () => lease.check());
  }
  const collecting = { graceMs, nowMs: lease.sinceMs, lease, internals };
  const collected = await collect(repository, plan, collecting, working);
  await removeTemporaries(repository, graceMs, working);
  await pruneSlots(repository);
  return { plan, collected };
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
  const vanished = await vanishedAmong(repository, [...internals.policies.keys()]);
  if (vanished !== undefined) {
    const reason = `space is not freed: ${vanished}`;
    context.emit({
      type: 'warning',
      message: `${reason}; if it was intended: lifeboat status names what to acknowledge`,
    });
    return reason;
  }
  try {
    return await collectGarbage(repository, {
      graceMs,
      nowMs,
      lease,
      leaving: lease === undefined ? going : new Set(),
      left: lease === undefined ? undefined : going,
      mayLeave: plan.mayLeave,
      readBase: async (manifest) => readWalBase(repository, manifest),
      ruleOf: walRules(internals, nowMs),
      window: internals.window,
      onDeleted: async (deleted) => {
        await internals.onDeleted?.(deleted);
        await forgetDeleted(repository, [...internals.policies.keys()], deleted);
      },
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
