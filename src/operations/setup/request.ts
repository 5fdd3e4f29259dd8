/** What init, keys and unlock are asked and what they answer. Times, sizes and secrets: as in operation.ts. */
import type { Secret } from '../../lib/secret.ts';
import type { Confirm } from '../operation.ts';
import type { Some } from '../complete.ts';

export interface InitRequest {
  /**
   * Absolute path of the file to write if there is no configuration yet; undefined: none is written, and the key must
   * be configured.
   */
  readonly configPath: string | undefined;
  /** Absolute path for a new key; undefined: beside the configuration file. Unused where a key is configured. */
  readonly keyFile?: string | undefined;
  /** Put this version's rescue script into a repository that is there already, too. */
  readonly rescueScript?: boolean | undefined;
  /** Put schedules that suit the targets into the configuration file, if there are none. */
  readonly schedules?: boolean | undefined;
  /** Folder whose package.json gets the npm scripts; undefined: none. */
  readonly npmScriptsIn?: string | undefined;
}

/**
 * Where `init` writes. Default: lifeboat.config.json and lifeboat.key in the working directory; with an inline
 * configuration no file.
 */
export type InitOptions = Some<InitRequest>;

export interface InitResult {
  readonly repository: string;
  readonly repositoryId: string;
  /** Paths and objects that were made; empty if all was there. */
  readonly created: readonly string[];
  readonly configPath?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly encrypted: boolean;
  /** For the recovery sheet: SHA-256 of rescue.mjs, our public key in base64. */
  readonly rescueSha256: string;
  readonly publicKey?: string | undefined;
  /** Commands and sentences, in order. */
  readonly nextSteps: readonly string[];
  readonly warnings: readonly string[];
}

export interface KeysGenerateRequest {
  readonly kind: 'raw' | 'age';
  /** Absolute path of a new 0600 file; undefined: the key is in the result. */
  readonly file?: string | undefined;
}

/** What kind of key, and where to; by default a raw one, in the result. */
export type KeysGenerateOptions = Some<KeysGenerateRequest>;

export const keysGenerateDefaults = { kind: 'raw' } as const satisfies KeysGenerateOptions;

export interface KeysGenerateResult {
  readonly kind: 'raw' | 'age';
  /** The secret itself, if no file was named. */
  readonly key?: string | undefined;
  readonly file?: string | undefined;
  /** age only. */
  readonly recipient?: string | undefined;
}

export type KeysListRequest = Readonly<Record<string, never>>;

export type KeysRotateRequest = Readonly<Record<string, never>>;

export interface KeysListResult {
  readonly repository: string;
  /** Oldest first; the last is what is written under. */
  readonly keys: readonly {
    readonly id: string;
    readonly createdAt: string;
    /** "raw", "passphrase" or the age recipient. */
    readonly recipients: readonly string[];
    readonly opens: boolean;
    readonly current: boolean;
  }[];
  readonly warnings: readonly string[];
}

/** Wraps every data key that opens for one more reader. */
export interface KeysAddRequest {
  readonly add:
    | { readonly type: 'age'; readonly recipient: string }
    | { readonly type: 'key' | 'passphrase'; readonly secret: Secret };
}

export interface KeysRemoveRequest {
  /** "raw", "passphrase" or an age recipient. */
  readonly recipient: string;
  readonly confirm: Confirm;
}

/** Which reader to take off. */
export type KeysRemoveOptions = Some<KeysRemoveRequest> & Pick<KeysRemoveRequest, 'recipient'>;

export interface KeysChangeResult {
  readonly changed: readonly string[];
  /** Data keys that could not be opened, hence not changed. */
  readonly unchanged: readonly string[];
  /** The data key that is written under from now on. */
  readonly current?: string | undefined;
  readonly warnings: readonly string[];
}

export interface UnlockRequest {
  /** Lease scope such as backup-main; undefined: all. */
  readonly scope?: string | undefined;
  /** Break leases that may be alive too; asks for confirmation. */
  readonly alive: boolean;
  readonly confirm: Confirm;
}

/** Which leases to take away. Default: those of dead runs. */
export type UnlockOptions = Some<UnlockRequest>;

export interface Lease {
  readonly scope: string;
  readonly id: string;
  readonly command: string;
  readonly host: string;
  readonly pid: number;
  readonly user: string;
  readonly since: string;
  readonly stale: boolean;
}

export interface UnlockResult {
  readonly broken: readonly Lease[];
  /** Still held. */
  readonly alive: readonly Lease[];
}
