/**
 * The configuration of a server as files: what its settings name and what those files include, wherever it lies. The
 * server itself reads them, with its own rights, so whoever owns them gets no more than it can read; sizes and counts
 * are bounded. pg_basebackup takes neither what lies outside of the data directory nor links in it.
 */
import { posix } from 'node:path';
import { z } from 'zod';
import { faultIn } from '../../../config/schema-words.ts';
import { LifeboatError } from '../../../lib/errors.ts';
import type { EventSink } from '../../../lib/events.ts';
import { collectAtMost } from '../../../lib/bounded-read.ts';
import { parseJson } from '../../../lib/json.ts';
import type { Artifact, ArtifactReader } from '../../source.ts';
import type { Connection } from '../server/connection.ts';
import { configurationArtifact } from './artifacts.ts';
import type { ClusterFacts } from './facts.ts';
import { includesIn, settingFiles, type ConfigurationKind } from './configuration-text.ts';

const maxFileBytes = 1024 * 1024;
const maxFiles = 200;
const maxBytes = 8 * 1024 * 1024;
/** With its base64. */
const maxArtifactBytes = 2 * maxBytes;

/** The server's: absolute, and nothing in it leads upward. */
const pathSchema = z.string().refine((path) => path.startsWith('/') && isPlain(path), 'it is no plain absolute path');

const configurationSchema = z.strictObject({
  format: z.literal(1),
  dataDirectory: pathSchema,
  files: z
    .array(
      z.strictObject({
        path: pathSchema,
        /** Whose syntax it has; the first of a kind is the one that the setting names. */
        kind: z.enum(settingFiles),
        base64: z.string().max(2 * maxFileBytes),
      }),
    )
    .max(maxFiles),
});

/** Absolute paths as the server names them. */
export type Configuration = z.infer<typeof configurationSchema>;

export interface ReadConfiguration {
  readonly configuration: Configuration;
  /** What is named but could not be read. */
  readonly unread: readonly { readonly path: string; readonly reason: string }[];
}

/** What the role that the backup runs as needs for it, in the database that the URL names. */
export const configurationRights =
  'GRANT pg_read_all_settings, pg_read_server_files TO …; GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, ' +
  'bigint, bigint, boolean), pg_ls_dir(text) TO … for the backup user, in the database that the URL names';

function isPlain(path: string): boolean {
  return posix.normalize(path) === path && !path.includes('\0') && (path === '/' || !path.endsWith('/'));
}

/** Undefined where the user may not see which files they are. */
export async function readConfiguration(connection: Connection): Promise<ReadConfiguration | undefined> {
  const rows = await connection.query(
    "SELECT name, setting FROM pg_settings WHERE name IN ('data_directory', 'config_file', 'hba_file', 'ident_file')",
  );
  const settings = new Map(rows.map((row) => [row['name'] ?? '', row['setting'] ?? '']));
  const dataDirectory = posix.resolve('/', settings.get('data_directory') ?? '');
  if (dataDirectory === '/') return undefined;
  const walk = new Walk(connection);
  for (const kind of settingFiles) {
    const path = settings.get(kind) ?? '';
    if (path.startsWith('/')) await walk.file(posix.normalize(path), kind, { isNeeded: true });
  }
  return { configuration: { format: 1, dataDirectory, files: walk.files }, unread: walk.unread };
}

/** The artifact of what was read, and a warning for what lies outside of the data directory and was not. */
export function* configurationIn(
  read: ReadConfiguration | undefined,
  emit: EventSink,
): Generator<Artifact, void, void> {
  if (read === undefined) {
    const message = 'this user may not see which configuration files lie outside of the data directory';
    emit({ type: 'step', component: 'base', message: `${message}: they are not in the base backup` });
    return;
  }
  const [first, ...others] = lacksOf(read);
  if (first !== undefined) {
    const more = others.length > 0 ? ` (and ${others.length} more)` : '';
    const message = `a file of the server's configuration is not in the base backup: ${first}${more}`;
    emit({ type: 'warning', component: 'base', message: `${message}; the user needs: ${configurationRights}` });
  }
  if (hasMain(read)) yield artifactOf(read.configuration);
}

