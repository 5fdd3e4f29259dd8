/** Runs the command line in this process, with streams that are caught. */
import { PassThrough } from 'node:stream';
import { run } from '../../../src/cli.ts';
import type { CliIo } from '../../../src/ui/terminal.ts';

export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliSurroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What is typed; makes stdin and stderr a terminal. */
  readonly typed?: string;
  /** Makes stdout a terminal with colours. */
  readonly colours?: boolean;
}

/**
 * Resolves once the command has ended. The environment is empty but for what is given; the working directory is one
 * without a configuration.
 */
export async function runCli(
  argv: readonly string[],
  { env = {}, cwd = '/', typed, colours = false }: CliSurroundings = {},
): Promise<CliResult> {
  const stdout = Object.assign(new Caught(), { isTTY: colours });
  const stderr = new Caught();
  const stdin = Object.assign(new PassThrough(), { isTTY: typed !== undefined });
  if (typed !== undefined) {
    Object.assign(stderr, { isTTY: true });
    stdin.end(`${typed}\n`);
  }
  const io: CliIo = { stdin, stdout, stderr, env, cwd };
  const exitCode = await run(argv, io);
  return { exitCode, stdout: stdout.text, stderr: stderr.text };
}

class Caught extends PassThrough {
  text = '';

  constructor() {
    super();
    this.setEncoding('utf8');
    this.on('data', (chunk: string) => {
      this.text += chunk;
    });
  }
}
