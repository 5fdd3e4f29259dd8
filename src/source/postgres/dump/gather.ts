/**
 * All that a dump of one database holds, taken together before the first byte of it is used: the snapshot, the
 * sessions that count, and the pg_dumps, each with its locks. From then on none of them waits for a lock any more, so
 * that nobody who waits for theirs can come to stand in between. As long as they are being taken, nobody is kept
 * waiting: all is let go and taken anew after a pause.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { GaveWayError } from '../../source.ts';
import { type CatalogFacts, readCatalogFacts } from '../facts/database-facts.ts';
import { type Relation, listRelations } from '../facts/relations.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import { type DumpParts, planParts } from './big-tables.ts';
import { type Counting, openCounting } from './counting.ts';
import type { DatabaseDumpOptions } from './request.ts';
import { type DumpPipe, startPipe } from './pipe.ts';
import { gaveWay } from './gave-way.ts';
import { type LockWatch, type Waiter, openLockWatch } from './lock-watch.ts';
import { type DumpContext, isLockTimeout, pipeCommands } from './pg-dump.ts';
import { readOwnedSequences } from './owned-sequences.ts';
import { type Snapshot, holdSnapshot } from './snapshot.ts';
import { withoutRows } from './without-rows.ts';

/** What is held. Aborting `stop` ends all of it; `close` waits for that, whatever the reason. */
export interface Gathered {
  readonly snapshot: Snapshot;
  /** Without those of `parts.leftOut`. */
  readonly relations: readonly Relation[];
  readonly catalog: CatalogFacts;
  readonly parts: DumpParts;
  readonly counting: Counting;
  readonly pipes: readonly DumpPipe[];
  /** The run's own signal, and `stop`'s. */
  readonly signal: AbortSignal;
  readonly stop: AbortController;
  close(): Promise<void>;
}

/** Each wait for a lock: so long the application may wait behind one of ours that waits. */
const lockTimeoutMs = 1000;
const watchEveryMs = { gathering: 200, dumping: 1000 };
const pausesMs = [100, 250, 500, 1000, 2000, 4000];
const defaultHangTimeoutMs = 600_000;

/**
 * Tries for as long as `lockWaitTimeoutMs` says. Throws `source` (13): retryable where somebody held or wanted locks
 * all the time.
 */
export async function gather(options: DatabaseDumpOptions, context: RunContext): Promise<Gathered> {
  const watch = await openLockWatch(options.url, options.database, context.signal);
  const begun = performance.now();
  try {
    for (let tries = 1; ; tries++) {
      const left = options.lockWaitTimeoutMs - (performance.now() - begun);
      try {
        // In the end it is as with any pg_dump: who waits for locks that we have is not let through any more.
        return await new Attempt(options, context, watch).gather(left > options.lockWaitTimeoutMs / 2);
      } catch (error) {
        const waitedMs = performance.now() - begun;
        if (!isBusy(error) || context.signal.aborted) throw error;
        if (waitedMs >= options.lockWaitTimeoutMs) throw tooBusy(error, tries, waitedMs);
        await sleep(pausesMs[Math.min(tries, pausesMs.length) - 1], undefined, { signal: context.signal });
      }
    }
  } catch (error) {
    await watch[Symbol.asyncDispose]();
    context.signal.throwIfAborted();
    throw error;
  }
}

class Attempt {
  readonly #options: DatabaseDumpOptions;
  readonly #context: RunContext;
  readonly #watch: LockWatch;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #pipes: DumpPipe[] = [];
  #snapshot: Snapshot | undefined;
  #counting: Counting | undefined;
  #watching: Promise<void> = Promise.resolve();
  #lettingGo: Promise<void> | undefined;
  #isGathered = false;

  constructor(options: DatabaseDumpOptions, context: RunContext, watch: LockWatch) {
    this.#options = options;
    this.#context = context;
    this.#watch = watch;
    this.#signal = AbortSignal.any([context.signal, this.#stop.signal]);
  }

  async gather(givesWay: boolean): Promise<Gathered> {
    this.#watchLocks(givesWay);
    try {
      const gathered = await this.#takeAll();
      this.#signal.throwIfAborted();
      this.#isGathered = true;
      return gathered;
    } catch (error) {
      // What ended the others is why they failed.
      const why = this.#signal.aborted ? this.#signal.reason : error;
      this.#stop.abort(why);
      await this.#end();
      throw why;
    }
  }

