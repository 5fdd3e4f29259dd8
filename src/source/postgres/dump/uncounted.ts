/** What a backup says of relations that it could not count: in its facts, and to the operator. */
import type { RunContext } from '../../../lib/events.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { type Relation, isUncountable } from '../facts/relations.ts';
import { quoteQualified } from '../server/quote.ts';

const namesShown = 5;

/** The facts' part, absent where there is none; a warning names the first of them. */
export function tellUncounted(
  relations: readonly Relation[],
  database: string,
  context: Pick<RunContext, 'emit'>,
): Pick<DatabaseFacts, 'uncounted'> {
  const uncounted = relations.filter(isUncountable).map(({ schema, name }) => ({ schema, name }));
  if (uncounted.length === 0) return {};
  const names = uncounted.slice(0, namesShown).map(({ schema, name }) => quoteQualified(schema, name));
  const more = uncounted.length > namesShown ? ` and ${uncounted.length - namesShown} more` : '';
  context.emit({
    type: 'warning',
    component: 'postgres',
    message:
      `database ${database}: not counted, since a query on it could run code of its owner's as the backup user: ` +
      `${names.join(', ')}${more} (backed up all the same)`,
  });
  return { uncounted };
}
