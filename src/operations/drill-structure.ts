/** The structure of what a drill has restored, by pg_amcheck: damage is the backup's fault, a missing or failing tool is not. */
import { LifeboatError } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { amcheck, type AmcheckOptions } from '../source/postgres/amcheck.ts';
import type { DrillRecord } from './drill-steps.ts';

const amchecked = 'the structure of tables and indexes by pg_amcheck';

/** Throws `integrity` (14) naming what is damaged. `what`: "the restored database …". */
export async function checkStructure(options: AmcheckOptions, what: string, record: DrillRecord, context: RunContext): Promise<void> {
  const report = await record.step('amcheck', () => amcheck(options, context));
  if (report.outcome === 'damaged') throw new LifeboatError('integrity', `pg_amcheck finds ${what} damaged: ${report.said}`);
  if (report.outcome === 'absent') record.notes.push('pg_amcheck is not installed: the structure of indexes was not checked');
  else if (report.outcome === 'unable') record.notes.push(`pg_amcheck could not check ${what}: ${report.said}`);
  else if (!record.compared.includes(amchecked)) record.compared.push(amchecked);
}
