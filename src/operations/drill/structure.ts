/**
 * The structure of what a drill has restored, for its record: damage is the backup's fault, a missing or failing tool
 * is not.
 */
import type { RunContext } from '../../lib/events.ts';
import type { DrillRecord } from './subject.ts';
import { checkStructure, type StructureCheckOptions } from '../pitr/structure-check.ts';

const amchecked = 'the structure of tables and indexes by pg_amcheck';

/** The server must take writes. Throws `integrity` (14) naming what is damaged. */
export async function recordStructure(
  options: Omit<StructureCheckOptions, 'writable'>,
  record: DrillRecord,
  context: RunContext,
): Promise<void> {
  const { databases, notes } = await record.step('amcheck', () =>
    checkStructure({ ...options, writable: true }, context),
  );
  record.notes.push(...notes);
  if (databases.length > 0 && !record.compared.includes(amchecked)) record.compared.push(amchecked);
}
