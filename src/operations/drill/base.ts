/**
 * Drill of a base backup: restored with its own WAL, recovered to its first consistent moment, and looked at as a
 * whole.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { segmentAt } from '../../source/postgres/wal/file-name.ts';
import { baseFacts } from '../../source/postgres/base/facts.ts';
import { checkCluster } from './cluster.ts';
import { withRecovered } from './recover.ts';
import type { DrillRecord, DrillSubject } from './subject.ts';
import { factsOf } from '../backup-facts.ts';
import { placeFor } from '../pitr/choose-base.ts';
import { runOf } from '../pitr/wal-run.ts';
import { takeInventory } from '../pitr/wal-inventory.ts';
import { segmentsOfBase } from '../wal/base-segments.ts';
import { counted } from '../../lib/units.ts';

export async function drillBase(
  { repository, facts: all, component, manifest, reader, config }: DrillSubject,
  record: DrillRecord,
  context: RunContext,
): Promise<void> {
  const facts = factsOf(baseFacts, all, component, manifest.id);
  const place = await placeFor(facts);
  const inventory = await takeInventory(repository, facts);
  const run = runOf(inventory, facts, facts.timeline);
  const { first, last } = segmentsOfBase(facts);
  if (run.last < last) {
    const missing =
      run.missing ?? segmentAt(facts.timeline, (run.last + 1n) * BigInt(facts.walSegmentBytes), facts.walSegmentBytes);
    throw new LifeboatError('integrity', `the base backup lacks its own WAL: ${missing} is missing`, {
      hint: 'push it again if the server still has it; else take another base backup',
    });
  }
  const walBytes = Number(last - first + 1n) * facts.walSegmentBytes;
  const target = { recovery_target: 'immediate', recovery_target_timeline: 'current' };
  await withRecovered(
    { config, repository, reader, facts, inventory, run, place, target, walBytes },
    record,
    context,
    async (server) => {
      await checkCluster(
        { server, facts, programs: place.programs, jobs: config.jobs, isAtBase: true },
        record,
        context,
      );
    },
  );
  record.summary =
    `${counted(record.counts['databases'] ?? 0, 'database')}, ${counted(record.counts['tables'] ?? 0, 'table')} ` +
    'recovered and read';
}
