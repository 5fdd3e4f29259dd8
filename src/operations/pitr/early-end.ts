/** A server takes a record that it cannot read for the end of the log. Whether it was the end, the archive knows. */
import { LifeboatError } from '../../lib/errors.ts';
import { formatLsn, parseLsn } from '../../source/postgres/wal/lsn.ts';
import type { PitrPlan } from './plan.ts';

type Replayed = Pick<PitrPlan, 'run' | 'end' | 'facts'>;

/**
 * Throws `integrity` (14) if the archived log goes on behind the last record that was replayed; `replayedTo`: where
 * that one begins.
 */
export function refuseEarlyEnd({ run, end, facts }: Replayed, replayedTo: string | undefined): void {
  if (replayedTo === undefined || end.lastRecordLsn === undefined || parseLsn(replayedTo) >= end.lastRecordLsn) return;
  const name = run.names[Number(parseLsn(replayedTo) / BigInt(facts.walSegmentBytes) - run.first)];
  throw new LifeboatError(
    'integrity',
    `replay ended at ${replayedTo} in WAL segment ${name}, although the archived WAL goes on up to ` +
      `${formatLsn(end.lastRecordLsn)}: the record behind it is damaged`,
    {
      hint: `recover to a moment before it: the last record that is whole is lsn:${replayedTo}`,
      facts: { replayedTo },
    },
  );
}

/** What to say of a server that ran out of log before its target, which was ruled out beforehand. */
export function endedEarly(plan: Replayed, error: unknown): unknown {
  if (!(error instanceof LifeboatError) || error.code !== 'window') return error;
  const { replayedTo } = error.facts ?? {};
  try {
    refuseEarlyEnd(plan, typeof replayedTo === 'string' ? replayedTo : undefined);
    return error;
  } catch (damage) {
    return damage;
  }
}
