/**
 * Why no base backup leads to a moment, in words that name the nearest thing that can be had: the earliest moment,
 * a logical backup from before.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { Repository } from '../../repository/repository.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { segmentAt } from '../../source/postgres/wal/file-name.ts';
import { logicalBackups } from './logical-backups.ts';
import { parseTime, type PitrTarget } from './moment.ts';
import type { WalRun } from './wal-run.ts';

/** There is no base backup with its log, whatever the moment. */
export class NoBaseError extends LifeboatError {
  /** Whose; undefined: anybody's. */
  readonly target: string | undefined;

  constructor(message: string, target: string | undefined) {
    super('window', message, {
      state: 'nothing was changed',
      hint: 'lifeboat list shows what there is; lifeboat backup base takes one',
    });
    this.target = target;
  }
}

export interface FailedSearch {
  readonly repository: Repository;
  /** The target whose backups were looked at; undefined: anybody's. */
  readonly name: string | undefined;
  /** The moment, as asked for. */
  readonly to: string;
  readonly target: PitrTarget;
  /** One for each base backup. */
  readonly reasons: readonly string[];
  readonly oldest: BaseFacts | undefined;
}

/** A `NoBaseError` if what is missing is the log of all of them; else `window` (17) with the nearest moments. */
export async function whyNoBase({
  repository,
  name,
  to,
  target,
  reasons,
  oldest,
}: FailedSearch): Promise<LifeboatError> {
  const first = reasons.slice(0, 5).join('; ');
  if (reasons.length > 0 && reasons.every((reason) => reason.includes(lacksLog))) {
    return new NoBaseError(`no base backup has its write-ahead log: ${first}`, name);
  }
  const message = `no base backup can be recovered to ${to}: ${first}`;
  const state = 'nothing was changed';
  const logical = target.kind === 'time' ? await logicalBefore(repository, name, target.atUs) : undefined;
  if (oldest === undefined) return new LifeboatError('window', message, { state });
  const otherwise = logical === undefined ? '' : `; a logical backup from before: lifeboat restore ${logical}`;
  return new LifeboatError('window', message, {
    state,
    hint: `the earliest possible moment is ${oldest.stoppedAt} (lsn:${oldest.stopLsn})${otherwise}`,
    facts: { earliest: oldest.stoppedAt, earliestLsn: oldest.stopLsn, logical },
  });
}

const lacksLog = 'lacks its own WAL';

/** The reason for a base backup whose log ends before it is consistent. */
export function lacksOwnLog(id: string, { timeline, walSegmentBytes }: BaseFacts, run: WalRun): string {
  const lacking = run.missing ?? segmentAt(timeline, (run.last + 1n) * BigInt(walSegmentBytes), walSegmentBytes);
  return `${id} ${lacksLog}: ${lacking} is ${run.damage === undefined ? 'missing' : 'damaged'}`;
}

/** Id of the newest logical backup that was complete by then, and is of no damaged source. */
async function logicalBefore(
  repository: Repository,
  target: string | undefined,
  atUs: bigint,
): Promise<string | undefined> {
  let best: { readonly id: string; readonly at: string } | undefined;
  for await (const { manifest, component } of logicalBackups(repository, target)) {
    if (component.flaws !== undefined) continue;
    if (parseTime(component.finishedAt) <= atUs && (best === undefined || component.finishedAt > best.at)) {
      best = { id: manifest.id, at: component.finishedAt };
    }
  }
  return best?.id;
}
