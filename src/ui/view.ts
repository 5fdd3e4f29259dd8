/** How a result is shown: as text for people or one JSON document. */
import { exitCodeWarnings } from '../lib/errors.ts';
import { printableValue } from '../lib/printable.ts';
import { colours, write, type CliIo, type Paint } from './terminal.ts';

/** How results of one kind look. */
export interface View<R> {
  /** `lifeboat.<command>/v1`: the first member of the JSON document. */
  readonly schema: string;
  /** `action`: --quiet leaves the text out, but for a result that is a failure; a `query` is asked for its text. */
  readonly kind: 'action' | 'query';
  /** The result holds texts of several lines; elsewhere each text of it is brought onto one line before it is shown. */
  readonly hasLines?: true;
  /** Default: a line feed. */
  readonly lineEnd?: '\r\n';
  /** Without a line end at its end; empty: nothing is printed. */
  readonly text: (result: R, paint: Paint) => string | Promise<string>;
  /** The other members of the JSON document. Default: those of the result. */
  readonly document?: (result: R) => object;
}

/** Prints one result, which stands for that exit code, on stdout. */
export async function printResult<R>(
  io: CliIo,
  flags: { readonly json?: boolean; readonly quiet?: boolean; readonly color: boolean },
  result: R,
  view: View<R>,
  exitCode: number,
): Promise<void> {
  if (flags.json === true) return write(io.stdout, `${JSON.stringify(documentOf(result, view))}\n`);
  const isFailure = ![0, exitCodeWarnings].includes(exitCode);
  if (flags.quiet === true && view.kind === 'action' && !isFailure) return;
  const shown = view.hasLines === true ? result : printableValue(result);
  const text = await view.text(shown, await colours(io.stdout, io.env, flags.color));
  if (text !== '') await write(io.stdout, `${text}\n`, view.lineEnd);
}

/** The JSON document of a result. */
export function documentOf<R>(result: R, view: View<R>): object {
  return { schema: view.schema, ...(view.document?.(result) ?? (result as object)) };
}
