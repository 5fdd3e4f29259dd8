/**
 * One run of pg_basebackup: what it says on the way is read, since it tells of damaged pages, and of the wait for
 * the server's archiving, which would otherwise have no end.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import { startTool, ToolError } from '../../../lib/exec.ts';
import { rememberProcess } from '../../../lib/leftovers.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { ToolProcess } from '../../source.ts';
import { libpqEnvironment } from '../server/libpq.ts';

export interface BaseRun {
  readonly url: PostgresUrl;
  /** Of pg_basebackup. */
  readonly file: string;
  /**
   * `fd`: one tar to that file descriptor, backup_manifest its last member; `folder`: a tar for each tablespace, and
   * backup_manifest, in that folder.
   */
  readonly to: { readonly fd: number } | { readonly folder: string };
  /** How long the server may take to archive the backup's WAL. */
  readonly archiveTimeoutMs: number;
  readonly signal: AbortSignal;
  /** All has been sent; from now on it waits for the server's archiving. */
  readonly onSent?: () => void;
}

const backupOptions = [
  '--format=tar',
  '--wal-method=none',
  '--checkpoint=fast',
  '--manifest-checksums=SHA256',
  '--no-sync',
  '--no-password',
  '--label=lifeboat',
];

/**
 * Resolves once it runs. `done` rejects with LifeboatError `integrity` naming files and blocks for damaged pages, else
 * `source`.
 */
export async function runBaseBackup({
  url,
  file,
  to,
  archiveTimeoutMs,
  signal,
  onSent,
}: BaseRun): Promise<ToolProcess> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const badPages: string[] = [];
  const child = await startTool({
    file,
    args: [`--pgdata=${'fd' in to ? '-' : to.folder}`, ...backupOptions],
    env: libpqEnvironment(url),
    stdout: 'fd' in to ? to.fd : 'ignore',
    signal: AbortSignal.any([signal, late.signal]),
    onStderrLine: (line) => {
      if (/checksum verification fail/.test(line)) badPages.push(line.replace(/^WARNING:\s+/, ''));
      if (!line.includes('waiting for required WAL segments to be archived') || timer !== undefined) return;
      timer = setTimeout(() => late.abort(notArchived(archiveTimeoutMs)), archiveTimeoutMs);
      onSent?.();
    },
  });
  // One that writes to files would outlive a kill of ours; one that writes to us ends with the pipe.
  const remembered = rememberProcess(child.pid);
  const done = child.result
    .then(
      () => {},
      (error: unknown) => {
        throw error instanceof ToolError ? explain(error, badPages) : error;
      },
    )
    .finally(() => {
      clearTimeout(timer);
      remembered[Symbol.dispose]();
    });
  done.catch(() => {});
  return { done };
}

function notArchived(limitMs: number): LifeboatError {
  return new LifeboatError(
    'source',
    `the server has not archived the WAL of the base backup within ${Math.round(limitMs / 1000)} s`,
    {
      state: 'no backup was recorded',
      hint: "SELECT * FROM pg_stat_archiver and the server's log tell why archive_command fails",
      retryable: true,
    },
  );
}

const advice: readonly (readonly [said: RegExp, hint: string])[] = [
  [
    /no pg_hba\.conf entry for replication/,
    'add a line to pg_hba.conf that lets the backup user connect to "replication", and reload the server',
  ],
  [
    /must be superuser or replication role|permission denied to start WAL sender/,
    'ALTER ROLE … REPLICATION for the backup user',
  ],
  [/max_wal_senders|wal_level/, 'the server needs wal_level = replica and max_wal_senders of at least 2'],
];

function explain(error: ToolError, badPages: readonly string[]): LifeboatError {
  if (badPages.length > 0) {
    const named = badPages.slice(0, 10).join('; ') + (badPages.length > 10 ? ` and ${badPages.length - 10} more` : '');
    return new LifeboatError('integrity', `pages of the cluster are damaged: ${named}`, {
      state: 'no backup was recorded',
      hint: 'save what can be read by: lifeboat backup database; then look at the disk',
      cause: error,
    });
  }
  return new LifeboatError('source', `cannot take a base backup: ${error.message}`, {
    hint: advice.find(([said]) => said.test(error.stderr))?.[1],
    retryable: true,
    cause: error,
  });
}
