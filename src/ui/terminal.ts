/** The streams of a run and what they can do: colours, columns, questions. */
import type { Readable, Writable } from 'node:stream';
import type { ChalkInstance } from 'chalk';

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

/** What paints text for one stream, or leaves it as it is. */
export async function colours(stream: OutputStream, env: CliIo['env'], wanted: boolean): Promise<ChalkInstance> {
  const { Chalk } = await import('chalk');
  return new Chalk({ level: hasColours(stream, env, wanted) ? 1 : 0 });
}

/** Resolves once the text is handed on; a reader that has gone away is no error. */
export async function write(stream: Writable, text: string): Promise<void> {
  if (stream.destroyed || stream.errored !== null) return;
  await new Promise<void>((resolve, reject) => {
    stream.write(text, (error) => {
      if (error === null || error === undefined || (error as { code?: unknown }).code === 'EPIPE') resolve();
      else reject(error);
    });
  });
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== 'false' && value !== '0';
}
