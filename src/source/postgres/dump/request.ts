/** What is asked of the dump of one database. */
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { PostgresTools } from '../server/tools.ts';

export interface DatabaseDumpOptions {
  readonly url: PostgresUrl;
  readonly database: string;
  readonly tools: PostgresTools;
  /** '' or '0001-': stands before each artifact's name. */
  readonly prefix: string;
  readonly bigTableBytes: number;
  /** How long it is tried to get all locks. */
  readonly lockWaitTimeoutMs: number;
  /** As for readUnplannable(). */
  readonly trustedExtensions?: readonly string[] | undefined;
  /** Let everybody through who wants to change a table, at any time; default false. */
  readonly yieldToDdl?: boolean | undefined;
  /** Tables whose rows are left out: schema.table, or database.schema.table. */
  readonly withoutRows?: readonly string[] | undefined;
  /** How long a pg_dump may take to begin; default ten minutes. */
  readonly hangTimeoutMs?: number | undefined;
  /** Streams side by side. */
  readonly jobs: number;
  /** Sessions that read counts and fingerprints. */
  readonly fingerprintJobs: number;
}
