/** What list and show are asked and what they answer. Times, sizes and secrets: as in operation.ts. */
import type { Json } from '../../source/source.ts';
import type { BackupType } from '../operation.ts';
import type { ProofState } from '../proof/state.ts';
import type { ComponentSizes } from '../component.ts';

export interface ListRequest {
  /** Undefined: every target in the repository. */
  readonly target?: string | undefined;
  readonly type?: BackupType | undefined;
  readonly tag?: string | undefined;
  /** Newest so many. */
  readonly limit?: number | undefined;
}

/** `unchecked`: there is no key to check it with. */
export type Trust = 'authentic' | 'unsigned' | 'untrusted' | 'unchecked';

export interface BackupSummary extends ComponentSizes {
  readonly id: string;
  readonly target: string;
  readonly type: BackupType;
  readonly label?: string | undefined;
  /** Those added since are among them. */
  readonly tags: readonly string[];
  readonly host: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly components: readonly string[];
  readonly encrypted: boolean;
  readonly trust: Trust;
  /** How many warnings it was taken with. */
  readonly warnings: number;
  /** Of a damaged source: what is wrong with it, one phrase. It is never `latest`. */
  readonly flaw?: string | undefined;
  /** Kept whatever the policy says; the reason may be empty. */
  readonly hold?: { readonly since: string; readonly reason: string; readonly until?: string | undefined } | undefined;
  /** How far it has been proven; undefined where no key can tell. */
  readonly standing?: ProofState | undefined;
}

export interface ListResult {
  readonly repository: string;
  /** Oldest first. */
  readonly backups: readonly BackupSummary[];
  /** Manifests that cannot be read or whose seal does not hold. */
  readonly damaged: readonly { readonly object: string; readonly reason: string }[];
}

export interface ShowRequest {
  readonly id: string;
  readonly target?: string | undefined;
}

export interface ShowResult {
  readonly repository: string;
  readonly backup: BackupSummary;
  readonly versions: Readonly<Record<string, string>>;
  readonly previousId?: string | undefined;
  readonly dataKey?: string | undefined;
  readonly components: readonly (ComponentSizes & {
    readonly name: string;
    readonly kind: string;
    readonly serverVersion?: string | undefined;
    readonly startedAt: string;
    readonly finishedAt: string;
    /** How many pages of the source are damaged, or tables not in it. */
    readonly flaws?: number | undefined;
    readonly artifacts: readonly {
      readonly name: string;
      readonly mediaType: string;
      readonly bytes: number;
      readonly chunks: number;
    }[];
    /** Undefined without a key. */
    readonly facts?: Json | undefined;
  })[];
  /** Oldest first. */
  readonly evidence: readonly ShownEvidence[];
}

/** One piece of evidence. What it found is there only if it counts; else `reason` says why it does not. */
export interface ShownEvidence {
  readonly object: string;
  readonly at: string;
  readonly level: string;
  readonly result: 'ok' | 'failed';
  readonly reason?: string | undefined;
  readonly durationMs?: number | undefined;
  readonly bytes?: number | undefined;
  readonly counts?: Readonly<Record<string, number>> | undefined;
  readonly compared?: readonly string[] | undefined;
  readonly steps?:
    | readonly { readonly name: string; readonly durationMs: number; readonly bytes?: number | undefined }[]
    | undefined;
  readonly damaged?: readonly { readonly object: string; readonly problem: string }[] | undefined;
  /** Of the throwaway servers: "namespaces", "user", "none". */
  readonly isolation?: string | undefined;
}
