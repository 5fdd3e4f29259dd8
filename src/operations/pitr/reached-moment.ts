/**
 * When a moment was that is named by a position, a name or a transaction: what stands in the log. For what has no log
 * of its own.
 */
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import type { PitrPlan } from './plan.ts';
import { parseTime } from './moment.ts';
import { marksIn, type WalEnd, type WalPoint } from '../../source/postgres/wal/dumped-records.ts';
import { runWaldump } from '../../source/postgres/wal/waldump.ts';
import { readSegment } from '../wal/segment.ts';

/** Microseconds since 1970; where the log tells none before it, the end of the base backup. */
export async function momentOf(repository: Repository, plan: PitrPlan, context: RunContext): Promise<bigint> {
  const { target, facts, end } = plan;
  const baseUs = parseTime(facts.stoppedAt);
  if (target.kind === 'time') return target.atUs;
  if (target.kind === 'latest') return end.lastCommitUs ?? baseUs;
  if (target.kind === 'immediate') return baseUs;
  return (
    (target.kind === 'xid'
      ? await commitOf(repository, plan, target.xid, context)
      : await lastCommitBefore(repository, plan, context)) ?? baseUs
  );
}

/** The ends of transactions and the restore points that lie in a segment. */
async function marksOf(
  repository: Repository,
  { inventory, place: { programs } }: PitrPlan,
  name: string,
  { signal }: RunContext,
): Promise<(WalEnd | WalPoint)[]> {
  signal.throwIfAborted();
  const bytes = await readSegment(repository, inventory.systemId, name);
  return marksIn((await runWaldump([{ name, bytes }], { programs, signal })).text);
}

/** Of a position or a named point: the newest commit before it. */
async function lastCommitBefore(
  repository: Repository,
  plan: PitrPlan,
  context: RunContext,
): Promise<bigint | undefined> {
  const { target, needed } = plan;
  let limit = target.kind === 'lsn' ? target.lsn : undefined;
  for (const name of needed.toReversed()) {
    const marks = await marksOf(repository, plan, name, context);
    if (target.kind === 'name') limit ??= marks.find((mark) => mark.kind === 'point' && mark.name === target.name)?.lsn;
    const before = marks.filter(isEnd).findLast(({ lsn }) => limit === undefined || lsn <= limit);
    if (before !== undefined) return before.atUs;
  }
  return undefined;
}

/** The log is read from its beginning: where a transaction stands in it is known to nobody. */
async function commitOf(
  repository: Repository,
  plan: PitrPlan,
  xid: bigint,
  context: RunContext,
): Promise<bigint | undefined> {
  for (const name of plan.needed) {
    const ends = (await marksOf(repository, plan, name, context)).filter(isEnd);
    const found = ends.find(({ xids }) => xids[0] === BigInt.asUintN(32, xid));
    if (found !== undefined) return found.atUs;
  }
  return undefined;
}

function isEnd(mark: WalEnd | WalPoint): mark is WalEnd {
  return mark.kind === 'end';
}
