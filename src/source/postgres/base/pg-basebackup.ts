/**
 * One run of pg_basebackup: what it says on the way is read, since it tells of damaged pages, and of the wait for
 * the server's archiving, which would otherwise have no end.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import { startTool, ToolError } from '../../../lib/exec.ts';
import type { EventSink } from '../../../lib/events.ts';
import { rememberProcess } from '../../../lib/leftovers.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { ToolProcess } from '../../source.ts';
import { libpqEnvironment } from '../server/libpq.ts';
import { ArchiveWait } from './archive-wait.ts';
import { damagedPagesOf, type DamagedPages } from './damaged-pages.ts';

export interface BaseRun {
  readonly url: PostgresUrl;
  /** Of pg_basebackup. */
  readonly file: string;
  /**
   * `fd`: one tar to that file descriptor, backup_manifest its last member; `folder`: a tar for each tablespace, and
   * backup_manifest, in that folder.
   */
  readonly to: { readonly fd: number } | { readonly folder: string };
  /** How long the server may take to archive the backup's WAL, and how often it is asked how that goes. */
  readonly archiveTimeoutMs: number;
  readonly archiverCheckMs: number;
  readonly emit: EventSink;
  readonly signal: AbortSignal;
  /** All has been sent; from now on it waits for the server's archiving. */
  readonly onSent?: () => void;
  /** A link, or something else that is no file, is left out; its path below the data directory. */
  readonly onLeftOut?: (path: string) => void;
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

/** A run whose end tells what the server found of the pages on its way: `pages` is whole once `done` resolves. */
export interface BaseProcess extends ToolProcess {
  readonly pages: () => DamagedPages | undefined;
}

/**
 * Resolves once it runs. `done` rejects with LifeboatError `source`. Pages whose checksum does not hold are no failure:
 * the server sends all and says it at the end, and what is whole is worth having.
 */
export async function runBaseBackup({
  url,
  file,
  to,
  archiveTimeoutMs,
  archiverCheckMs,
  emit,
  signal,
  onSent,
  onLeftOut,
}: BaseRun): Promise<BaseProcess> {
  const late = new AbortController();
  const said: string[] = [];
  let pages: DamagedPages | undefined;
  const wait = new ArchiveWait({
    url,
    limitMs: archiveTimeoutMs,
    checkMs: archiverCheckMs,
    emit,
    onWaiting: () => onSent?.(),
    onLate: (error) => late.abort(error),
  });
  const child = await startTool({
    file,
    args: [`--pgdata=${'fd' in to ? '-' : to.folder}`, ...backupOptions],
    env: libpqEnvironment(url),
    stdout: 'fd' in to ? to.fd : 'ignore',
    signal: AbortSignal.any([signal, late.signal]),
    onStderrLine: (line) => {
      if (said.length < maxSaid) said.push(line);
      const leftOut = /skipping special file "(?:\.\/)?(.*)"/.exec(line)?.[1];
      if (leftOut !== undefined) onLeftOut?.(leftOut);
      if (/waiting for (?:all )?required WAL segments to be archived/.test(line)) wait.begins();
    },
  }).catch((error: unknown) => {
    wait[Symbol.dispose]();
    throw error;
  });
  // One that writes to files would outlive a kill of ours; one that writes to us ends with the pipe.
  const remembered = rememberProcess(child.pid);
  const done = child.result
    .then(
      () => {},
      (error: unknown) => {
        if (!(error instanceof ToolError)) throw error;
        if (!checksumError.test(error.stderr)) throw explain(error);
        pages = damagedPagesOf(said);
      },
    )
    .finally(() => {
      wait[Symbol.dispose]();
      remembered[Symbol.dispose]();
    });
  done.catch(() => {});
  return { done, pages: () => pages };
}

/**
 * pg_basebackup's own words, not the server's, which may be in another language: it has received everything, and then
 * the server's error ERRCODE_DATA_CORRUPTED (BaseBackup() in pg_basebackup.c).
 */
const checksumError = /^pg_basebackup: error: checksum error occurred$/m;
/** Lines: the server names five pages of each file. */
const maxSaid = 100_000;

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

function explain(error: ToolError): LifeboatError {
  return new LifeboatError('source', `cannot take a base backup: ${error.message}`, {
    hint: advice.find(([said]) => said.test(error.stderr))?.[1],
    retryable: true,
    cause: error,
  });
}
