/**
 * The manual pages and JSON Schemas, made from what the program itself knows: flags from commander, keys
 * from the configuration's schema, names from the table of environment variables, exit codes from the table of errors.
 */
import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { names } from '../../src/config/names.ts';
import { exitCodeOf, exitCodeWarnings, type ErrorCode } from '../../src/lib/errors.ts';
import { commands, declareAll } from '../../src/program.ts';
import { documentJsonSchema, documents, type DocumentName } from '../../src/ui/json/documents.ts';
import { entry, literal, page, paragraph, plain } from './roff.ts';

/** Every generated file by its path from the project's root. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const nowhere = new PassThrough();
  const program = await declareAll({ stdin: nowhere, stdout: nowhere, stderr: nowhere, env: {}, cwd: '/' });
  const files = new Map<string, string>([
    ['man/lifeboat.1', programPage(program)],
    ['man/lifeboat.config.5', configPage()],
    ['src/schemas/lifeboat.config.json', json(configJsonSchema())],
  ]);
  for (const command of program.commands) files.set(`man/lifeboat-${command.name()}.1`, commandPage(command, program));
  for (const name of Object.keys(documents) as DocumentName[]) {
    files.set(`src/schemas/lifeboat.${name}.v1.json`, json(documentJsonSchema(name)));
  }
  return files;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
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

function optionEntries(command: Command): string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .flatMap((option) => entry(help.optionTerm(option), help.optionDescription(option)));
}

function synopsis(command: Command, prefix: string): string {
  return `${prefix} ${command
    .createHelp()
    .commandUsage(command)
    .replace(/^.*?\[options\]/, '[options]')}`;
}

function programPage(program: Command): string {
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
      'See also',
      [
        plain(
          [
            ...commands.map(({ name }) => `lifeboat-${name}(1)`),
            'lifeboat.config(5)',
            'lifeboat-repository(7)',
            'lifeboat-wal(7)',
          ].join(', '),
        ),
      ],
    ],
  ]);
}

/** Where a command's subject is described as a whole. */
const furtherPages: Readonly<Record<string, readonly string[]>> = {
  backup: ['lifeboat-wal(7)'],
  cleanup: ['lifeboat-repository(7)'],
  'create-restore-point': ['lifeboat-pitr(1)', 'lifeboat-wal(7)'],
  init: ['lifeboat-wal(7)'],
  integrity: ['lifeboat-validate(1)', 'lifeboat-repository(7)'],
  keys: ['lifeboat-repository(7)'],
  pitr: ['lifeboat-restore(1)', 'lifeboat-wal(7)'],
  validate: ['lifeboat-integrity(1)', 'lifeboat-repository(7)'],
  wal: ['lifeboat-pitr(1)', 'lifeboat-wal(7)'],
};

function commandPage(command: Command, program: Command): string {
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
    ['Arguments', argumentEntries(command)],
    ['Commands', subcommands],
    [
      'Options',
      [
        ...optionEntries(command),
        ...paragraph(`Global options: ${program.options.map((option) => option.long).join(', ')}; see lifeboat(1).`),
      ],
    ],
    ['Exit status', paragraph('See lifeboat(1).')],
    ['See also', [plain(['lifeboat(1)', 'lifeboat.config(5)', ...(furtherPages[name] ?? [])].join(', '))]],
  ]);
}

function argumentEntries(command: Command): string[] {
  return command.registeredArguments.flatMap((argument) => entry(argument.name(), argument.description));
}

/** The parts of JSON Schema that our configuration has. */
interface JsonSchema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly description?: string;
  readonly default?: unknown;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

