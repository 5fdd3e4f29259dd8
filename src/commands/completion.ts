/** lifeboat completion */
import { Argument, type Command, type Option } from 'commander';
import type { CommandNode, FlagNode } from '../ui/completion-view.ts';
import { oneOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

export function declare(command: Command, session: Session): void {
  command
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').argParser(oneOf(shells)))
    .action(async (shell: (typeof shells)[number]) => {
      const { completionScript, completionView } = await import('../ui/completion-view.ts');
      await session.show(
        { shell, script: completionScript(shell, nodeOf(await session.declareAll())) },
        completionView,
      );
    });
}

function nodeOf(command: Command): CommandNode {
  return {
    name: command.name(),
    sentence: command.description(),
    flags: command.options.filter(({ hidden }) => !hidden).map(flagOf),
    commands: command.commands.map(nodeOf),
  };
}

function flagOf({ short, long, description, flags, required, optional }: Option): FlagNode {
  const names = [long, short].filter((name) => name !== undefined);
  if (!required && !optional) return { names, sentence: description, value: undefined };
  return { names, sentence: description, value: /[<[](file|folder|dir|path)/.test(flags) ? 'file' : 'other' };
}
