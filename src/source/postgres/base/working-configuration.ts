/**
 * A configuration that works in a recovered data directory, made of the one that the server had: every file stands in
 * the directory, what they include is named there, and nothing leads back to the old cluster's place (its data
 * directory above all: data_directory in a file counts more than pg_ctl -D). What is changed is behind "#lifeboat:".
 */
import { posix } from 'node:path';
import type { Configuration } from './configuration.ts';
import {
  includeIn,
  quoted,
  settingIn,
  withLists,
  type ConfigurationKind,
  type Include,
  type Setting,
} from './configuration-text.ts';

/** Text is latin1: a byte a character. */
export interface WorkingFile {
  /** Below the data directory; latin1 as well. */
  readonly name: string;
  readonly text: string;
}

export interface WorkingConfiguration {
  readonly files: readonly WorkingFile[];
  /** What they set; of a setting that stands in several, what was read last. Without postgresql.auto.conf. */
  readonly settings: ReadonlyMap<string, string>;
  /** Includes that lead to a file that is not in the backup, by the file that they stand in. */
  readonly dropped: readonly string[];
}

export const mainNames = {
  config_file: 'postgresql.conf',
  hba_file: 'pg_hba.conf',
  ident_file: 'pg_ident.conf',
} as const;
const mark = '#lifeboat: ';

/** These lead to the old cluster, or to what only one server may have. */
const ofOldPlace = new Set([
  'data_directory',
  'config_file',
  'hba_file',
  'ident_file',
  'external_pid_file',
  'stats_temp_directory',
]);

export function workingConfiguration(configuration: Configuration): WorkingConfiguration {
  const places = new Places(configuration);
  const settings = new Map<string, string>();
  const files = configuration.files.map(({ path, kind, base64 }): WorkingFile => {
    const lines = Buffer.from(base64, 'base64').toString('latin1').split('\n');
    const text = lines.map((line) => workingLine(line, { path, kind }, places)).join('\n');
    return { name: bytesOf(places.nameOf(path, kind)), text };
  });
  for (const { kind, base64 } of configuration.files) {
    if (kind !== 'config_file') continue;
    const text = Buffer.from(base64, 'base64').toString('latin1');
    for (const { name, value } of settingsIn(text)) settings.set(name, value);
  }
  return { files, settings, dropped: places.dropped };
}

/** Settings of a file like postgresql.conf, in their order. */
export function settingsIn(text: string): Setting[] {
  return text.split('\n').flatMap((line) => settingIn(line) ?? []);
}

/** Text of settings without what leads to the old cluster. */
export function withoutOldPlace(text: string): string {
  return text
    .split('\n')
    .map((line) => (isOfOldPlace(line) ? mark + line : line))
    .join('\n');
}

function isOfOldPlace(line: string): boolean {
  return ofOldPlace.has(settingIn(line)?.name ?? '');
}

interface Where {
  readonly path: string;
  readonly kind: ConfigurationKind;
}

function workingLine(line: string, file: Where, places: Places): string {
  const include = includeIn(line, file.kind);
  if (include !== undefined) return workingInclude(line, include, file, places);
  if (file.kind === 'config_file') return isOfOldPlace(line) ? mark + line : line;
  const moved = withLists(line, (list) => places.fromTo(file, places.named(file.path, list)));
  return moved === line ? line : `${mark}${line}\n${moved}`;
}

function workingInclude(line: string, { path, isFolder, isOptional }: Include, file: Where, places: Places): string {
  const named = places.named(file.path, path);
  if (!places.has(named, file.kind, isFolder)) {
    if (!isOptional) places.dropped.push(`${file.path}: ${named}`);
    return mark + line;
  }
  const to = isFolder ? places.fromToFolder(file, named) : places.fromTo(file, named);
  if (to === path) return line;
  const word = /^\s*(\w+)/.exec(line)?.[1] ?? 'include';
  return `${mark}${line}\n${word} ${file.kind === 'config_file' ? quoted(to) : `"${to}"`}`;
}

/**
 * Where in the data directory the files stand: what lay in it stays, and all else lies below a folder of its own, by
 * the path that it had. So no two have one name, and none has that of data.
 */
class Places {
  readonly dropped: string[] = [];
  readonly #configuration: Configuration;
  readonly #outside: string;

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
    const taken = new Set(configuration.files.map(({ path }) => this.#inside(path)?.split('/')[0]));
    let outside = 'configuration';
    for (let n = 2; taken.has(outside); n++) outside = `configuration-${n}`;
    this.#outside = outside;
  }

  has(path: string, kind: ConfigurationKind, isFolder: boolean): boolean {
    return this.#configuration.files.some(
      (each) => each.kind === kind && (isFolder ? posix.dirname(each.path) === path : each.path === path),
    );
  }

  /** What a file names. */
  named(file: string, path: string): string {
    return posix.resolve(posix.dirname(file), Buffer.from(path, 'latin1').toString());
  }

  nameOf(path: string, kind: ConfigurationKind): string {
    const isMain = this.#configuration.files.find((each) => each.kind === kind)?.path === path;
    return isMain ? mainNames[kind] : this.#placeOf(path);
  }

  /** As the file at its place has to name another one. */
  fromTo({ path, kind }: Where, named: string): string {
    return bytesOf(posix.relative(posix.dirname(this.nameOf(path, kind)), this.nameOf(named, kind)));
  }

  fromToFolder({ path, kind }: Where, folder: string): string {
    const to = posix.relative(posix.dirname(this.nameOf(path, kind)), this.#placeOf(folder));
    return to === '' ? '.' : bytesOf(to);
  }

  #placeOf(path: string): string {
    return this.#inside(path) ?? posix.join(this.#outside, posix.relative('/', path));
  }

  /** Undefined: it does not lie in the data directory. */
  #inside(path: string): string | undefined {
    const below = posix.relative(this.#configuration.dataDirectory, path);
    return below === '..' || below.startsWith('../') ? undefined : below;
  }
}

function bytesOf(utf8: string): string {
  return Buffer.from(utf8).toString('latin1');
}

/** For a server whose configuration is not in the backup: only its own user may connect. */
export const leastConfiguration: readonly WorkingFile[] = [
  { name: mainNames.config_file, text: `${mark}the configuration of the server is not in the base backup\n` },
  { name: mainNames.hba_file, text: 'local all all peer\n' },
  { name: mainNames.ident_file, text: '' },
];