function configPage(): string {
  const schema = configJsonSchema() as JsonSchema;
  return page('lifeboat.config', 5, 'configuration of lifeboat', [
    [
      'Description',
      [
        ...paragraph(
          'Flags win over the environment, the environment over the file, the file over defaults. lifeboat config ' +
            'show prints each value with its origin. All faults are told together; a key or a BACKUP_ name that is ' +
            'not known is a fault.',
        ),
        ...paragraph(
          'The file lifeboat.config.json is searched from the working directory upward, then in ' +
            '$XDG_CONFIG_HOME/lifeboat (else ~/.config/lifeboat), then in /etc/lifeboat; --config ' +
            'names another. It is JSON, and may have // and /* */ comments and commas before a ' +
            'closing bracket. Paths in it start from its own folder. A file found by the search ' +
            'that another user owns, or that everyone can write, is refused.',
        ),
      ],
    ],
    [
      'Example',
      literal([
        '{ "repository": "s3://bucket/prefix",',
        '  "encryption": {"key": {"file": "/etc/lifeboat/key"}},',
        '  "targets": {"main": {',
        '    "postgres": {"url": {"env": "DATABASE_URL"}, "databases": ["app"]},',
        '    "redis": {"url": {"env": "REDIS_URL"}},',
        '    "files": {"paths": ["/srv/uploads"], "exclude": ["*.tmp"]} }},',
        '  "retention": {"database": {"days": 30}, "redis": {"days": 7}} }',
      ]),
    ],
    [
      'Secrets',
      [
        ...paragraph(
          'A secret value is a text, {"env": NAME}, {"file": PATH} or {"command": [PROGRAM, ARGUMENT...]}. A ' +
            'program is started without a shell, must end within 30 seconds, and what it prints is the value. One ' +
            'line end at the end of a file or of what a program prints is dropped. Secrets are fetched only by ' +
            'commands that need them.',
        ),
      ],
    ],
    ['Keys', keyEntries(schema, schema.$defs ?? {}, '')],
    [
      'Environment',
      [
        ...paragraph(
          'The environment alone is enough: without "targets" in the file, DATABASE_URL (or PG ' +
            'variables), REDIS_URL and BACKUP_FILES make one target. Two accepted names of one ' +
            'thing may both be set if they say the same. What is set but empty is a fault. Names ' +
            'marked * are secrets, and may come as NAME_FILE (a path) or NAME_COMMAND (a program ' +
            'and its arguments; a JSON list where arguments hold blanks) instead.',
        ),
        ...names.flatMap(({ name, aliases, kind, meaning }) =>
          entry(
            `${name}${kind === 'secret' ? ' *' : ''}${aliases.length === 0 ? '' : ` (${aliases.join(', ')})`}`,
            meaning,
          ),
        ),
      ],
    ],
    ['See also', [plain('lifeboat(1), lifeboat-config(1), lifeboat-repository(7)')]],
  ]);
}

function keyEntries(schema: JsonSchema, definitions: Readonly<Record<string, JsonSchema>>, path: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, given]) => {
    const at = path === '' ? key : `${path}.${key}`;
    const found = resolve(given, definitions);
    const facts = [
      found.description ?? '',
      found.enum === undefined ? '' : `one of ${found.enum.join(', ')}`,
      isPlain(found.default) ? `default: ${JSON.stringify(found.default)}` : '',
    ];
    const lines = entry(at, facts.filter((fact) => fact !== '').join('; '));
    const inner =
      typeof found.additionalProperties === 'object'
        ? ([found.additionalProperties, '.NAME'] as const)
        : found.items === undefined
          ? undefined
          : ([found.items, '[]'] as const);
    const objects = found.anyOf?.filter((option) => option.properties !== undefined) ?? [];
    return [
      ...lines,
      ...(given.$ref === '#/$defs/secret' || isSecret(found)
        ? []
        : [...keyEntries(found, definitions, at), ...objects.flatMap((each) => keyEntries(each, definitions, at))]),
      ...(inner === undefined ? [] : keyEntries(resolve(inner[0], definitions), definitions, `${at}${inner[1]}`)),
    ];
  });
}

/** What a reference points to, under the description that stands beside the reference. */
function resolve(schema: JsonSchema, definitions: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const reference = schema.$ref ?? schema.allOf?.[0]?.$ref;
  const target = reference === undefined ? undefined : definitions[reference.replace('#/$defs/', '')];
  return target === undefined ? schema : { ...target, ...schema };
}

function isSecret(schema: JsonSchema): boolean {
  return schema.anyOf?.some((option) => option.properties?.['command'] !== undefined) === true;
}

function isPlain(value: unknown): boolean {
  return value !== undefined && JSON.stringify(value) !== '{}' && JSON.stringify(value) !== '[]';
}
