/**
 * What pg_restore says, taken apart. It exits with 1 and "errors ignored on restore" alike for a line
 * that nobody misses and for a table that was lost, so every error is judged by itself: a short list
 * is harmless, all else fails the restore. The harmless ones are known by the command that failed, not
 * by the server's words: those come in the language of its lc_messages.
 */
import { LifeboatError } from '../../../lib/errors.ts';

/** One error of pg_restore (run with --verbose and an English locale). */
export interface RestoreIssue {
  /** Number of the entry in the archive's table of contents; undefined for errors outside of any. */
  readonly tocId: number | undefined;
  /** The entry in words, e.g. "TABLE DATA lost postgres" or "COMMENT EXTENSION hstore". */
  readonly entry: string | undefined;
  /** The first line, without "pg_restore: error: ". */
  readonly message: string;
  /** The lines after it (DETAIL, HINT, QUERY, CONTEXT) up to the command. */
  readonly detail: string;
  /**
   * The SQL command that failed, without its trailing blank lines; undefined for COPY and for errors of the tool
   * itself.
   */
  readonly command: string | undefined;
}

export interface IssueCollector {
  /** Takes one line of standard error. */
  readonly onLine: (line: string) => void;
  /** All errors so far. */
  issues(): readonly RestoreIssue[];
  /**
   * Every entry that "from TOC entry" named, wherever in a line: workers of a parallel run write between each other's
   * words.
   */
  failedEntries(): ReadonlySet<number>;
  /** How many errors the tool says it passed over; undefined if it did not come to say so. */
  ignored(): number | undefined;
}

/** Listens to one run of pg_restore. */
export function collectIssues(): IssueCollector {
  const issues: Building[] = [];
  const failed = new Set<number>();
  let current: Building | undefined;
  let toc: { id: number; entry: string } | undefined;
  let ignored: number | undefined;
  const onLine = (line: string): void => {
    for (const match of line.matchAll(/from TOC entry (\d+); \d+ \d+ /g)) failed.add(Number(match[1]));
    const own = /^pg_restore: (.*)$/s.exec(line)?.[1];
    if (own === undefined) {
      current?.lines.push(line);
      return;
    }
    current = undefined;
    const entry = /^from TOC entry (\d+); \d+ \d+ (.*)$/s.exec(own);
    const error = /^error: (.*)$/s.exec(own)?.[1];
    const count = /^warning: errors ignored on restore: (\d+)$/.exec(own)?.[1];
    if (entry !== null) toc = { id: Number(entry[1]), entry: entry[2] ?? '' };
    else if (/^while (INITIALIZING|FINALIZING):$/.test(own)) toc = undefined;
    else if (count !== undefined) ignored = Number(count);
    else if (error !== undefined) issues.push((current = { toc, message: error, lines: [] }));
  };
  return { onLine, issues: () => issues.map(finish), failedEntries: () => failed, ignored: () => ignored };
}

interface Building {
  readonly toc: { readonly id: number; readonly entry: string } | undefined;
  readonly message: string;
  readonly lines: string[];
}

function finish({ toc, message, lines }: Building): RestoreIssue {
  const at = lines.findLastIndex((line) => line.startsWith('Command was: '));
  const command = at === -1 ? undefined : lines.slice(at).join('\n').slice('Command was: '.length).trim();
  return {
    tocId: toc?.id,
    entry: toc?.entry,
    message,
    detail: (at === -1 ? lines : lines.slice(0, at)).join('\n').trim(),
    command,
  };
}

/** Why nothing is lost by this error; undefined if something may be. */
export function harmlessReason({ tocId, entry, message, command }: RestoreIssue): string | undefined {
  if (command === undefined || !message.startsWith('could not execute query')) return undefined;
  // pg_dump 17 and later writes this line for every server; older ones do not know the setting.
  if (tocId === undefined && command === 'SET transaction_timeout = 0;') {
    return 'the server is too old for transaction_timeout';
  }
  // The text of the extension's own script stands there already; only its owner may set it again.
  if (entry?.startsWith('COMMENT EXTENSION ') === true && command.startsWith('COMMENT ON EXTENSION ')) {
    return 'the extension belongs to another role';
  }
  // Every database made from template0 has it.
  if (entry?.startsWith('SCHEMA public') === true && command === 'CREATE SCHEMA public;') {
    return 'the schema public exists already';
  }
  return undefined;
}

/** True if the words mean that the connection or the server is gone; libpq's own words, always English here. */
export function saysServerLost(text: string): boolean {
  return serverLost.test(text);
}

