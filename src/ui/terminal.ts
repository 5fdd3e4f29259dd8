/** The streams of a run and what they can do: colours, columns, questions. */
import type { Readable, Writable } from 'node:stream';
import { printableText } from '../lib/printable.ts';

export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface CliIo {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
}

/** True if progress may be drawn: a terminal that has columns, and nobody's build log. */
export function isInteractive({ stderr, env }: CliIo): boolean {
  return stderr.isTTY === true && (stderr.columns ?? 0) > 0 && !isSet(env['CI']) && env['TERM'] !== 'dumb';
}

/** False where nobody sees colours or they are not wanted. */
export function hasColours(stream: OutputStream, env: CliIo['env'], wanted: boolean): boolean {
  // NO_COLOR counts with any value but an empty one, "0" included (no-color.org).
  return (
    wanted && stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && !isSet(env['CI']) && env['TERM'] !== 'dumb'
  );
}

/** What paints text for one stream, or leaves it as it is. To be printed by write() only, which knows its marks. */
export interface Paint {
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
}

/** See Paint. */
export async function colours(stream: OutputStream, env: CliIo['env'], wanted: boolean): Promise<Paint> {
  if (!hasColours(stream, env, wanted)) return { green: String, yellow: String, red: String };
  const { Chalk } = await import('chalk');
  const chalk = new Chalk({ level: 1 });
  const { randomUUID } = await import('node:crypto');
  const mark = (ourMark ??= `<${randomUUID()}>`);
  const marked =
    (paint: (text: string) => string) =>
    (text: string): string =>
      paint(printableText(text)).replaceAll('\u001b[', mark);
  return { green: marked(chalk.green), yellow: marked(chalk.yellow), red: marked(chalk.red) };
}

/** Stands for the beginning of each colour sequence until it is written: no foreign text can know it. */
let ourMark: string | undefined;

/**
 * Writes text, and of what is not text only the colours that colours() painted: whatever a name or an answer holds, it
 * does not drive the terminal. In JSON the escapes mean what they stand for. Resolves once it is handed on; a reader
 * that has gone away is no error.
 */
export async function write(stream: Writable, text: string, lineEnd = '\n'): Promise<void> {
  if (stream.destroyed || stream.errored !== null) return;
  const plain = printableText(text);
  const safe = ourMark === undefined ? plain : plain.replaceAll(new RegExp(`${ourMark}(\\d+)m`, 'g'), '\u001b[$1m');
  await new Promise<void>((resolve, reject) => {
    stream.write(lineEnd === '\n' ? safe : safe.replaceAll('\n', lineEnd), (error) => {
      if (error === null || error === undefined || (error as { code?: unknown }).code === 'EPIPE') resolve();
      else reject(error);
    });
  });
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== 'false' && value !== '0';
}
