/** What a cleanup would delete, and why: manifests, notes and evidence are read, the policy judges. Changes nothing. */
import type { RetentionByComponent } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { counted } from '../../lib/units.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import { applyPolicy, type PolicyOutcome, type Verdict } from '../../repository/retention/policy.ts';
import type { Repository } from '../../repository/repository.ts';
import { runLimit } from '../../repository/retention/guards.ts';
import { keptInTrash, type TrashGuards } from '../../repository/retention/trash.ts';
import { readComponentFacts } from '../backup-facts.ts';
import { readBackups, type KnownBackup } from './read-backups.ts';

export interface PlanOptions {
  /** By target. */
  readonly policies: ReadonlyMap<string, RetentionByComponent>;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly maxDelete: number | undefined;
}

/** A backup and what becomes of it. */
export interface PlannedBackup extends Verdict {
  readonly seal: string;
  readonly target: string;
  readonly type: Manifest['type'];
  /** RFC 3339, UTC. */
  readonly startedAt: string;
}

export interface CleanupPlan {
  /** Oldest first. Only those whose seal holds: others are left alone. */
  readonly backups: readonly PlannedBackup[];
  readonly stops: PolicyOutcome['stops'];
  /** Which of these, in trash beyond their grace time, may go for good; tells why the others may not. */
  readonly mayLeave: (ids: readonly string[]) => ReadonlySet<string>;
}

/** Backups before the newest whose rows, keys or files are counted. */
const countedBefore = 5;

/** Throws `key` unless every backup can be checked, in trash too. */
export async function planCleanup(
  repository: Repository,
  { policies, nowMs, maxDelete }: PlanOptions,
  context: RunContext,
): Promise<CleanupPlan> {
  const { known, trash } = await readBackups(repository, context);
  const judge = (all: readonly KnownBackup[]): PolicyOutcome =>
    applyPolicy(
      all.map(({ policy }) => policy),
      policies,
      nowMs,
      maxDelete,
    );
  const byId = new Map(known.map((each) => [each.policy.id, each]));
  const first = judge(known);
  // Counting means reading facts: only for targets of which something would go.
  const leaving = new Set([
    ...first.verdicts.filter(({ keep }) => !keep).map(({ id }) => byId.get(id)?.policy.target),
    ...trash.map(({ target }) => target),
  ]);
  const outcome = leaving.size === 0 ? first : judge(await countItems(repository, known, leaving, context));
  tellStops(outcome, context);
  const backups = outcome.verdicts.flatMap((verdict) => {
    const found = byId.get(verdict.id);
    return found === undefined
      ? []
      : [{ ...verdict, seal: found.seal, type: found.type, startedAt: found.startedAt, target: found.policy.target }];
  });
  const guards = { live: known.map(({ policy }) => policy), trash, stops: outcome.stops, nowMs, maxDelete };
  return { backups, stops: outcome.stops, mayLeave: (ids) => guardTrash(ids, guards, context) };
}

function tellStops({ stops, overLimit }: PolicyOutcome, { emit }: RunContext): void {
  for (const stop of stops) {
    emit({
      type: 'warning',
      message:
        `nothing of target ${stop.target} is deleted: ${stop.reason}; if that is intended: lifeboat cleanup ` +
        `--acknowledge ${stop.backupId}`,
    });
  }
  if (overLimit > 0) {
    emit({
      type: 'warning',
      message:
        `the policy lets ${overLimit} more backups go than one run may delete; if that is intended, run ` +
        'it again, or raise --max-delete',
    });
  }
}

function guardTrash(ids: readonly string[], guards: TrashGuards, { emit }: RunContext): Set<string> {
  const { reasons, overLimit } = keptInTrash(ids, guards);
  const stopped = new Set(guards.stops.map(({ reason }) => reason));
  for (const [id, reason] of reasons) {
    const message = `backup ${id} stays in trash: ${reason}`;
    // What stops all of a target, and the limit of one run, are told once.
    const isTold = stopped.has(reason) || reason === runLimit;
    emit({ type: isTold ? 'debug' : 'warning', message: `${message}; to get it back: lifeboat undelete ${id}` });
  }
  if (overLimit > 0) {
    const message =
      `${counted(overLimit, 'backup')} in trash beyond the grace time ${overLimit === 1 ? 'stays' : 'stay'}: one run ` +
      'may delete no more; if that is intended, run it again, or raise --max-delete';
    emit({ type: 'warning', message });
  }
  return new Set(ids.filter((id) => !reasons.has(id)));
}

/** The same, with rows, keys and files of the newest few of these targets. */
async function countItems(
  repository: Repository,
  known: readonly KnownBackup[],
  targets: ReadonlySet<string | undefined>,
  context: RunContext,
): Promise<KnownBackup[]> {
  const counted = new Map<string, ReadonlyMap<string, number>>();
  for (const target of targets) {
    const newest = known
      .filter(({ policy }) => policy.target === target)
      .toSorted((a, b) => b.policy.takenMs - a.policy.takenMs);
    for (const { policy } of newest.slice(0, countedBefore + 1)) {
      counted.set(policy.id, await itemsOf(repository, policy.id, context));
    }
  }
  return known.map((each) => {
    const components = each.policy.components.map((part) => ({
      ...part,
      items: counted.get(each.policy.id)?.get(part.kind),
    }));
    return { ...each, policy: { ...each.policy, components } };
  });
}

/** By kind. Empty where facts cannot be read: `validate` tells of that. */
async function itemsOf(repository: Repository, id: string, context: RunContext): Promise<Map<string, number>> {
  const items = new Map<string, number>();
  try {
    const { manifest } = await repository.readManifest(id);
    if (manifest === undefined) return items;
    const facts = await readComponentFacts(repository, manifest);
    for (const { name, kind } of manifest.components) {
      const count = countOf(kind, facts.get(name));
      if (count !== undefined) items.set(kind, count);
    }
  } catch (error) {
    if (!(error instanceof LifeboatError) || !['integrity', 'not_found'].includes(error.code)) throw error;
    context.emit({ type: 'debug', message: `what backup ${id} holds cannot be counted: ${error.message}` });
  }
  return items;
}

function countOf(kind: string, facts: unknown): number | undefined {
  const record = facts as
    | {
        readonly databases?: readonly { readonly tables: readonly { readonly rows: string }[] }[];
        readonly keys?: number;
        readonly files?: number;
      }
    | undefined;
  if (kind === 'redis') return record?.keys;
  if (kind === 'files') return record?.files;
  return record?.databases?.reduce(
    (sum, { tables }) => sum + tables.reduce((rows, table) => rows + Number(table.rows), 0),
    0,
  );
}