const serverLost = new RegExp(
  [
    'server closed the connection unexpectedly',
    'connection to server .{0,300} failed',
    'could not connect to server',
    'no connection to the server',
    'could not (send data to|receive data from) server',
    'SSL connection has been closed',
    'SSL SYSCALL error',
    'terminating connection',
    'the database system is (shutting down|starting up|in recovery)',
  ].join('|'),
  's',
);

/** The error that ends a restore for issues of which none is harmless. `part` says which step, e.g. "data". */
export function restoreFailure(part: string, issues: readonly RestoreIssue[]): LifeboatError {
  const all = issues.map((issue) => `${issue.message}\n${issue.detail}`).join('\n');
  const facts = {
    part,
    errors: issues
      .slice(0, 50)
      .map(({ entry, message, detail }) => ({ entry, message, detail: detail.slice(0, 2000) })),
  };
  const first = issues[0];
  const more =
    issues.length > 1
      ? ` (and ${issues.length - 1} more: ` +
        `${issues.slice(1, 6).map(nameOf).join(', ')}${issues.length > 6 ? ', …' : ''})`
      : '';
  const message =
    `restoring the ${part} failed at ${first === undefined ? 'an unnamed entry' : nameOf(first)}: ` +
    `${first?.message ?? 'pg_restore gave no reason'}${more}`;
  if (saysServerLost(all)) {
    return new LifeboatError('source', message, {
      hint: 'see the log of the PostgreSQL server, then restore again',
      retryable: true,
      facts,
    });
  }
  if (/unsupported version \(.*\) in file header/.test(all)) {
    return new LifeboatError('tool', `pg_restore is older than the archive: ${first?.message ?? ''}`, {
      hint: 'install the client programs of the PostgreSQL version that wrote the backup, or of a newer one',
      facts,
    });
  }
  if (/No space left on device|could not extend file/.test(all)) {
    return new LifeboatError('space', message, {
      hint: 'make room on the PostgreSQL server, then restore again',
      facts,
    });
  }
  return new LifeboatError('integrity', message, { hint: hintFor(first, all), facts });
}

/** The entry, or what stands for one. */
export function nameOf(issue: RestoreIssue): string {
  return issue.entry === undefined ? 'the archive as a whole' : `"${issue.entry}"`;
}

/** A name was looked up in vain, and not one of pg_restore's own, which all have their schema. */
function isNameless({ message, detail }: RestoreIssue): boolean {
  return (
    /(function|operator|relation|type) .* does not exist/.test(message) &&
    (message.startsWith('COPY failed') || /^(CONTEXT: +)?(SQL|PL\/\w+) function /m.test(detail))
  );
}

/** The words of reg* types: the value itself was looked up, nobody's function. */
function isValue({ detail }: RestoreIssue): boolean {
  return /^(CONTEXT: +)?COPY [^\n]*, line \d+, column /m.test(detail.split('\n')[0] ?? '');
}

/** The source may be gone: what helps is done to what is restored. */
const pathHint =
  'what failed (a check, generated column, index or view) calls a function that names something without its schema, ' +
  "and the database's own search_path does not lead there; restore the definitions alone (--schema-only " +
  '--to-database NAME), give that function one that does (ALTER FUNCTION … SET search_path = …), then add the rows ' +
  '(--data-only)';
const namedValueHint =
  'a value of a type such as regclass names what is made after the rows, an index or a constraint: restore the ' +
  'definitions alone (--schema-only --to-database NAME), then add the rows (--data-only --to-database NAME)';

function hintFor(first: RestoreIssue | undefined, all: string): string {
  if (first !== undefined && isNameless(first)) return isValue(first) ? namedValueHint : pathHint;
  if (/role ".*" does not exist/.test(all)) {
    return (
      'the roles of the backup are missing on this server: restore them with --globals, or leave owners and grants ' +
      'out with --no-owner --no-acl'
    );
  }
  if (/extension ".*" (is not available|has no installation script)|could not open extension control file/.test(all)) {
    return 'install the package of this extension on the PostgreSQL server, then restore again';
  }
  if (/permission denied|must be (owner|superuser|member|able)/.test(all)) {
    return (
      'the role that restores lacks rights: restore as a superuser, or ' +
      'leave owners and grants out with --no-owner --no-acl'
    );
  }
  if (/could not read from input file|found unexpected block ID|did not find magic string/.test(all)) {
    return 'the archive is damaged: run: lifeboat validate --deep';
  }
  return (
    'nothing but a complete restore counts; see the error above, or ' +
    'restore with --keep-failed and look at what is there'
  );
}