  async #takeAll(): Promise<Gathered> {
    const { url, database, bigTableBytes, prefix } = this.#options;
    const { applicationName } = this.#watch;
    const limits = { lockWaitTimeoutMs: this.#lockTimeoutMs, applicationName, signal: this.#signal };
    const snapshot = (this.#snapshot = await holdSnapshot(url, { database, ...limits }));
    const { connection } = snapshot;
    connection.lost.addEventListener('abort', () => this.#stop.abort(connection.lost.reason), { once: true });
    const all = await listRelations(connection, this.#options.trustedExtensions);
    const { kept: relations, leftOut } = withoutRows(all, database, this.#options.withoutRows ?? []);
    const parts = planParts(relations, bigTableBytes, prefix, leftOut);
    // Sequences follow no snapshot: what is recorded of them must be no later than what a pg_dump reads.
    const catalog = await readCatalogFacts(connection);
    await this.#startPipes(parts, relations, snapshot);
    const counting = (this.#counting = await this.#openCounting(relations, snapshot));
    await Promise.all(this.#pipes.map(({ ready }) => ready));
    const held = { snapshot, relations, catalog, parts, counting, pipes: this.#pipes };
    const close = async (): Promise<void> => {
      await this.#end();
      await this.#watch[Symbol.asyncDispose]();
    };
    return { ...held, signal: this.#signal, stop: this.#stop, close };
  }

  async #startPipes(parts: DumpParts, relations: readonly Relation[], snapshot: Snapshot): Promise<void> {
    const { jobs, hangTimeoutMs = defaultHangTimeoutMs } = this.#options;
    const isThroughRoots = relations.some(({ movesWithin }) => movesWithin !== undefined);
    const dump = { ...this.#dumpContext(snapshot), isThroughRoots };
    const commands = pipeCommands(parts, await readOwnedSequences(snapshot.connection), jobs);
    const starting = commands.map(async (command) => {
      const pipe = await startPipe(command, dump, this.#signal, hangTimeoutMs);
      this.#pipes.push(pipe);
      // Who fails ends the others.
      pipe.ready.catch((error: unknown) => this.#stop.abort(error));
    });
    for (const each of await Promise.allSettled(starting)) if (each.status === 'rejected') throw each.reason;
  }

  #dumpContext({ name, connection }: Snapshot): Omit<DumpContext, 'isThroughRoots'> {
    const { url, tools, database } = this.#options;
    const onWarning = (line: string): void =>
      this.#context.emit({
        type: 'warning',
        component: 'postgres',
        message: `pg_dump of database ${database}: ${line}`,
      });
    const { applicationName } = this.#watch;
    const lockWaitTimeoutMs = this.#lockTimeoutMs;
    const { encoding } = connection;
    return { url, tools, database, encoding, snapshot: name, lockWaitTimeoutMs, applicationName, onWarning };
  }

  #openCounting(relations: readonly Relation[], snapshot: Snapshot): Promise<Counting> {
    const { url, database, fingerprintJobs, lockWaitTimeoutMs, tools, trustedExtensions } = this.#options;
    return openCounting(relations, {
      url,
      database,
      snapshot: snapshot.name,
      jobs: fingerprintJobs,
      lockTimeoutMs: this.#lockTimeoutMs,
      lockWaitTimeoutMs,
      applicationName: this.#watch.applicationName,
      toolFolder: tools.folder,
      trustedExtensions,
      signal: this.#signal,
    });
  }

  get #lockTimeoutMs(): number {
    return Math.max(1, Math.min(lockTimeoutMs, Math.round(this.#options.lockWaitTimeoutMs)));
  }

  #watchLocks(givesWay: boolean): void {
    const { yieldToDdl = false, database } = this.#options;
    const courtesy = (): { everybody: boolean; everyMs: number } => ({
      everybody: yieldToDdl || (givesWay && !this.#isGathered),
      everyMs: this.#isGathered ? watchEveryMs.dumping : watchEveryMs.gathering,
    });
    const letThrough = (waiter: Waiter): void => {
      this.#stop.abort(gaveWay(database, waiter));
      // At once, however long programs take to end.
      this.#lettingGo = this.#watch.endSessions();
    };
    this.#watching = this.#watch.watch(courtesy, this.#signal, letThrough);
    this.#watching.catch((error: unknown) => this.#stop.abort(error));
  }

  async #end(): Promise<void> {
    await this.#lettingGo;
    await this.#counting?.close();
    await this.#snapshot?.connection.close();
    await Promise.all(this.#pipes.map(({ gone }) => gone));
    this.#stop.abort(new Error('it is over'));
    await this.#watching.catch(() => {});
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof GaveWayError || sqlStateOf(error) === '55P03' || isLockTimeout(error);
}

function tooBusy(error: unknown, tries: number, waitedMs: number): unknown {
  if (!(error instanceof LifeboatError)) return error;
  const tried = `(tried ${tries === 1 ? 'once' : `${tries} times`} in ${Math.round(waitedMs / 1000)} s)`;
  return new LifeboatError('source', `${messageOf(error)} ${tried}`, {
    hint: error.hint,
    state: error.state,
    retryable: true,
    cause: error,
  });
}
