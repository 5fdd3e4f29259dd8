/**
 * What is wrong with a configuration, in our words and with the origin of the value; no value is quoted, it may be a
 * secret.
 */
import type { z } from 'zod';
import { phraseOf } from './schema-words.ts';
import { didYouMean } from '../lib/suggest.ts';
import type { Fault } from './faults.ts';
import { innerSchemas, keysOfSchema, unwrapSchema } from './schema-walk.ts';
import { settingsSchema } from './schema.ts';

type Issue = z.core.$ZodIssue;

/** Faults of a document that does not fit. `whereOf` names the origin of a dotted path. */
export function faultsOf(error: z.ZodError, whereOf: (path: string) => string): Fault[] {
  return error.issues.flatMap((issue) => faultsOfIssue(issue, issue.path.map(String), whereOf));
}

function faultsOfIssue(issue: Issue, path: readonly string[], whereOf: (path: string) => string): Fault[] {
  const at = (keys: readonly string[]): string => whereOf(keys.join('.'));
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        where: at([...path, key]),
        message: `is not a known key${didYouMean(key, keysAt(path))}`,
      }));
    case 'invalid_union': {
      // One branch that fits the kind of value: its own faults say more than "none fits".
      const branch = issue.errors.find((errors) =>
        errors.every((each) => each.path.length > 0 || each.code === 'unrecognized_keys'),
      );
      const useful =
        branch !== undefined && branch.some((each) => each.path.length > 0) && path.at(-1) === 'repository';
      if (!useful) return [{ where: at(path), message: issue.message }];
      return branch.flatMap((each) => faultsOfIssue(each, [...path, ...each.path.map(String)], whereOf));
    }
    case 'invalid_key':
      return issue.issues.map((each) => ({ where: at(path), message: each.message }));
    case 'invalid_value':
      return [{ where: at(path), message: `${phraseOf(issue)}${nearestOf(issue)}` }];
    default:
      return [{ where: at(path), message: phraseOf(issue) }];
  }
}

function nearestOf({ input, values }: Extract<Issue, { code: 'invalid_value' }>): string {
  return typeof input === 'string' ? didYouMean(input, values.map(String)) : '';
}

/** The keys that an object at this path may have. */
function keysAt(path: readonly string[]): string[] {
  let schemas = unwrapSchema(settingsSchema);
  for (const key of path) schemas = schemas.flatMap((schema) => innerSchemas(schema, key));
  return schemas.flatMap(keysOfSchema);
}
