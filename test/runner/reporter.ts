/**
 * The reporter that every test file's own process runs with: it writes what happens, one JSON line an
 * event, to the file that LIFEBOAT_TEST_EVENTS names. At once, so that the runner knows which test a
 * process was in when it hung or died.
 */
import { appendFileSync } from 'node:fs';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** One line of the events file. */
export type RecordedEvent =
  | { readonly kind: 'began'; readonly name: string; readonly nesting: number }
  | { readonly kind: 'ended'; readonly name: string; readonly nesting: number }
  | { readonly kind: 'passed'; readonly name: string; readonly isSuite: boolean; readonly omitted: boolean }
  | { readonly kind: 'failed'; readonly name: string; readonly error: string }
  | { readonly kind: 'finished' };

/** An error may carry all that a child wrote; its beginning is what is read. */
const longestError = 6000;

/** What node:test calls with the stream of events. */
// oxlint-disable-next-line import/no-default-export -- node:test takes the default export of a reporter
export default async function* record(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const file = process.env['LIFEBOAT_TEST_EVENTS'];
  if (file === undefined) throw new Error('this reporter belongs to test/runner/run.ts: set LIFEBOAT_TEST_EVENTS');
  for await (const event of source) {
    const recorded = recordOf(event);
    if (recorded !== undefined) appendFileSync(file, `${JSON.stringify(recorded)}\n`);
  }
  yield '';
}

function recordOf(event: TestEvent): RecordedEvent | undefined {
  switch (event.type) {
    case 'test:dequeue':
      return { kind: 'began', name: event.data.name, nesting: event.data.nesting };
    case 'test:complete':
      return { kind: 'ended', name: event.data.name, nesting: event.data.nesting };
    case 'test:pass': {
      const { name, skip, todo, details } = event.data;
      return {
        kind: 'passed',
        name,
        isSuite: details.type === 'suite',
        omitted: (skip ?? false) !== false || (todo ?? false) !== false,
      };
    }
    case 'test:fail':
      return failure(event.data.name, event.data.details.error);
    case 'test:summary':
      return { kind: 'finished' };
    default:
      return undefined;
  }
}

/** A parent that fails because of its subtests is no failure of its own. */
function failure(name: string, error: Error & { failureType?: unknown }): RecordedEvent | undefined {
  if (error.failureType === 'subtestsFailed') return undefined;
  const cause = error.cause ?? error;
  const text = typeof cause === 'string' ? cause : inspect(cause, { depth: 4 });
  return { kind: 'failed', name, error: text.length > longestError ? `${text.slice(0, longestError)}\n…` : text };
}
