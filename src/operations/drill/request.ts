/** What a drill is asked and what it answers. Times, sizes and secrets: as in operation.ts. */
import type { ErrorCode } from '../../lib/errors.ts';
import type { IsolationKind } from '../../lib/isolation.ts';
import type { Some } from '../complete.ts';

/** A drill: backups restored into throwaway servers and compared with what they recorded. */
export interface DrillRequest {
  /** As in RestoreRequest. Empty: the newest of each target; with `pitr` any base backup of each. */
  readonly ids: readonly string[];
  readonly target?: string | undefined;
  /** Recover PostgreSQL to a random moment instead, and prove that it is that one. */
  readonly pitr?: boolean | undefined;
  /** With `pitr`: the same seed chooses the same moment of the same window. */
  readonly seed?: string | undefined;
}

/** Which backups to restore into throwaway servers; by default the newest of each target. */
export type DrillOptions = Some<DrillRequest>;

export interface DrilledComponent {
  readonly name: string;
  readonly kind: string;
  /** `impossible`: it could not be tried (a tool, an extension or space is missing); says nothing of the backup. */
  readonly result: 'equal' | 'failed' | 'impossible';
  readonly durationMs: number;
  /** Read from the repository. */
  readonly bytes: number;
  readonly steps: readonly { readonly name: string; readonly durationMs: number }[];
  readonly counts: Readonly<Record<string, number>>;
  /** Versions of the throwaway servers. */
  readonly versions: Readonly<Record<string, string>>;
  /** How the throwaway server was kept from what lifeboat can read; undefined: there was none of ours. */
  readonly isolation?: IsolationKind | undefined;
  /** In a few words; shown to people. */
  readonly summary?: string | undefined;
  /** What differs, or why it was not possible; tables, keys and files by name. */
  readonly problems: readonly string[];
  /** Of the first problem. */
  readonly code?: ErrorCode | undefined;
  readonly hint?: string | undefined;
  /** What is not as it was, but none of the backup's faults. */
  readonly notes: readonly string[];
}

export interface DrilledBackup {
  readonly id: string;
  readonly target: string;
  readonly result: 'proven' | 'failed' | 'impossible';
  readonly durationMs: number;
  /** What restoring took, without the comparisons: the measured restore time. */
  readonly restoreMs: number;
  readonly components: readonly DrilledComponent[];
  /** With `pitr`: the moment that was recovered to, and the seed that chose it. */
  readonly moment?: string | undefined;
  readonly seed?: string | undefined;
  /** The evidence that was written; undefined where nothing could be tried or may be written. */
  readonly evidence?: string | undefined;
}

export interface DrillResult {
  readonly repository: string;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly backups: readonly DrilledBackup[];
  readonly warnings: readonly string[];
}
