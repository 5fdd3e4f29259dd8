/** What a cleanup would delete, and why: manifests, notes and evidence are read, the policy judges. Changes nothing. */
import type { RetentionByComponent } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import { allNoteNames, readNotes } from '../../repository/backups/notes.ts';
import { applyPolicy, type PolicyOutcome, type Verdict } from '../../repository/retention/policy.ts';
import type { PolicyBackup, PolicyComponent, PolicyPart } from '../../repository/retention/backups.ts';
import type { Repository } from '../../repository/repository.ts';
import { readComponentFacts } from '../backup-facts.ts';
import { proofStates } from '../proof/state.ts';

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
}

/** Backups before the newest whose rows, keys or files are counted. */
const countedBefore = 5;

interface Known {
  readonly seal: string;
  readonly type: Manifest['type'];
  readonly startedAt: string;
  readonly policy: PolicyBackup;
}

/** Throws `key` unless every backup can be checked, in trash too. */
export async function planCleanup(
  repository: Repository,
  { policies, nowMs, maxDelete }: PlanOptions,
  context: RunContext,
): Promise<CleanupPlan> {
  const known = await readBackups(repository, context);
  const judge = (all: readonly Known[]): PolicyOutcome =>
    applyPolicy(
      all.map(({ policy }) => policy),
      policies,
      nowMs,
      maxDelete,
    );
  const byId = new Map(known.map((each) => [each.policy.id, each]));
  const first = judge(known);
  // Counting means reading facts: only for targets of which something would go.
  const leaving = new Set(first.verdicts.filter(({ keep }) => !keep).map(({ id }) => byId.get(id)?.policy.target));
  const outcome = leaving.size === 0 ? first : judge(await countItems(repository, known, leaving, context));
  for (const stop of outcome.stops) {
    context.emit({
      type: 'warning',
      message:
        `nothing of target ${stop.target} is deleted: ${stop.reason}; if that is intended: lifeboat cleanup ` +
        `--acknowledge ${stop.backupId}`,
    });
  }
  if (outcome.overLimit > 0) {
    context.emit({
      type: 'warning',
      message:
        `the policy lets ${outcome.overLimit} more backups go than one run may delete; if that is intended, run ` +
        'it again, or raise --max-delete',
    });
  }
  const backups = outcome.verdicts.flatMap((verdict) => {
    const found = byId.get(verdict.id);
    return found === undefined
      ? []
      : [{ ...verdict, seal: found.seal, type: found.type, startedAt: found.startedAt, target: found.policy.target }];
  });
  return { backups, stops: outcome.stops };
}

async function readBackups(repository: Repository, context: RunContext): Promise<Known[]> {
  const proofStateOf = await proofStates(repository);
  const notes = await allNoteNames(repository);
  const known: Known[] = [];
  for await (const listed of repository.listManifests({ order: 'oldest-first' })) {
    context.signal.throwIfAborted();
    const { manifest, seal, trust, reason = 'unknown' } = listed;
    requireKey(listed);
    if (trust !== 'sealed' || manifest === undefined || seal === undefined) {
      context.emit({ type: 'warning', message: `backup ${listed.id} is left alone: ${reason}` });
      continue;
    }
    const standing = await proofStateOf(listed);
    const { note, passedOver } = await readNotes(repository, manifest.id, notes.get(manifest.id) ?? []);
    for (const each of passedOver) {
      context.emit({ type: 'warning', message: `${each.object} does not count: ${each.reason}` });
    }
    const policy: PolicyBackup = {
      id: manifest.id,
      target: manifest.target,
      takenMs: Date.parse(manifest.startedAt),
      previousId: manifest.previous?.id,
      components: manifest.components.map(partOf),
      tags: [...(manifest.tags ?? []), ...(note?.tags ?? [])],
      hold: note?.hold?.reason,
      unreadableNote: passedOver.some(({ damaged }) => damaged),
      proven: standing?.proven !== undefined,
      failing: standing?.failing === true,
      acknowledged: note?.acknowledged === true,
    };
    known.push({ seal, type: manifest.type, startedAt: manifest.startedAt, policy });
  }
  for await (const listed of repository.listManifests({ folder: 'trash/' })) requireKey(listed);
  return known;
}

function requireKey({ id, trust, reason }: ListedManifest): void {
  if (trust !== 'unchecked') return;
  throw new LifeboatError('key', `cannot clean up: backup ${id} cannot be checked: ${reason ?? 'no key opens it'}`, {
    state: 'nothing was changed',
    hint: 'a cleanup takes keys that open every data key in use: lifeboat keys list',
  });
}

function partOf({ kind, readBytes }: ManifestComponent): PolicyPart {
  const components: Record<ManifestComponent['kind'], PolicyComponent> = {
    postgres: 'database',
    base: 'database',
    redis: 'redis',
    files: 'files',
  };
  return { kind, component: components[kind], readBytes, items: undefined };
}

/** The same, with rows, keys and files of the newest few of these targets. */
async function countItems(
  repository: Repository,
  known: readonly Known[],
  targets: ReadonlySet<string | undefined>,
  context: RunContext,
): Promise<Known[]> {
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
