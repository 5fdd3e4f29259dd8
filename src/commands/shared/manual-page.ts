/**
 * What the manual says of a command beyond its arguments and flags. The words lie in commands/manual/, one file a
 * command; a command that runs loads none of them, `--help` those of its own.
 */
import type { ErrorCode } from '../../lib/errors.ts';

/** One command line, and one line that says what it is for. */
export interface Example {
  readonly line: string;
  readonly purpose: string;
}

export interface Manual {
  /** Paragraphs: what it does and in what order, what it changes and what never, what a failure leaves behind. */
  readonly description: readonly string[];
  /** Two to five; `--help` shows the first two, that of a subcommand its own. */
  readonly examples: readonly Example[];
  /** What it reads or writes on this host. */
  readonly files: readonly (readonly [path: string, use: string])[];
  /** What it can end with, each with what it means here. A bug (1) and signals are the same everywhere. */
  readonly exits: Readonly<Partial<Record<ErrorCode | 'done' | 'warnings', string>>>;
  /** Codes that the table of errors does not have, which a server asks for. */
  readonly serverExits?: readonly (readonly [codes: string, meaning: string])[];
  readonly environment?: readonly (readonly [name: string, meaning: string])[];
  /** Pages other than lifeboat(1) and lifeboat.config(5). */
  readonly seeAlso: readonly string[];
}

export const configFile = ['lifeboat.config.json', 'configuration; see lifeboat.config(5)'] as const;
export const keyFile = ['lifeboat.key', 'the key, or wherever the configuration says that it is'] as const;
/** STATE stands for the state folder: lifeboat(1) says where it is. */
export const runHistory = [
  'STATE/runs.ndjson',
  'how each backup of this host ended; lifeboat-status(1) reads it',
] as const;

/** What every command that opens the repository can end with. */
export const repositoryExits = {
  usage: 'a flag, an argument or the configuration is wrong; nothing was done',
  key: 'no key is configured, or none that opens the repository',
  storage: 'the storage cannot be reached or refuses, after retries',
} as const;
