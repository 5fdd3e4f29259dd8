/** How a failure is told: what failed, what state things are in, what to do; or one JSON document. */
import { AbortedError, LifeboatError, messageOf } from '../lib/errors.ts';
import { printableLines } from '../lib/printable.ts';
import { sourceStack } from '../lib/source-stack.ts';

/** Exit code of anything that was thrown. */
export function exitCodeFor(error: unknown): number {
  return error instanceof LifeboatError || error instanceof AbortedError ? error.exitCode : 1;
}

export interface FailureDocument {
  readonly schema: 'lifeboat.error/v1';
  /** The kind of failure; `bug` for what should not happen, `aborted` after a signal. */
  readonly code: string;
  readonly exitCode: number;
  readonly message: string;
  readonly hint?: string;
  readonly state?: string;
  readonly retryable: boolean;
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** The failure as a JSON document. */
export function failureDocument(error: unknown): FailureDocument {
  const common = { schema: 'lifeboat.error/v1', exitCode: exitCodeFor(error), message: messageOf(error) } as const;
  if (error instanceof AbortedError) return { ...common, code: 'aborted', retryable: true };
  if (!(error instanceof LifeboatError)) return { ...common, code: 'bug', hint: bugHint, retryable: false };
  return {
    ...common,
    code: error.code,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.state === undefined ? {} : { state: error.state }),
    retryable: error.retryable,
    ...(error.facts === undefined ? {} : { facts: error.facts }),
  };
}

const bugHint = 'this is a bug in lifeboat; run the same command with --debug and report what it prints';

/** The failure for people, with a line end. A stack is shown only when asked for. */
export function failureText(error: unknown, debug: boolean): string {
  const isOurs = error instanceof LifeboatError || error instanceof AbortedError;
  const lines = [`lifeboat: ${indented(error instanceof Error ? error.message : String(error))}`];
  if (error instanceof LifeboatError && error.state !== undefined) lines.push(`state: ${indented(error.state)}`);
  const hint = error instanceof LifeboatError ? error.hint : isOurs ? undefined : bugHint;
  if (hint !== undefined) lines.push(`hint: ${indented(hint)}`);
  if (debug) lines.push(...causes(error));
  return `${lines.join('\n')}\n`;
}

/** Further lines begin with blanks: no name that holds line ends can speak as we do ("hint: …"). */
function indented(text: string): string {
  return printableLines(text).replaceAll(/\n(?! )/g, '\n  ');
}

function causes(error: unknown): string[] {
  const stacks: string[] = [];
  for (let at = error; at instanceof Error && stacks.length < 10; at = at.cause) {
    stacks.push(indented(`${stacks.length === 0 ? '' : 'caused by: '}${sourceStack(at.stack ?? at.message)}`));
  }
  return stacks;
}
