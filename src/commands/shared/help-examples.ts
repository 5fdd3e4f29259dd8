/** The end of `--help`: two command lines to begin with. */
import type { Command } from 'commander';
import type { Example } from './manual-page.ts';

const shownAtMost = 2;

/** Adds examples to the help of a command, and to that of each of its subcommands its own. */
export function addExamples(command: Command, examples: readonly Example[]): void {
  addText(command, examples);
  for (const sub of command.commands) {
    const beginning = `lifeboat ${command.name()} ${sub.name()}`;
    addText(
      sub,
      examples.filter(({ line }) => line === beginning || line.startsWith(`${beginning} `)),
    );
  }
}

function addText(command: Command, examples: readonly Example[]): void {
  if (examples.length === 0) return;
  const lines = examples.slice(0, shownAtMost).flatMap(({ line, purpose }) => [`  # ${purpose}`, `  ${line}`]);
  command.addHelpText('after', ['', 'Examples:', ...lines].join('\n'));
}
