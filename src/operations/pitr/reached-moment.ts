/**
 * When a moment was that is named by a position, a name or a transaction: what stands in the log. For what has no log
 * of its own.
 */
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseLsn } from '../../repository/wal/names.ts';
import type { PitrPlan } from './plan.ts';
import { parseTime } from './moment.ts';
import { dumpSegment } from './wal-inventory.ts';
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

interface LogRecord {
  readonly lsn: bigint;
  readonly xid: bigint;
  readonly committedUs: bigint | undefined;
  readonly restorePoint: string | undefined;
}

async function recordsOf(
  repository: Repository,
  { inventory, place }: PitrPlan,
  name: string,
  { signal }: RunContext,
): Promise<LogRecord[]> {
  signal.throwIfAborted();
  const text = await dumpSegment(await readSegment(repository, inventory.systemId, name), name, place.programs, signal);
  return [
    ...text.matchAll(
      / tx:\s+(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+), .* desc: (?:(?:COMMIT|ABORT)(?:_PREPARED)? (?:\d+: )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC|RESTORE_POINT (.*)$)/gm,
    ),
  ].map(([, xid = '0', lsn = '0/0', time, restorePoint]) => ({
    xid: BigInt(xid),
    lsn: parseLsn(lsn),
    committedUs: time === undefined ? undefined : parseTime(`${time} UTC`),
    restorePoint,
  }));
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
    const records = await recordsOf(repository, plan, name, context);
    limit ??=
      target.kind === 'name' ? records.find(({ restorePoint }) => restorePoint === target.name)?.lsn : undefined;
    const before = records.findLast(
      ({ lsn, committedUs }) => committedUs !== undefined && (limit === undefined || lsn <= limit),
    );
    if (before !== undefined) return before.committedUs;
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
    const found = (await recordsOf(repository, plan, name, context)).find(
      (record) => record.xid === xid % 2n ** 32n && record.committedUs !== undefined,
    );
    if (found !== undefined) return found.committedUs;
  }
  return undefined;
}
