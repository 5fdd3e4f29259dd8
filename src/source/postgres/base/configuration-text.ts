/**
 * The text of configuration files, line by line: settings and includes of postgresql.conf (guc-file.l of PostgreSQL),
 * includes and lists in files of pg_hba.conf and pg_ident.conf (hba.c, from 16 on). Text is latin1: a byte a character.
 */

/** Settings that name a file of configuration; in this order they are read. */
export const settingFiles = ['config_file', 'hba_file', 'ident_file'] as const;
export type ConfigurationKind = (typeof settingFiles)[number];

export interface Include {
  /** As it stands there: relative to the folder of the file. */
  readonly path: string;
  readonly isFolder: boolean;
  /** It need not be there. */
  readonly isOptional: boolean;
}

export interface Setting {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
}

const settingLine = /^\s*([A-Za-z_][\w.$]*)\s*=?\s*('(?:[^'\\\n]|''|\\.)*'|[^\s'#=]+)\s*(?:#.*)?$/;
const includeWord = /^include(_if_exists|_dir)?$/;

/** The setting of a line of postgresql.conf; undefined for comments and blank lines. */
export function settingIn(line: string): Setting | undefined {
  const [, name, value] = settingLine.exec(line) ?? [];
  return name === undefined || value === undefined ? undefined : { name: name.toLowerCase(), value: unquoted(value) };
}

/** What a line includes; undefined: nothing. */
export function includeIn(line: string, kind: ConfigurationKind): Include | undefined {
  const setting = kind === 'config_file' ? settingIn(line) : hbaInclude(line);
  const found = setting === undefined ? null : includeWord.exec(setting.name);
  if (setting === undefined || found === null) return undefined;
  return { path: setting.value, isFolder: found[1] === '_dir', isOptional: found[1] !== undefined };
}

/** Everything that a file includes, in its order. */
export function includesIn(text: string, kind: ConfigurationKind): Include[] {
  return text.split('\n').flatMap((line) => {
    const include = includeIn(line, kind);
    if (include !== undefined) return [include];
    return kind === 'config_file' ? [] : listsIn(line).map((path) => ({ path, isFolder: false, isOptional: true }));
  });
}

/** Files of names in pg_hba.conf: `@names`, `@"names of"`. */
function listsIn(line: string): string[] {
  const found: string[] = [];
  withLists(line, (path) => {
    found.push(path);
    return path;
  });
  return found;
}

const list = /(^|[\s,])@(?:"([^"]+)"|([^\s,"]+))/g;

/** The line of pg_hba.conf or pg_ident.conf with other files of names: `rename` gets each as it stands there. */
export function withLists(line: string, rename: (path: string) => string): string {
  const [bare = ''] = line.split('#');
  const renamed = bare.replaceAll(list, (all: string, before: string, inQuotes?: string, word?: string) => {
    const path = inQuotes ?? word ?? '';
    const to = rename(path);
    return to === path ? all : `${before}@"${to}"`;
  });
  return renamed + line.slice(bare.length);
}

function hbaInclude(line: string): Setting | undefined {
  const [, name, quoted, word] = /^\s*(include\w*)\s+(?:"([^"]*)"|([^\s#"]+))/.exec(line) ?? [];
  const value = quoted ?? word;
  return name === undefined || value === undefined ? undefined : { name, value };
}

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

function unquoted(value: string): string {
  if (!value.startsWith("'")) return value;
  return value
    .slice(1, -1)
    .replaceAll(/''|\\([0-7]{1,3})|\\(.)/g, (_, octal: string | undefined, other: string | undefined) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8) & 0xff);
      return other === undefined ? "'" : (escapes[other] ?? other);
    });
}

/** A value as a line of postgresql.conf takes it. */
export function quoted(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
