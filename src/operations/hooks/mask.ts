/**
 * What programs of the operator's print, made fit for the log: without what our own configuration keeps secret, without
 * what the operator let them see, without connection strings, and safe to show.
 */
import type { Config } from '../../config/config.ts';
import { PendingSecret } from '../../config/secrets.ts';
import { Secret } from '../../lib/secret.ts';
import { oneLine, withoutSecrets } from '../notify/words.ts';

/** A shorter value is part of too many words. */
const leastCharacters = 6;
const most = { lines: 40, characters: 500 };

/** The last lines of it. */
export function shownLines(output: string, secrets: readonly string[]): string[] {
  const lines = withoutSecrets(masked(output, secrets))
    .split('\n')
    .map((line) => oneLine(line, most.characters))
    .filter((line) => line !== '');
  const left = lines.length - most.lines;
  return left <= 0 ? lines : [`(${left} lines are left out)`, ...lines.slice(left)];
}

/** Every value that stands in the configuration as a secret and was loaded, and these. */
export function secretValues(config: Config, more: Iterable<Secret>): string[] {
  const values = [...found(config, new Set()), ...more].map((secret) => secret.reveal());
  // Of two that begin the same the longer one first, or its rest would stay.
  return [...new Set(values.filter(({ length }) => length >= leastCharacters))].toSorted((a, b) => b.length - a.length);
}

function masked(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text);
}

function found(value: unknown, seen: Set<object>): Secret[] {
  if (value instanceof Secret) return value instanceof PendingSecret ? [] : [value];
  if (typeof value !== 'object' || value === null || seen.has(value)) return [];
  seen.add(value);
  const inside: Iterable<unknown> = value instanceof Map ? value.values() : Object.values(value);
  return [...inside].flatMap((each) => found(each, seen));
}
