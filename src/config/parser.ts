/** What the parts of parsing share: origins, secrets, paths, faults. */
import { dirname, resolve } from 'node:path';
import { LifeboatError, messageOf } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { Environment } from './discover.ts';
import type { Fault } from './faults.ts';
import { originOf } from './origins.ts';
import { readPostgresUrl } from './postgres-url-parser.ts';
import { PostgresUrl, type GivenPostgresUrl } from './postgres-url.ts';
import type { SecretReference } from './schema.ts';
import { LaterSecret, PendingSecret, resolveSecret } from './secrets.ts';

/** Whose secrets a command needs; the others stay references. */
export interface SecretNeeds {
  readonly repository?: boolean;
  readonly encryption?: boolean;
  /** The scratch server of drills. */
  readonly drill?: boolean;
  /** Every target's, or those of this one (undefined: the default or only one). */
  readonly targets?: 'all' | { readonly name: string | undefined };
  /** Those of targets are only for what can be done without: one that cannot be had in a moment stays a reference. */
  readonly mayLackTargets?: boolean;
}

/** A vault that is slower is done without, where that can be. */
const lackAfterMs = 3000;

export interface ParseSurroundings {
  readonly env: Environment;
  readonly cwd: string;
  /** Absolute path of the configuration file. */
  readonly file: string | undefined;
  readonly origins: ReadonlyMap<string, string>;
  readonly defaultTarget: string | undefined;
  /** The one target was made from the environment, so PG* variables fill in what its URL leaves out. */
  readonly targetFromEnvironment: boolean;
  readonly need: SecretNeeds;
  readonly signal?: AbortSignal | undefined;
  readonly faults: Fault[];
  readonly warnings: string[];
}

export class Parser {
  readonly surroundings: ParseSurroundings;

  constructor(surroundings: ParseSurroundings) {
    this.surroundings = surroundings;
  }

  /** Name of the origin of a path: an environment variable, a flag, or the file and the path in it. */
  where(path: string): string {
    const origin = originOf(this.surroundings.origins, path);
    return origin === undefined || origin === this.surroundings.file
      ? `${this.surroundings.file ?? 'configuration'}: ${path}`
      : origin;
  }

  fault(path: string, message: string): void {
    if (this.#mayLack(path)) return;
    this.surroundings.faults.push({ where: this.where(path), message });
  }

  /** Paths in the file start from its folder, all others from the working directory. */
  absolute(path: string, value: string): string {
    return resolve(this.folder(path), value);
  }

  folder(path: string): string {
    const { file, cwd, origins } = this.surroundings;
    return file !== undefined && originOf(origins, path) === file ? dirname(file) : cwd;
  }

  /** The secret's value if it is needed; a fault if it cannot be had. */
  async secret(path: string, reference: SecretReference | undefined, needed: boolean): Promise<Secret | undefined> {
    if (reference === undefined) return undefined;
    if (!needed) return new PendingSecret(path);
    const { env, signal } = this.surroundings;
    const limits = [signal ?? [], this.#mayLack(path) ? AbortSignal.timeout(lackAfterMs) : []].flat();
    try {
      return await resolveSecret(reference, {
        env,
        folder: this.folder(path),
        signal: limits.length === 0 ? undefined : AbortSignal.any(limits),
      });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      this.fault(path, messageOf(error));
      return new PendingSecret(path);
    }
  }

  /** One that is fetched when it is used. */
  laterSecret(path: string, reference: SecretReference): LaterSecret {
    return new LaterSecret(reference, { env: this.surroundings.env, folder: this.folder(path) });
  }

  /** What `complete` makes of the parts of a URL; a fault if it cannot be used. */
  async postgresUrl(
    path: string,
    url: Secret,
    complete: (given: GivenPostgresUrl) => PostgresUrl | Promise<PostgresUrl>,
  ): Promise<PostgresUrl> {
    if (url instanceof PendingSecret) return PostgresUrl.unavailable(url.reason);
    try {
      return await complete(readPostgresUrl(url.reveal()));
    } catch (error) {
      if (!(error instanceof LifeboatError)) throw error;
      this.fault(path, error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
      return PostgresUrl.unavailable(error);
    }
  }

  #mayLack(path: string): boolean {
    return this.surroundings.need.mayLackTargets === true && path.startsWith('targets.');
  }
}
