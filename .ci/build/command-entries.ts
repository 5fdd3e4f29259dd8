/** What commander knows of a command, as entries of a manual page. */
import type { Command } from 'commander';
import { entry } from './roff.ts';

/** Its flags, `--help` included. */
export function optionEntries(command: Command): string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .flatMap((option) => entry(help.optionTerm(option), help.optionDescription(option)));
}

/** How it is called; `prefix` is its full name. */
export function synopsis(command: Command, prefix: string): string {
  return `${prefix} ${command
    .createHelp()
    .commandUsage(command)
    .replace(/^.*?\[options\]/, '[options]')}`;
}

/** Its arguments. */
export function argumentEntries(command: Command): string[] {
  return command.registeredArguments.flatMap((argument) => entry(argument.name(), argument.description));
}
