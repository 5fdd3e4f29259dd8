/**
 * Secrets by reference: taken from the environment, a file or a program when a command needs them, and
 * not before, so that a vault that hangs does not stop what could do without it.
 */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { tellingFileErrors } from '../lib/file-errors.ts';
import { Secret } from '../lib/secret.ts';
import type { Environment } from './discover.ts';
import type { SecretReference } from './schema.ts';

const commandTimeoutMs = 30_000;
const maxSecretBytes = 64 * 1024;

export interface SecretSurroundings {
  readonly env: Environment;
  /** Folder that relative paths start from. */
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
}

/** Gets the value. Rejects with an Error whose message says why not, and never holds the value. */
export async function resolveSecret(reference: SecretReference, surroundings: SecretSurroundings): Promise<Secret> {
  if (typeof reference === 'string') return new Secret(reference);
  if ('env' in reference) return nonEmpty(surroundings.env[reference.env], `the environment variable ${reference.env}`);
  if ('file' in reference) {
    return nonEmpty(await readSecretFile(resolve(surroundings.folder, reference.file)), `the file ${reference.file}`);
  }
  return nonEmpty(await runSecretCommand(reference.command, surroundings), `what ${reference.command[0]} printed`);
}

/** Where a reference points, for people: `env NAME`, `file PATH`, `command PROGRAM`; arguments are left out. */
export function describeReference(reference: SecretReference): string | undefined {
  if (typeof reference === 'string') return undefined;
  if ('env' in reference) return `env ${reference.env}`;
  return 'file' in reference ? `file ${reference.file}` : `command ${reference.command[0]}`;
}

/** A secret that the running command did not ask for: it is configured, but has no value here. */
export class PendingSecret extends Secret {
  readonly #what: string;

  constructor(what: string) {
    super('');
    this.#what = what;
  }

  override reveal(): string {
    throw this.reason;
  }

  /** What whoever uses it is told. */
  get reason(): Error {
    return new Error(`${this.#what} was not loaded for this command`);
  }
}

/** A secret that is fetched when it is used: a vault that keeps us from telling must not keep a backup from running. */
export class LaterSecret {
  readonly #reference: SecretReference;
  readonly #surroundings: SecretSurroundings;

  constructor(reference: SecretReference, surroundings: SecretSurroundings) {
    this.#reference = reference;
    this.#surroundings = surroundings;
  }

  /** Rejects as resolveSecret does. */
  async fetch(signal: AbortSignal): Promise<Secret> {
    return resolveSecret(this.#reference, { ...this.#surroundings, signal });
  }
}

function nonEmpty(value: string | undefined, what: string): Secret {
  if (value === undefined) throw new Error(`${what} is not set`);
  if (value.trim() === '') throw new Error(`${what} is empty`);
  return new Secret(value);
}

async function readSecretFile(path: string): Promise<string> {
  return tellingFileErrors(`cannot read ${path}`, {}, async () => {
    // Not only regular files: process substitution and credential sockets of systemd are pipes.
    if ((await stat(path)).size > maxSecretBytes) throw new Error(`${path} is larger than a secret can be`);
    return withoutLineEnd(await readFile(path, 'utf8'));
  });
}

async function runSecretCommand(
  [file = '', ...args]: readonly string[],
  { env, folder, signal }: SecretSurroundings,
): Promise<string> {
  const { runTool } = await import('../lib/exec.ts');
  const limit = AbortSignal.timeout(commandTimeoutMs);
  try {
    // A vault's client wants its own variables (address, token): it gets the caller's whole environment.
    const given = Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    const result = await runTool({
      file,
      args,
      cwd: folder,
      env: given,
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
    return withoutLineEnd(result.stdout);
  } catch (error) {
    if (signal?.aborted === true) throw error;
    if (limit.aborted) throw new Error(`${file} did not end within ${commandTimeoutMs / 1000} s`, { cause: error });
    throw new Error(messageOf(error), { cause: error });
  }
}

function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '');
}