/** What the facts say of it. */
export function configurationFacts(read: ReadConfiguration | undefined): Pick<ClusterFacts, 'configuration'> {
  if (read === undefined || !hasMain(read)) return {};
  return { configuration: { files: read.configuration.files.length, lacks: lacksOf(read) } };
}

/** What is missing in a base backup: pg_basebackup takes what lies in the data directory. */
export function lacksOf({ configuration: { dataDirectory }, unread }: ReadConfiguration): string[] {
  return unread
    .filter(({ path }) => !path.startsWith(`${dataDirectory}/`))
    .map(({ path, reason }) => `${path}: ${reason}`);
}

function hasMain({ configuration: { files } }: ReadConfiguration): boolean {
  return files.some(({ kind }) => kind === 'config_file');
}

/** See configurationSchema. */
function artifactOf(configuration: Configuration): Artifact {
  const body = Buffer.from(JSON.stringify(configuration));
  const stream = async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(body);
  };
  return { name: configurationArtifact, mediaType: 'application/json', body: { from: 'stream', stream: stream() } };
}

/** What a base backup holds of it; undefined: nothing. Throws LifeboatError `integrity`. */
export async function recordedConfiguration(reader: ArtifactReader): Promise<Configuration | undefined> {
  if (!reader.artifacts.some(({ name }) => name === configurationArtifact)) return undefined;
  const bytes = await collectAtMost(reader.open(configurationArtifact), maxArtifactBytes, configurationArtifact);
  return parseConfiguration(bytes.toString());
}

function parseConfiguration(text: string): Configuration {
  const parsed = configurationSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new LifeboatError('integrity', `${configurationArtifact} cannot be read: ${faultIn(parsed.error)}`);
}

class Walk {
  readonly files: Configuration['files'] = [];
  readonly unread: { readonly path: string; readonly reason: string }[] = [];
  readonly #connection: Connection;
  #bytes = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async file(path: string, kind: ConfigurationKind, { isNeeded = false } = {}): Promise<void> {
    if (this.files.some((each) => each.path === path && each.kind === kind)) return;
    if (this.files.length >= maxFiles) return this.#lacks(path, `there are more than ${maxFiles} files`);
    const content = await this.#read(path, isNeeded);
    if (content === undefined) return;
    this.#bytes += content.length;
    if (this.#bytes > maxBytes) return this.#lacks(path, `all together have more than ${maxBytes} bytes`);
    this.files.push({ path, kind, base64: content.toString('base64') });
    for (const include of includesIn(content.toString('latin1'), kind)) {
      const named = posix.resolve(posix.dirname(path), utf8Of(include.path));
      if (include.isFolder) await this.#folder(named, kind);
      else await this.file(named, kind, { isNeeded: !include.isOptional });
    }
  }

  /** As the server does it: names that end in .conf and do not begin with a dot. */
  async #folder(path: string, kind: ConfigurationKind): Promise<void> {
    const names = await this.#asked(path, 'SELECT name FROM pg_ls_dir($1) AS name ORDER BY name COLLATE "C"');
    for (const row of names ?? []) {
      const name = row['name'] ?? '';
      if (/^[^.].*\.conf$/.test(name)) await this.file(posix.join(path, name), kind);
    }
  }

  async #read(path: string, isNeeded: boolean): Promise<Buffer | undefined> {
    const rows = await this.#asked(
      path,
      `SELECT encode(pg_read_binary_file($1, 0, ${maxFileBytes + 1}, true), 'base64') AS content`,
    );
    if (rows === undefined) return undefined;
    const text = rows[0]?.['content'] ?? undefined;
    const content = text === undefined ? undefined : Buffer.from(text, 'base64');
    if (content !== undefined && content.length <= maxFileBytes) return content;
    if (content !== undefined) this.#lacks(path, `it has more than ${maxFileBytes} bytes`);
    else if (isNeeded) this.#lacks(path, 'it is not there');
    return undefined;
  }

  async #asked(path: string, sql: string): Promise<readonly Readonly<Record<string, string | null>>[] | undefined> {
    try {
      return await this.#connection.query(sql, [path]);
    } catch (error) {
      if (!(error instanceof LifeboatError)) throw error;
      this.#lacks(path, error.message);
      return undefined;
    }
  }

  #lacks(path: string, reason: string): void {
    this.unread.push({ path, reason });
  }
}

function utf8Of(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString();
}
