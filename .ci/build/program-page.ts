/** lifeboat(1): what all commands have in common. */
import type { Command } from 'commander';
import { exitCodeOf, exitCodeWarnings, type ErrorCode } from '../../src/lib/errors.ts';
import { commands } from '../../src/command-list.ts';
import { optionEntries } from './command-entries.ts';
import { entry, literal, page, paragraph, plain } from './roff.ts';

/** The page. */
export function programPage(program: Command): string {
  return page('lifeboat', 1, 'back up, prove and restore PostgreSQL, Redis and file trees', [
    ['Synopsis', [plain('lifeboat [options] command [options] [arguments]')]],
    [
      'Commands',
      program.commands.flatMap((command) =>
        entry(command.name(), `${command.description()}; see lifeboat-${command.name()}(1)`),
      ),
    ],
    [
      'Options',
      [...paragraph('These are accepted before and after the name of a command.'), ...optionEntries(program)],
    ],
    [
      'Output',
      [
        ...paragraph(
          'Standard output is the result, standard error is talk. With --json every command prints one JSON ' +
            'document, failures and usage errors included; its member "schema" names the JSON Schema ' +
            '(lifeboat.<command>/v1) that it fits. Times are RFC 3339 in UTC, sizes bytes.',
        ),
        ...paragraph(
          'Progress is drawn on a terminal that has columns, and never under CI; otherwise steps are plain lines. ' +
            'There are no colours under NO_COLOR or TERM=dumb. With --quiet nothing is printed on success, so cron ' +
            'sends no mail.',
        ),
        ...paragraph(
          'Nothing is asked where there is no terminal. What would overwrite or drop something wants the name ' +
            'typed, or --confirm=name.',
        ),
      ],
    ],
    [
      'Signals',
      paragraph(
        'SIGINT, SIGTERM and SIGHUP end the work in good order: children are ended and leases released. A second ' +
          'one ends the process at once. SIGUSR1 prints one line of progress on standard error.',
      ),
    ],
    ['Exit status', exitStatus()],
    ['Environment', paragraph('Every setting can come from the environment; see lifeboat.config(5).')],
    [
      'Files',
      [
        ...entry(
          'lifeboat.config.json',
          'the configuration, searched from the working directory upward, then in ~/.config/lifeboat and /etc/lifeboat',
        ),
        ...entry(
          'STATE',
          'so the pages of the commands call the folder where this host keeps its state: /var/lib/lifeboat for root, ' +
            'else $XDG_STATE_HOME/lifeboat (~/.local/state/lifeboat), ' +
            'unless stateDir or BACKUP_STATE_DIR names another',
        ),
      ],
    ],
    [
      'Examples',
      [
        ...paragraph('Set up, and take the first backup:'),
        ...literal(['lifeboat init --env-file env --repository file:///var/backups/shop', 'lifeboat backup']),
        ...paragraph('What is there, how it is, and what to do next:'),
        ...literal(['lifeboat list', 'lifeboat status']),
        ...paragraph('One database of the newest backup, beside the live one:'),
        ...literal(['lifeboat restore latest --only database --database shop --to-database shop_copy']),
      ],
    ],
    [
      'See also',
      [
        plain(
          [
            ...commands.map(({ name }) => `lifeboat-${name}(1)`),
            'lifeboat.config(5)',
            'lifeboat-hooks(7)',
            'lifeboat-repository(7)',
            'lifeboat-wal(7)',
          ].join(', '),
        ),
      ],
    ],
  ]);
}

const meanings: Readonly<Record<ErrorCode, string>> = {
  usage: 'usage or configuration',
  not_found: 'repository or backup not found',
  locked: 'locked by another run',
  key: 'wrong or missing key',
  source: 'source or target server unreachable, refused, or died',
  integrity: 'verification failed',
  space: 'not enough space, or over a size guard',
  tool: 'a tool is missing or its version does not fit',
  window: 'moment outside of the recoverable window',
  confirmation: 'confirmation needed',
  stale: 'the policy (age, failure rate) is not met',
  storage: 'storage failed, after retries',
};

function exitStatus(): string[] {
  const rows: (readonly [number, string])[] = [
    [0, 'done'],
    [1, 'unexpected: a bug'],
    [exitCodeWarnings, 'done, with warnings'],
    ...(Object.keys(meanings) as ErrorCode[]).map((code) => [exitCodeOf[code], meanings[code]] as const),
    [129, 'ended by SIGHUP'],
    [130, 'ended by SIGINT'],
    [143, 'ended by SIGTERM'],
  ];
  return [
    ...rows.toSorted(([a], [b]) => a - b).flatMap(([code, meaning]) => entry(String(code), meaning)),
    ...paragraph('Any other code means failure, too.'),
  ];
}
