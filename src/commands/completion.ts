/** lifeboat completion */
import { Argument, type Command, Option } from 'commander';
import { nameKinds, type NameKind } from '../operations/list/names.ts';
import type { CommandNode, FlagNode } from '../ui/completion-view.ts';
import { oneOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

export function declare(command: Command, session: Session): void {
  command
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').argParser(oneOf(shells)))
    .addOption(
      new Option('--names <kind>', 'for the script: names that there are').hideHelp().argParser(oneOf(nameKinds)),
    )
    .action(async (shell: (typeof shells)[number], { names: kind }: { readonly names?: NameKind }) => {
      if (kind !== undefined) return listNames(kind, session);
      const { completionScript, completionView } = await import('../ui/completion-view.ts');
      await session.show(
        { shell, script: completionScript(shell, nodeOf(await session.declareAll())) },
        completionView,
      );
    });
}

async function listNames(kind: NameKind, session: Session): Promise<void> {
  await session.perform({
    operation: async () => (await import('../operations/list/names.ts')).namesOperation,
    options: { kind },
    view: async () => (await import('../ui/completion-view.ts')).namesView,
  });
}

function nodeOf(command: Command): CommandNode {
  return {
    name: command.name(),
    names: namesFor(command),
    sentence: command.description(),
    flags: command.options.filter(({ hidden }) => !hidden).map(flagOf),
    commands: command.commands.map(nodeOf),
  };
}

/** What the words after it are, by what the command calls them. */
function namesFor(command: Command): NameKind | undefined {
  const [first] = command.registeredArguments;
  if (first?.name() === 'channel') return 'channels';
  if (first?.name() !== 'id') return undefined;
  return command.parent?.name() === 'schedule' ? 'schedules' : 'backups';
}

function flagOf({ short, long, description, flags, required, optional }: Option): FlagNode {
  const names = [long, short].filter((name) => name !== undefined);
  if (!required && !optional) return { names, sentence: description, value: undefined };
  if (long === '--target') return { names, sentence: description, value: 'target' };
  return { names, sentence: description, value: /[<[](file|folder|dir|path)/.test(flags) ? 'file' : 'other' };
}
