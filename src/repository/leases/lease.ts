/**
 * A lease that is held: renewed in the background, lost when somebody removed or broke it or when it could not be
 * renewed in time, given back at the end. Protocol: man lifeboat-repository(7), "Leases".
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { Storage } from '../../storage/storage.ts';
import type { LeaseRecord } from './record.ts';

export interface LeaseTimes {
  readonly renewMs: number;
  /** How often it is looked whether to renew, or whether it is too late. */
  readonly tickMs: number;
  /** Without renewal for so long, we must believe that somebody passed over us. */
  readonly lostAfterMs: number;
  /** After two wrote at once: a random pause between these. */
  readonly backOffMs: readonly [number, number];
  readonly pollMs: number;
  /** A clock that goes on while the machine sleeps, milliseconds. */
  readonly clock: () => number;
}

/** A run that is stopped, or has lost its storage, gives its lease back all the same, but does not wait for long. */
export const lastAct = { afterAbort: true, budgetMs: 5000 };

/** A held lease: renewed in the background until it is released. */
export class Lease implements AsyncDisposable {
  readonly id: string;
  readonly scope: string;
  /** The storage's stamp of its first writing, milliseconds since 1970: the storage's clock, for comparing ages. */
  readonly sinceMs: number;
  readonly #storage: Storage;
  readonly #record: LeaseRecord;
  readonly #times: LeaseTimes;
  readonly #onLost: ((error: LifeboatError) => void) | undefined;
  readonly #timer: NodeJS.Timeout;
  #renewedAt: number;
  #renewing: Promise<void> | undefined;
  #lost: LifeboatError | undefined;

  /** Use acquireLease. `renewedAt`: by the times' clock, before the last writing began. */
  constructor(
    storage: Storage,
    record: LeaseRecord,
    sinceMs: number,
    times: LeaseTimes,
    renewedAt: number,
    onLost: ((error: LifeboatError) => void) | undefined,
  ) {
    this.id = record.id;
    this.scope = record.scope;
    this.sinceMs = sinceMs;
    this.#storage = storage;
    this.#record = record;
    this.#times = times;
    this.#renewedAt = renewedAt;
    this.#onLost = onLost;
    this.#timer = setInterval(() => this.#tick(), times.tickMs);
    this.#timer.unref();
  }

  /**
   * Throws LifeboatError `locked` if the lease is lost. To be called directly before the commit point of the work, and
   * once more after it.
   */
  async check(): Promise<void> {
    this.#lookAtClock();
    if (this.#lost === undefined) await this.#look();
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Gives the lease back. Never throws: one that cannot be removed goes stale by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    // A renewal under way would write it anew after we removed it.
    await this.#renewing;
    await this.#storage.remove([leaseObject(this.#record)], lastAct).catch(() => {});
  }

  #tick(): void {
    this.#lookAtClock();
    if (
      this.#lost !== undefined ||
      this.#renewing !== undefined ||
      this.#times.clock() - this.#renewedAt < this.#times.renewMs
    ) {
      return;
    }
    this.#renewing = this.#renew()
      // The storage is away: the next tick tries again, until it is too late.
      .catch(() => {})
      .finally(() => {
        this.#renewing = undefined;
      });
  }

  async #renew(): Promise<void> {
    await this.#look();
    if (this.#lost !== undefined) return;
    const startedAt = this.#times.clock();
    await this.#storage.put(leaseObject(this.#record), [encodeRecord(this.#record)], { replace: true });
    this.#renewedAt = startedAt;
  }

  async #look(): Promise<void> {
    const found = new Set<string>();
    for await (const { key } of this.#storage.list(`locks/${this.scope}/${this.id}`)) found.add(key);
    if (found.has(`locks/${this.scope}/${this.id}.broken`)) this.#lose('somebody marked it as broken');
    else if (!found.has(leaseObject(this.#record))) this.#lose('somebody removed it');
  }

  #lookAtClock(): void {
    if (this.#times.clock() - this.#renewedAt > this.#times.lostAfterMs) this.#lose('it could not be renewed in time');
  }

  #lose(why: string): void {
    if (this.#lost !== undefined) return;
    clearInterval(this.#timer);
    this.#lost = new LifeboatError(
      'locked',
      `lost the lease ${this.id} of ${this.scope}: ${why}, so others may be at work now`,
      { hint: 'look who: lifeboat audit, lifeboat status; then run it again', retryable: true },
    );
    this.#onLost?.(this.#lost);
  }
}

/** The key of its object. */
export function leaseObject({ scope, id }: Pick<LeaseRecord, 'scope' | 'id'>): string {
  return `locks/${scope}/${id}.json`;
}

/** The bytes of its object. */
export function encodeRecord(record: LeaseRecord): Buffer {
  return Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`);
}
