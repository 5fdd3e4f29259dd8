/** Commands as they can be pasted into a shell. */

export function commandLine(argv: readonly string[]): string {
  return argv.map(shellWord).join(' ');
}

export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
