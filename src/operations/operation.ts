/**
 * The seam between commands (or a program that uses the library) and operations. Each operation is one object that
 * says itself what it needs, what is meant where something is left out, and what its result is as an exit code; what
 * it is asked and what it answers stands in the request.ts of its folder. Times are RFC 3339 in UTC, sizes bytes. No
 * result holds a secret, but for KeysGenerateResult, whose purpose it is.
 */
import type { LoadedConfig } from '../config/load.ts';
import type { SecretNeeds } from '../config/parser.ts';
import type { RunContext } from '../lib/events.ts';

export interface Operation<Options, Request, Result extends object> {
  /** What its runs are called where somebody is told of their end; without it nobody is. */
  readonly command?: string;
  /** Without a name it still is a run after which metrics are written and sent, where that is configured. */
  readonly isMeasured?: true;
  /** What it runs itself by perform(), which tells: told of only where the configuration cannot be loaded. */
  readonly commandWithin?: string;
  /** Which secrets the configuration must hold for this request. */
  readonly need: (request: Request) => SecretNeeds;
  /** The whole request: the one place of its defaults. Paths are absolute afterwards. Touches nothing. */
  readonly complete: (options: Options, surroundings: Surroundings) => Request;
  /** Does it. Rejects with LifeboatError for what an operator can act on. */
  readonly run: Run<Request, Result>;
  /** What an answer is as an exit code. Default: 0, or 3 if there was something to warn of. */
  readonly exitCode?: (result: Result) => number;
}

export type Run<Request, Result> = (config: LoadedConfig, request: Request, context: RunContext) => Promise<Result>;

/** Where and for whom an operation runs: what requests are completed with. */
export interface Surroundings {
  /** Absolute: where relative paths start. */
  readonly cwd: string;
  /** Asked where the request names nobody. */
  readonly confirm: Confirm;
  /** The calling program has said where its configuration is, be it in itself: no file of it is to be written. */
  readonly isConfigGiven?: boolean | undefined;
}

/** What can be backed up or restored alone. */
export type ComponentName = 'database' | 'redis' | 'files' | 'base';

export type BackupType = 'full' | ComponentName;

/**
 * Asked before something is overwritten or dropped. Rejects with LifeboatError `confirmation` (18) unless the name was
 * given.
 */
export type Confirm = (question: Question) => Promise<void>;

export interface Question {
  /** What must be typed, or stand in --confirm. */
  readonly name: string;
  /** A name that stands for more than this one: taken from the flag, too. */
  readonly wider?: string;
  /** What will happen, one line each. */
  readonly consequences: readonly string[];
  /** What is shown on a terminal before, as it is. */
  readonly details?: readonly string[];
  /** The flag that stands for the answer; default: `--confirm=<name>`. */
  readonly flag?: string;
}
