/** The command line as a whole: its flags, which command is meant, and what is wrong with it. */
import { Command, CommanderError } from 'commander';
import { commands } from './command-list.ts';
import { Session, type GlobalFlags } from './commands/shared/session.ts';
import { configFileName } from './config/discover.ts';
import { LifeboatError } from './lib/errors.ts';
import { programVersion } from './lib/version.ts';
import { write, type CliIo } from './ui/terminal.ts';

/**
 * Parses the arguments (without node and script) and runs the command. Resolves to the exit code; throws what failed,
 * usage errors as LifeboatError.
 */
export async function runProgram(argv: readonly string[], io: CliIo): Promise<number> {
  const { program, session } = buildProgram(io);
  program.hook('preSubcommand', async (_, command) => {
    const entry = commands.find(({ name }) => name === command.name());
    (await entry?.load())?.declare(command, session);
    if (argv[0] === 'help' || argv.includes('--help') || argv.includes('-h')) await describe(command);
  });
  try {
    await program.parseAsync(argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv], { from: 'user' });
    return session.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    throw usageError(error, program);
  }
}

/** Adds to a command's help what its manual has besides. */
async function describe(command: Command): Promise<void> {
  const { examplesOf } = await import('./manuals.ts');
  const { addExamples } = await import('./commands/shared/help-examples.ts');
  addExamples(command, await examplesOf(command.name()));
}

/** The program with every command fully declared: for manuals. */
export async function declareAll(io: CliIo): Promise<Command> {
  const { program, session } = buildProgram(io);
  for (const [index, entry] of commands.entries()) {
    const command = program.commands[index];
    if (command !== undefined) (await entry.load()).declare(command, session);
  }
  return program;
}

function buildProgram(io: CliIo): { program: Command; session: Session } {
  const program = new Command('lifeboat');
  const session = new Session(
    io,
    () => program.opts<GlobalFlags>(),
    () => declareAll(io),
  );
  program
    .description('Back up, prove and restore PostgreSQL, Redis and file trees.')
    .version(programVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    // commander's own help command would not load what the other commands declare.
    .helpCommand(false)
    .option('--config <file>', `configuration file (default: ${configFileName}, searched upward)`)
    .option('--env-file <file>', 'read NAME=value lines as if they stood in the environment')
    .option('--target <name>', 'which of the configured targets')
    .option('--json', 'print one JSON document')
    .option('-q, --quiet', 'print nothing on success')
    .option('--debug', 'print every step and, on failure, stacks')
    .option('--no-color', 'print without colours')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void write(io.stdout, text),
      // Usage errors are told by the caller, in one place with all others.
      writeErr: () => {},
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride();
  for (const { name, sentence } of commands) program.command(name).description(sentence);
  return { program, session };
}

/** commander's wording without its prefix and its line breaks; its suggestions in our form. */
function usageError(error: CommanderError, program: Command): LifeboatError {
  if (error.code === 'commander.help') {
    const group = program.args[0];
    if (group !== undefined && commands.some(({ name }) => name === group)) {
      return new LifeboatError('usage', `${group} wants one of its commands named`, {
        hint: `see: lifeboat ${group} --help`,
      });
    }
    const names = commands.map(({ name }) => name).join(', ');
    return new LifeboatError('usage', 'no command was named', {
      hint: `the commands are: ${names}; see lifeboat --help`,
    });
  }
  const message = error.message
    .replace(/^error: /, '')
    .replace(
      /\s*\n\s*\(Did you mean (?:one of )?(.*)\?\)$/,
      (_, words: string) => ` (did you mean "${words.split(', ')[0]}"?)`,
    )
    .replace(/\.$/, '');
  const command = program.args[0];
  const known = commands.some(({ name }) => name === command);
  return new LifeboatError('usage', message, { hint: `see: lifeboat ${known ? `${command} ` : ''}--help` });
}
