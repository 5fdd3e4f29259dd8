/**
 * Tables whose rows a dump leaves out, since somebody said so: one that cannot be read must not keep all others from
 * being backed up. Their definitions are in it.
 */
import type { Relation } from '../facts/relations.ts';
import { quoteIdentifier, quoteQualified } from '../server/quote.ts';

/** Of `relations`, those that `names` mean: schema.table, or database.schema.table, each as it is or quoted. */
export function withoutRows(
  relations: readonly Relation[],
  database: string,
  names: readonly string[],
): { readonly kept: readonly Relation[]; readonly leftOut: readonly Relation[] } {
  const isMeant = (relation: Relation): boolean => namesFor(relation, database).some((name) => names.includes(name));
  return { kept: relations.filter((each) => !isMeant(each)), leftOut: relations.filter(isMeant) };
}

/** All that a table may be called by: without and with its database, as it is and quoted. */
export function namesFor({ schema, name }: Pick<Relation, 'schema' | 'name'>, database: string): string[] {
  const tables = [`${schema}.${name}`, quoteQualified(schema, name)];
  return [...tables, ...tables.flatMap((table) => [`${database}.${table}`, `${quoteIdentifier(database)}.${table}`])];
}
