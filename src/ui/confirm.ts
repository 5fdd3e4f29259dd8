/** Asking before something is overwritten: the name is typed on a terminal, or stands in --confirm. */
import { LifeboatError } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';
import { write, type CliIo } from './terminal.ts';

export interface ConfirmQuestion {
  readonly name: string;
  /** Taken from --confirm, too. */
  readonly wider?: string;
  readonly consequences: readonly string[];
  /** Shown before. */
  readonly details?: readonly string[];
  /** Which flag answers it. Default: `--confirm=<name>`. */
  readonly flag?: string;
}

/** Resolves if the right name was given; else LifeboatError `confirmation` (18). Never asks without a terminal. */
export async function confirmByName(
  io: CliIo,
  given: string | undefined,
  question: ConfirmQuestion,
  signal?: AbortSignal,
): Promise<void> {
  const { name, consequences, details = [], flag = `--confirm=${name}` } = question;
  if (given === name || (given !== undefined && given === question.wider)) return;
  const what = consequences.join('; ');
  if (given !== undefined) throw refused(`--confirm=${given} is not the name "${name}"`, what, flag);
  if (io.stdin.isTTY !== true || io.stderr.isTTY !== true) throw refused('confirmation is needed', what, flag);
  const lines = [...details, ...consequences.map((line) => `  ${line}`)].map((line) => `${printable(line)}\n`);
  await write(io.stderr, `${lines.join('')}Type ${printable(name)} to go on: `);
  if ((await readLine(io, signal)) !== name) throw refused('the name was not typed', what, flag);
}

function refused(why: string, what: string, flag: string): LifeboatError {
  return new LifeboatError('confirmation', `${why}: ${what}`, {
    state: 'nothing was changed',
    hint: `to go on without a question: ${flag}`,
  });
}

/** Empty at the end of input and when aborted. */
async function readLine(io: CliIo, signal: AbortSignal | undefined): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: io.stdin, terminal: false, ...(signal === undefined ? {} : { signal }) });
  try {
    for await (const line of lines) return line.trim();
    return '';
  } finally {
    lines.close();
  }
}
