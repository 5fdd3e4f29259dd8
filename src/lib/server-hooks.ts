/**
 * Exit codes of the two commands that PostgreSQL itself calls. archive_command must fail with 1 to 125: above, the
 * archiver dies and starts over, and its statistics do not count it. restore_command is the reverse: 1 to 125 say
 * "no more log", and a recovery then ends and reports success, so that only a proven absence may exit with 1.
 * (PostgreSQL, xlogarchive.c and pgarch.c; man lifeboat-wal(1).)
 */

export type ServerHook = 'push' | 'fetch';

/** Highest exit code that the archiver counts as a failure. */
const pushCeiling = 125;
/** Trouble of `wal fetch`. */
export const fetchTrouble = 200;

/** Which of them a command line calls; undefined for all others. Flags may stand anywhere. */
export function serverHookOf(argv: readonly string[]): ServerHook | undefined {
  const at = argv.indexOf('wal');
  return at < 0
    ? undefined
    : argv.slice(at + 1).find((word): word is ServerHook => word === 'push' || word === 'fetch');
}

/** The exit code of a failed run: what the server has to see. */
export function hookExitCode(hook: ServerHook | undefined, code: number): number {
  if (hook === 'push') return Math.min(code, pushCeiling);
  return hook === 'fetch' && code <= pushCeiling ? fetchTrouble : code;
}
