/**
 * Watches over the end of a base backup, when pg_basebackup sends nothing and waits for the server to archive the log:
 * the server is asked what it waits for and how its archiver fares, since pg_basebackup's own words may be left out
 * (client_min_messages) or in another language, and what makes an archiver fail stands in the server's log only.
 */
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { LifeboatError } from '../../../lib/errors.ts';
import type { EventSink } from '../../../lib/events.ts';
import { counted } from '../../../lib/units.ts';
import { readArchiver, type ArchiverState } from '../server/archiver.ts';
import { withConnection } from '../server/connection.ts';

export interface ArchiveWaitOptions {
  readonly url: PostgresUrl;
  /** How long the server may take. */
  readonly limitMs: number;
  /** How often it is asked. */
  readonly checkMs: number;
  readonly emit: EventSink;
  /** Once, when the wait begins: all has been sent. */
  readonly onWaiting: () => void;
  /** Once, with what to fail with, when the time is over. */
  readonly onLate: (error: LifeboatError) => void;
}

const waitingSql =
  "SELECT count(*) AS n FROM pg_stat_progress_basebackup WHERE phase = 'waiting for wal archiving to finish'";

export class ArchiveWait implements Disposable {
  readonly #options: ArchiveWaitOptions;
  readonly #ended = new AbortController();
  #next: NodeJS.Timeout | undefined;
  #limit: NodeJS.Timeout | undefined;
  #failing: string | undefined;

  constructor(options: ArchiveWaitOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** From now on it is waited for; said twice is said once. */
  begins(): void {
    if (this.#limit !== undefined || this.#ended.signal.aborted) return;
    const { limitMs, onWaiting, onLate } = this.#options;
    this.#limit = setTimeout(() => onLate(notArchived(limitMs, this.#failing)), limitMs);
    onWaiting();
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    clearTimeout(this.#next);
    clearTimeout(this.#limit);
  }

  #schedule(): void {
    this.#next = setTimeout(() => void this.#look(), this.#options.checkMs);
  }

  /** A server that cannot be asked now is asked again: the backup itself tells what is wrong with it. */
  async #look(): Promise<void> {
    const { signal } = this.#ended;
    try {
      await withConnection(this.#options.url, { signal, connectTimeoutMs: 5000 }, async (connection) => {
        const [row] = await connection.query(waitingSql);
        if (row?.['n'] !== '0') this.begins();
        this.#judge(await readArchiver(connection));
      });
    } catch {
      // Its limit stands.
    }
    if (!signal.aborted) this.#schedule();
  }

  #judge({ isFailing, failures, lastFailed = 'a segment', lastFailedAt = 'an unknown time' }: ArchiverState): void {
    if (!isFailing) {
      this.#failing = undefined;
      return;
    }
    const isNews = this.#failing === undefined;
    this.#failing = `its archiver fails for ${lastFailed} (${counted(failures, 'failure')}, last at ${lastFailedAt})`;
    if (!isNews) return;
    const message = `the server does not archive its WAL, which the base backup needs: ${this.#failing}; ${look}`;
    this.#options.emit({ type: 'warning', component: 'base', message });
  }
}

const look = "the server's log tells what archive_command said";

function notArchived(limitMs: number, failing: string | undefined): LifeboatError {
  const within = `within ${Math.round(limitMs / 1000)} s`;
  const why = failing === undefined ? '' : `: ${failing}`;
  return new LifeboatError('source', `the server has not archived the WAL of the base backup ${within}${why}`, {
    state: 'no backup was recorded',
    hint: `${look}; run that command by hand as the server's user, and see SELECT * FROM pg_stat_archiver`,
    retryable: true,
  });
}
