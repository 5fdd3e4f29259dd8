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
import { openSegment } from '../wal/segment.ts';

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

type See = (mark: WalEnd | WalPoint) => void;

/** Shows the ends of transactions and the restore points that lie in a segment, in their order. */
async function seeMarks(
  repository: Repository,
  { inventory, place: { programs } }: PitrPlan,
  name: string,
  see: See,
  { signal }: RunContext,
): Promise<void> {
  signal.throwIfAborted();
  const content = await openSegment(repository, inventory.systemId, name);
  await runWaldump([{ name, content }], { programs, onText: (text) => marksIn(text).forEach(see), signal });
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
    let beforeUs: bigint | undefined;
    const see: See = (mark) => {
      if (mark.kind === 'end') beforeUs = limit === undefined || mark.lsn <= limit ? mark.atUs : beforeUs;
      else if (target.kind === 'name' && mark.name === target.name) limit ??= mark.lsn;
    };
    await seeMarks(repository, plan, name, see, context);
    if (beforeUs !== undefined) return beforeUs;
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
    let foundUs: bigint | undefined;
    const see: See = (mark) => {
      if (mark.kind === 'end' && mark.xids[0] === BigInt.asUintN(32, xid)) foundUs ??= mark.atUs;
    };
    await seeMarks(repository, plan, name, see, context);
    if (foundUs !== undefined) return foundUs;
  }
  return undefined;
}
