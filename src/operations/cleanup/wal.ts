/** What a cleanup needs to know of write-ahead log: what base backups need of it, and the rules of their targets. */
import type { RetentionByComponent } from '../../config/config.ts';
import type { CollectedWal, WalRule } from '../../repository/deletion/wal.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import type { WalBase } from '../../repository/wal/retention.ts';
import { baseFacts } from '../../source/postgres/base/facts.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import type { CleanupWal } from './request.ts';

const dayMs = 86_400_000;

/** Undefined for a backup without a physical part. Throws `integrity` or `key` where its facts cannot be read. */
export async function readWalBase(
  repository: Repository,
  manifest: Manifest,
): Promise<Omit<WalBase, 'state'> | undefined> {
  const component = manifest.components.find(({ kind }) => kind === 'base');
  if (component === undefined) return undefined;
  const facts = factsOf(baseFacts, await readComponentFacts(repository, manifest), component, manifest.id);
  return {
    backupId: manifest.id,
    target: manifest.target,
    systemId: facts.systemIdentifier,
    timeline: facts.timeline,
    segmentBytes: facts.walSegmentBytes,
    startLsn: parseLsn(facts.startLsn),
    stopLsn: parseLsn(facts.stopLsn),
    stoppedAt: facts.stoppedAt,
  };
}

export interface WalPolicies {
  readonly policies: ReadonlyMap<string, RetentionByComponent>;
  readonly orphanWalDays?: number | undefined;
}

/**
 * The rule of a cluster by the targets of its base backups: the longest of theirs. Another host may have a longer one
 * for a target that is not known here.
 */
export function walRules(
  { policies, orphanWalDays }: WalPolicies,
  nowMs: number,
): (targets: readonly string[]) => WalRule {
  const since = (days: number): WalRule => ({ keepSinceMs: nowMs - days * dayMs });
  return (targets) => {
    const unknown = targets.find((name) => !policies.has(name));
    if (unknown !== undefined) return { stays: `target ${unknown} is not configured here, or not cleaned up now` };
    if (targets.length === 0) {
      return orphanWalDays === undefined
        ? { stays: 'no base backup of it is in the repository; to let it go nevertheless: retention.walDays' }
        : since(orphanWalDays);
    }
    const days = targets.flatMap((name) => policies.get(name)?.walDays ?? []);
    return days.length === 0 ? { keepSinceMs: Infinity } : since(Math.max(...days));
  };
}

export function shownWal({ targets, ...rest }: CollectedWal): CleanupWal {
  return { ...rest, targets: [...targets] };
}
