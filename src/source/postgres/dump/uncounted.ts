/** What a backup says of relations that it could not count: in its facts, and to the operator. */
import type { RunContext } from '../../../lib/events.ts';
import type { DatabaseFacts, TableFacts } from '../facts/facts.ts';
import { isMissingFrom } from '../facts/fingerprint.ts';
import type { Relation } from '../facts/relations.ts';
import { quoteQualified } from '../server/quote.ts';

const namesShown = 5;

/**
 * The facts' part, absent where there is none. A warning names the first of those that the operator would expect to be
 * counted: what a materialized view holds is made anew by each restore, so one that is merely in other hands is none.
 */
export function tellUncounted(
  relations: readonly Relation[],
  found: readonly TableFacts[],
  database: string,
  context: Pick<RunContext, 'emit'>,
): Pick<DatabaseFacts, 'uncounted'> {
  const missing = relations.filter(isMissingFrom(found));
  if (missing.length === 0) return {};
  const uncounted = missing.map(({ schema, name }) => ({ schema, name }));
  const told = missing.filter(({ kind, isPlannable }) => kind === 'r' || !isPlannable);
  if (told.length === 0) return { uncounted };
  const names = told.slice(0, namesShown).map(({ schema, name }) => quoteQualified(schema, name));
  const more = told.length > namesShown ? ` and ${told.length - namesShown} more` : '';
  context.emit({
    type: 'warning',
    component: 'postgres',
    message:
      `database ${database}: not counted, since a query on it could run code of its owner's as the backup user: ` +
      `${names.join(', ')}${more} (backed up all the same)`,
  });
  return { uncounted };
}
