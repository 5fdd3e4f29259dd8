/**
 * The command line's shell: the only place where an error becomes a message and an exit code. What a
 * command needs is loaded when it is called: `lifeboat --version` reads package.json and no more.
 */
import { processEnvironment } from './config/process-environment.ts';
import { hookExitCode, serverHookOf } from './lib/server-hooks.ts';
import { systemFailure } from './lib/file-errors.ts';
import { programVersion } from './lib/version.ts';
import { exitCodeFor, failureDocument, failureText } from './ui/failure.ts';
import { write, type CliIo, type OutputStream } from './ui/terminal.ts';

/**
 * Runs one command line (without node and script) and resolves to its exit code; never rejects. The caller sets
 * process.exitCode: process.exit would cut what is still on its way into a pipe.
 */
export async function run(argv: readonly string[], io: CliIo = processIo()): Promise<number> {
  toleratePipeEnd(io.stdout);
  toleratePipeEnd(io.stderr);
  try {
    if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
      await write(io.stdout, `${programVersion()}\n`);
      return 0;
    }
    const { runProgram } = await import('./program.ts');
    return await runProgram(argv, io);
  } catch (error) {
    return tellFailure(systemFailure(error), argv, io);
  }
}

async function tellFailure(error: unknown, argv: readonly string[], io: CliIo): Promise<number> {
  // The flags are looked for by hand: the error may be that they could not be parsed.
  const flags = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : argv.length);
  if (flags.includes('--json')) await write(io.stdout, `${JSON.stringify(failureDocument(error))}\n`);
  if (!flags.includes('--json') || flags.includes('--debug')) {
    await write(io.stderr, failureText(error, flags.includes('--debug')));
  }
  return hookExitCode(serverHookOf(flags), exitCodeFor(error));
}

function processIo(): CliIo {
  return {
    // Opened when something is asked.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: processEnvironment(),
    cwd: process.cwd(),
  };
}

const tolerated = new WeakSet<OutputStream>();

/** `lifeboat list | head -1`: a reader that has seen enough is no failure. */
function toleratePipeEnd(stream: OutputStream): void {
  if (tolerated.has(stream)) return;
  tolerated.add(stream);
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode = 1;
  });
}
