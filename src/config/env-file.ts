/**
 * The file of NAME=value lines that stands for the environment. Node's own reader (`util.parseEnv`) cuts an unquoted
 * value at a `#` and loses a name behind a byte order mark, so that a passphrase became another one without a word;
 * systemd and docker read such files differently where backslashes stand. So: what they read alike is read like that,
 * and what they do not is an error that names the line. The rules stand in lifeboat.config(5).
 * (systemd.exec(5), EnvironmentFile=; docker run --env-file.)
 */

/** A line that cannot be read, without its text, which may be a secret. */
export class EnvFileError extends Error {
  readonly line: number;

  constructor(line: number, why: string) {
    super(`line ${line}: ${why}`);
    this.line = line;
  }
}

/** The variables that the file's bytes set, the last of a name winning. Throws EnvFileError. */
export function parseEnvFile(bytes: Uint8Array): Record<string, string> {
  const lines = decoded(bytes).split(/\r?\n/);
  const variables: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? '';
    if (/^\s*(?:[#;]|$)/.test(line)) {
      at++;
      continue;
    }
    const [, name, rest = ''] = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(line) ?? [];
    if (name === undefined) throw new EnvFileError(at + 1, 'is not NAME=value');
    const start = rest.trimStart();
    if (start.startsWith('"') || start.startsWith("'")) {
      const { value, linesRead } = quoted(start, lines, at);
      variables[name] = value;
      at += linesRead;
    } else {
      variables[name] = bare(rest, at + 1);
      at++;
    }
  }
  return { ...variables };
}

/** Without the byte order mark that editors of Windows write. */
function decoded(bytes: Uint8Array): string {
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    const line = bytes.subarray(0, nul).filter((byte) => byte === 0x0a).length + 1;
    throw new EnvFileError(line, 'holds a NUL byte');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new EnvFileError(firstBadLine(bytes), 'is not UTF-8');
  }
}

/** Each line alone: a character never holds the byte of a line end. */
function firstBadLine(bytes: Uint8Array): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const next = bytes.indexOf(0x0a, start);
    const end = next === -1 ? bytes.length : next;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, end));
    } catch {
      break;
    }
    start = end + 1;
  }
  return line;
}

/** As it stands, without the blanks around it; refused where readers of such files disagree. */
function bare(rest: string, line: number): string {
  const value = rest.trim();
  if (/\s#/.test(rest)) {
    throw new EnvFileError(line, "has a # behind a blank: put the value in '…', or the comment on a line of its own");
  }
  if (value.includes('\\')) {
    throw new EnvFileError(line, "has a backslash, which systemd drops and docker keeps: put the value in '…'");
  }
  return value;
}

/** A value in quotes, which may go over several lines; behind it only blanks and a comment may stand. */
function quoted(start: string, lines: readonly string[], first: number): { value: string; linesRead: number } {
  const quote = start.charAt(0);
  const inside: string[] = [];
  for (let line: string | undefined = start.slice(1); line !== undefined; line = lines[first + inside.length]) {
    const end = endOf(line, quote);
    inside.push(end === -1 ? line : line.slice(0, end));
    if (end === -1) continue;
    if (!/^\s*(?:#.*)?$/.test(line.slice(end + 1))) {
      throw new EnvFileError(first + inside.length, 'has more behind the closing quote');
    }
    const text = inside.join('\n');
    return { value: quote === '"' ? unescaped(text, first + 1) : text, linesRead: inside.length };
  }
  throw new EnvFileError(first + 1, `opens a ${quote} that is not closed`);
}

/** Where in a line the closing quote stands; -1: not here. A backslash at the end of a line is of the line end. */
function endOf(text: string, quote: string): number {
  if (quote === "'") return text.indexOf("'");
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return -1;
}

function unescaped(text: string, line: number): string {
  return text.replaceAll(/\\(.?)/gs, (_, character: string) => {
    if ('"\\$`'.includes(character) && character !== '') return character;
    throw new EnvFileError(line, 'has a backslash in "…" before none of " \\ $ `: put the value in \'…\'');
  });
}
