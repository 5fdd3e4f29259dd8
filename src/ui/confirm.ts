/** Asking before something is overwritten: the name is typed on a terminal, or stands in --confirm. */
import { LifeboatError } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';
import { write, type CliIo } from './terminal.ts';

export interface ConfirmQuestion {
  readonly name: string;
  readonly consequences: readonly string[];
}

/** Resolves if the right name was given; else LifeboatError `confirmation` (18). Never asks without a terminal. */
export async function confirmByName(
  io: CliIo,
  given: string | undefined,
  question: ConfirmQuestion,
  signal?: AbortSignal,
): Promise<void> {
  const { name, consequences } = question;
  if (given === name) return;
  const what = consequences.join('; ');
  if (given !== undefined) throw refused(`--confirm=${given} is not the name "${name}"`, what, name);
  if (io.stdin.isTTY !== true || io.stderr.isTTY !== true) throw refused('confirmation is needed', what, name);
  await write(
    io.stderr,
    `${consequences.map((line) => `  ${printable(line)}\n`).join('')}Type ${printable(name)} to go on: `,
  );
  if ((await readLine(io, signal)) !== name) throw refused('the name was not typed', what, name);
}

function refused(why: string, what: string, name: string): LifeboatError {
  return new LifeboatError('confirmation', `${why}: ${what}`, {
    state: 'nothing was changed',
    hint: `to go on without a question: --confirm=${name}`,
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
