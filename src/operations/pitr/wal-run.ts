/**
 * Which segments can be replayed from a base backup on: along which timeline, and up to where without a gap or damage.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { Repository } from '../../repository/repository.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { historyName } from '../../source/postgres/wal/file-name.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentsOfBase } from '../wal/base-segments.ts';
import { namesOnWay, reachOfLog } from '../wal/gaps.ts';
import { openSegment, verifyWhole } from '../wal/segment.ts';
import { damageOf, type WalInventory } from './wal-inventory.ts';

/** The segments to replay from a base backup on, in order and without a gap. */
export interface WalRun {
  readonly timeline: number;
  readonly names: readonly string[];
  readonly first: bigint;
  readonly last: bigint;
  /** Of the segment that is missing although later ones are there, or that is damaged. */
  readonly missing: string | undefined;
  /** Why it is of no use, if it is there. */
  readonly damage?: LifeboatError | undefined;
}

/**
 * The timeline to recover along. Throws `window` (17) if the wanted one does not descend from the base backup's,
 * `integrity` (14) naming a history file that is missing.
 */
export function chooseTimeline(
  { log: { timelines, histories }, damagedHistories }: WalInventory,
  base: BaseFacts,
  wanted: number | undefined,
): number {
  const descends = (timeline: number): boolean =>
    timeline === base.timeline ||
    histories
      .get(timeline)
      ?.some((line) => line.timeline === base.timeline && line.switchLsn >= parseLsn(base.stopLsn)) === true;
  const damaged = [...damagedHistories].find(
    ([timeline]) => timeline > base.timeline && (wanted === undefined || wanted === timeline),
  );
  if (damaged !== undefined) {
    throw new LifeboatError('integrity', damaged[1].message, {
      state: 'nothing was changed',
      hint: 'stay on an older timeline with --timeline',
      cause: damaged[1],
    });
  }
  const orphan = [...timelines.keys()].find(
    (timeline) => timeline > base.timeline && !histories.has(timeline) && (wanted === undefined || wanted === timeline),
  );
  if (orphan !== undefined) {
    throw new LifeboatError(
      'integrity',
      `the history file ${historyName(orphan)} is missing, although there is WAL of timeline ${orphan}`,
      {
        state: 'nothing was changed',
        hint: 'push it again from pg_wal of the server; or stay on an older timeline with --timeline',
      },
    );
  }
  if (wanted === undefined) return Math.max(base.timeline, ...[...histories.keys()].filter(descends));
  if (descends(wanted)) return wanted;
  throw new LifeboatError(
    'window',
    `timeline ${wanted} does not come from timeline ${base.timeline} after ${base.stopLsn}, where the base backup ends`,
    { state: 'nothing was changed' },
  );
}

/** All that can be replayed from the base backup on. */
export function runOf({ log }: Pick<WalInventory, 'log'>, base: BaseFacts, timeline: number): WalRun {
  const { first } = segmentsOfBase(base);
  const reach = reachOfLog(log, base.timeline, first, timeline);
  const last = reach.endsUnfinished ? reach.last + 1n : reach.last;
  const names = namesOnWay(log, base.timeline, timeline, { first, last });
  return { timeline, names, first, last, missing: reach.isCut ? reach.next : undefined };
}

/** The same run up to before its last segments, if they are damaged: what lies before them can be recovered. */
export async function readableRun(repository: Repository, systemId: string, run: WalRun): Promise<WalRun> {
  let { names } = run;
  let damage: LifeboatError | undefined;
  for (let name = names.at(-1); name !== undefined; name = names.at(-1)) {
    try {
      await verifyWhole(await openSegment(repository, systemId, name));
      break;
    } catch (error) {
      damage = damageOf(error);
      names = names.slice(0, -1);
    }
  }
  return damage === undefined
    ? run
    : { ...run, names, last: run.first + BigInt(names.length) - 1n, missing: run.names[names.length], damage };
}
