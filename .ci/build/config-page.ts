/** lifeboat.config(5): keys from the configuration's schema, names from the table of environment variables. */
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { names } from '../../src/config/names.ts';
import { entry, literal, page, paragraph, plain } from './roff.ts';

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

/** The page. */
export function configPage(): string {
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
        ...paragraph(
          'What comes in the environment (keys, passphrases, URLs, PGPASSWORD, AWS_ keys) is taken out of it at the ' +
            'start, so that /proc/PID/environ of lifeboat does not show it, and no core file is written. The ' +
            'environment of what starts it (cron, npm, a shell) still shows it: a file that only its user may read ' +
            'is better.',
        ),
      ],
    ],
    [
      'Environment file',
      [
        ...paragraph(
          'The file that --env-file or the key envFile names holds NAME=value lines, UTF-8, at most 1 MiB, ' +
            'read as if they stood in the environment; what does stand there wins. Empty lines and those that ' +
            'begin with # or ; are passed over, and export before a name is. A value is what stands behind ' +
            "the = without the blanks around it, a # in it included. In '…' everything stands for itself; in " +
            '"…" the characters ", \\, $ and ` are written with a \\ before them. Quoted values may go over ' +
            'several lines, and a comment may stand behind them. systemd and docker read the same from such ' +
            'lines but for quotes, which docker keeps. What is read differently elsewhere is refused with the ' +
            'number of its line, like all else that cannot be read: outside of quotes a # behind a blank, and ' +
            'a backslash.',
        ),
        ...paragraph('One line end at the end of a value is dropped, wherever it comes from.'),
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
    ['See also', [plain('lifeboat(1), lifeboat-config(1), lifeboat-hooks(7), lifeboat-repository(7)')]],
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
