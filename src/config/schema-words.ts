/**
 * What a document lacks, in plain words: the one place that reads zod's issues, so that zod's own words reach nobody.
 * No value is quoted; it may be a secret, or anything at all.
 */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** The first fault of a document that does not fit, with its place: `components[0].name is missing; …`. */
export function faultIn(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'it is not of the expected form';
  const path = placeOf(issue.path);
  return path === '' ? `it ${phraseOf(issue)}` : `${path} ${phraseOf(issue)}`;
}

/** What is wrong at the issue's place, to go on from its name: `must be a text`. */
export function phraseOf(issue: Issue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `has keys that are not known: ${issue.keys.slice(0, 5).map(nameOf).join(', ')}`;
    case 'invalid_type':
      return wrongKind(issue);
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? 'must not be empty'
        : `must be at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string' || issue.origin === 'array'
        ? `is too long: more than ${issue.maximum}`
        : `must be at most ${issue.maximum}`;
    case 'invalid_format':
      return ownWords(issue) ?? formatOf(issue);
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'custom':
      return ownWords(issue) ?? unexpected;
  }
}

const unexpected = 'has an unexpected form';

/** The message that the schema gives itself; undefined for zod's. */
function ownWords({ message }: Issue): string | undefined {
  return /^[A-Z]/.test(message) ? undefined : message;
}

function formatOf(issue: Extract<Issue, { code: 'invalid_format' }>): string {
  if (issue.format === 'uuid') return 'is not a UUID';
  if (issue.format === 'datetime') return 'is not a time such as 2026-01-02T03:04:05Z';
  return patterns[issue.pattern ?? ''] ?? unexpected;
}

const patterns: Readonly<Record<string, string>> = {
  '/^[0-9a-f]{64}$/': 'is not a SHA-256 in hexadecimal',
  '/^[0-9a-f]{32}$/': 'is not 32 hexadecimal digits',
  '/^[A-Za-z0-9+/]{43}=$/': 'is not base64 of 32 bytes',
};

/** Zod leaves the value out unless it is asked for it (reportInput). */
function wrongKind(issue: Extract<Issue, { code: 'invalid_type' }>): string {
  const kind = kinds[issue.expected] ?? 'what is expected there';
  if (!('input' in issue)) return `is missing, or is not ${kind}`;
  return issue.input === undefined ? `is missing; it must be ${kind}` : `must be ${kind}`;
}

const kinds: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  bigint: 'a whole number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
};

/** `components[0].name`. */
function placeOf(path: readonly PropertyKey[]): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${nameOf(String(step))}`))
    .join('');
}

/** Keys of a damaged document may be anything. */
function nameOf(key: string): string {
  return /^[\w-]{1,60}$/.test(key) ? key : JSON.stringify(key.slice(0, 60));
}
