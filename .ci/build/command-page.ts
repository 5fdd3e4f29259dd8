/** The manual page of one command: its flags from commander, its words from src/commands/manual/. */
import type { Command } from 'commander';
import { exitCodeOf, exitCodeWarnings } from '../../src/lib/errors.ts';
import type { Manual } from '../../src/commands/shared/manual-page.ts';
import { argumentEntries, optionEntries, synopsis } from './command-entries.ts';
import { entry, literal, page, paragraph, plain } from './roff.ts';

/** `program` is asked for the flags that stand everywhere. */
export function commandPage(command: Command, program: Command, manual: Manual): string {
  const name = command.name();
  const subcommands = command.commands.flatMap((sub) => [
    '.SS',
    plain(synopsis(sub, `lifeboat ${name} ${sub.name()}`)),
    ...paragraph(sub.description()),
    ...argumentEntries(sub),
    ...optionEntries(sub),
  ]);
  return page(`lifeboat-${name}`, 1, command.description(), [
    ['Synopsis', [plain(synopsis(command, `lifeboat ${name}`))]],
    ['Description', manual.description.flatMap(paragraph)],
    ['Arguments', argumentEntries(command)],
    ['Commands', subcommands],
    [
      'Options',
      [
        ...optionEntries(command),
        ...paragraph(`Global options: ${program.options.map((option) => option.long).join(', ')}; see lifeboat(1).`),
      ],
    ],
    ['Exit status', ownExitStatus(manual)],
    ['Environment', environment(manual)],
    ['Files', manual.files.flatMap(([path, use]) => entry(path, use))],
    ['Examples', manual.examples.flatMap(({ line, purpose }) => [...paragraph(purpose), ...literal([line])])],
    ['See also', [plain(['lifeboat(1)', 'lifeboat.config(5)', ...manual.seeAlso].join(', '))]],
  ]);
}

/** In the order of the codes, those that a server asks for at the end. */
function ownExitStatus({ exits, serverExits = [] }: Manual): string[] {
  const codeOf = { done: 0, warnings: exitCodeWarnings, ...exitCodeOf };
  const own = (Object.keys(exits) as (keyof typeof exits)[]).map((outcome): readonly [number, string] => [
    codeOf[outcome],
    exits[outcome] ?? '',
  ]);
  return [
    ...own.toSorted(([a], [b]) => a - b).flatMap(([code, meaning]) => entry(String(code), meaning)),
    ...entry('1', 'unexpected: a bug'),
    ...entry('129, 130, 143', 'ended in good order by SIGHUP, SIGINT or SIGTERM'),
    ...serverExits.flatMap(([codes, meaning]) => entry(codes, meaning)),
  ];
}

function environment({ environment: own = [] }: Manual): string[] {
  return [
    ...own.flatMap(([name, use]) => entry(name, use)),
    ...paragraph('Every setting can come from the environment, too; see lifeboat.config(5).'),
  ];
}
