/**
 * Ships what a receiver has put into its folder: histories and finished segments at once, by the same rules as
 * `wal push`, and what has come of the segment that grows whenever it is asked for. An object that a longer one has
 * taken the place of is removed where that is allowed; a cleanup does the rest.
 */
import type { CompressionConfig } from '../../../config/config.ts';
import { forEachSideBySide } from '../../../lib/concurrency.ts';
import { LifeboatError, messageOf } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import type { SealingKey } from '../../../repository/keys/sealed-records.ts';
import type { Repository } from '../../../repository/repository.ts';
import { listWal, putWal } from '../../../repository/wal/archive.ts';
import type { PutWal } from '../../../repository/wal/put-box.ts';
import { checkSegment, checkWalFile } from '../../../repository/wal/archivable.ts';
import { longHeaderBytes } from '../../../source/postgres/wal/segment-header.ts';
import { segmentNumber } from '../../../source/postgres/wal/file-name.ts';
import { ownPart, type WalBody } from '../../../repository/wal/large.ts';
import { needWalName, unfinishedName, walKey, type WalName } from '../../../repository/wal/names.ts';
import { isDenied } from '../../../storage/storage.ts';
import { isPlaceholder, type GrowingSegment, type StreamSpool } from './spool.ts';

export interface ShipperOptions {
  readonly repository: Repository;
  readonly spool: StreamSpool;
  readonly systemId: string;
  readonly segmentBytes: number;
  readonly compression: CompressionConfig;
  readonly jobs: number;
  readonly emit: RunContext['emit'];
}

/** So much of a large segment tells whose it is. */
const headBytes = 8192;
/** Segments in memory at a time, plain. */
const aheadBytes = 48 * 1024 * 1024;
/** A host with recipients only starts a new data key now and then, and keys are rotated. */
const keyMs = 10 * 60_000;

export class Shipper {
  /** Finished segments that this run has stored (or found there). */
  segments = 0;
  /** Unfinished ones. */
  partials = 0;
  /** Plain bytes of the finished segments. */
  shippedBytes = 0;
  /** What this run has stored of all that, histories and unfinished segments included. */
  storedBytes = 0;
  /** All up to here is in the repository; undefined until something is. */
  shippedLsn: bigint | undefined;
  /** Last time that all which had come was in the repository, milliseconds since 1970. */
  caughtUpMs: number | undefined;
  readonly #options: ShipperOptions;
  /** Names in the folder that need nothing any more. */
  readonly #shipped = new Set<string>();
  /** Keys of unfinished objects, by segment: to be removed once there is something longer. */
  readonly #unfinished = new Map<string, Set<string>>();
  /** Sums of the parts that this run has stored, by segment and number. */
  readonly #parts = new Map<string, Map<number, string>>();
  #mayRemove = true;
  #key: { readonly sealing: SealingKey; readonly untilMs: number } | undefined;

  constructor(options: ShipperOptions) {
    this.#options = options;
  }

  /** Learns what unfinished objects earlier runs have left from a segment on. */
  async adopt(timeline: number, from: string): Promise<void> {
    const { repository, systemId } = this.#options;
    const done: string[] = [];
    try {
      for await (const { key, file } of listWal(repository.storage, systemId, { timeline, from, withParts: true })) {
        if (file.lsn !== undefined) this.#note(file.segment ?? '', key);
        if (file.kind === 'segment') done.push(file.name);
      }
    } catch (error) {
      // A host that may only write: a cleanup elsewhere removes them.
      if (!isDenied(error)) throw error;
    }
    for (const segment of done) await this.#discard(segment);
  }

  /**
   * Ships all that is finished, and with `growing` what has come of the rest. Throws what the storage throws, and
   * `integrity` for log that does not belong there.
   */
  async pass(growing: boolean): Promise<void> {
    const { spool, jobs, segmentBytes } = this.#options;
    const startedMs = Date.now();
    const listing = await spool.list();
    const pending = listing.finished.filter((name) => !this.#shipped.has(name));
    const width = Math.max(1, Math.min(jobs, Math.floor(aheadBytes / segmentBytes)));
    for (let at = 0; at < pending.length; at += width) {
      await forEachSideBySide(pending.slice(at, at + width), width, async (name) => this.#ship(name));
      await this.#forget(listing.finished.filter((name) => !name.endsWith('.history')));
    }
    if (!growing) return;
    let isAll = true;
    for (const name of listing.growing) {
      isAll = (await this.#shipGrowing(name, name !== listing.growing.at(-1))) && isAll;
    }
    if (isAll) this.caughtUpMs = startedMs;
  }

  async #ship(name: string): Promise<void> {
    const { spool, repository, systemId } = this.#options;
    const body = await spool.read(name);
    const [head, bytes] =
      body instanceof Uint8Array ? [body, body.length] : [await body.read(0, headBytes), body.bytes];
    if (isPlaceholder(head)) return void this.#shipped.add(name);
    const header = checkWalFile(needWalName(name), head, bytes);
    if (header !== undefined) this.#refuseForeign(name, header.systemId);
    const options = await this.#putOptions();
    const { storedBytes } = await putWal(repository, systemId, name, body, options, this.#partsOf(name));
    this.storedBytes += storedBytes;
    this.#shipped.add(name);
    this.#parts.delete(name);
    if (header === undefined) return;
    this.segments++;
    this.shippedBytes += bytes;
    this.#reached((segmentNumber(name, this.#options.segmentBytes) + 1n) * BigInt(this.#options.segmentBytes));
    await this.#discard(name);
  }

  /** `isLeft`: nothing more will come, its timeline has ended. False: it was finished meanwhile. */
  async #shipGrowing(name: string, isLeft: boolean): Promise<boolean> {
    const { spool, systemId, segmentBytes } = this.#options;
    const segment = name.slice(0, 24);
    await using found = await spool.openGrowing(name);
    if (found === undefined) return false;
    if (found.filledBytes >= longHeaderBytes) {
      const lsn = segmentNumber(segment, segmentBytes) * BigInt(segmentBytes) + BigInt(found.filledBytes);
      const file = needWalName(unfinishedName(segment, lsn));
      if (found.filledBytes < segmentBytes && !this.#shipped.has(file.name)) {
        this.#refuseForeign(name, checkSegment(needWalName(segment), found.head, segmentBytes).systemId);
        const { storedBytes } = await this.#putGrowing(file, found);
        this.storedBytes += storedBytes;
        await this.#discard(segment, ownKeys(systemId, file, found.body));
        for (const each of this.#shipped) if (each.startsWith(`${segment}.`)) this.#shipped.delete(each);
        this.#shipped.add(file.name);
        this.partials++;
        this.#reached(lsn);
      }
    }
    if (isLeft) await spool.remove(name);
    return true;
  }

  /** What is full of a large segment was stored before, but for what has come since. */
  async #putGrowing(file: WalName, { body }: GrowingSegment): Promise<PutWal> {
    const { repository, systemId } = this.#options;
    const options = await this.#putOptions();
    return putWal(repository, systemId, file.name, body, options, this.#partsOf(file.segment ?? ''));
  }

  #partsOf(segment: string): Map<number, string> {
    const parts = this.#parts.get(segment) ?? new Map<number, string>();
    this.#parts.set(segment, parts);
    return parts;
  }

  /** Of what is shipped the folder keeps only the newest segment. */
  async #forget(segments: readonly string[]): Promise<void> {
    for (const name of segments.slice(0, -1)) {
      if (!this.#shipped.has(name)) continue;
      await this.#options.spool.remove(name);
      this.#shipped.delete(name);
    }
  }

  #refuseForeign(name: string, systemId: string): void {
    if (systemId === this.#options.systemId) return;
    throw new LifeboatError(
      'integrity',
      `${name} was written by the cluster with system identifier ${systemId}, not by ${this.#options.systemId}`,
      { state: 'it was not archived', hint: 'another server answers at that address now: see DATABASE_URL' },
    );
  }

  async #putOptions(): Promise<{ sealing: SealingKey; compression: CompressionConfig }> {
    if (this.#key === undefined || Date.now() > this.#key.untilMs) {
      this.#key = { sealing: await this.#options.repository.writeKey(), untilMs: Date.now() + keyMs };
    }
    return { sealing: this.#key.sealing, compression: this.#options.compression };
  }

  #reached(lsn: bigint): void {
    if (this.shippedLsn === undefined || lsn > this.shippedLsn) this.shippedLsn = lsn;
  }

  #note(segment: string, key: string): void {
    const keys = this.#unfinished.get(segment) ?? new Set();
    this.#unfinished.set(segment, keys.add(key));
  }

  /**
   * Removes what is known to be unfinished of a segment, but for the newest. Never fails: what stays is passed over by
   * readers.
   */
  async #discard(segment: string, newest: readonly string[] = []): Promise<void> {
    const { storage } = this.#options.repository;
    const keys = [...(this.#unfinished.get(segment) ?? [])].filter((key) => !newest.includes(key));
    try {
      if (keys.length > 0 && this.#mayRemove) await (storage.removeVersions?.(keys) ?? storage.remove(keys));
    } catch (error) {
      if (!(error instanceof LifeboatError)) throw error;
      this.#mayRemove = error.retryable;
      this.#options.emit({
        type: 'debug',
        component: 'wal',
        message: `older partial segments stay until a cleanup: ${messageOf(error)}`,
      });
      if (error.retryable) return newest.forEach((key) => this.#note(segment, key));
    }
    this.#unfinished.delete(segment);
    for (const key of newest) this.#note(segment, key);
  }
}

/** What goes once a longer one is there: an unfinished segment itself, and the part that grows of a large one. */
function ownKeys(systemId: string, file: WalName, body: Buffer | WalBody): string[] {
  const names = body instanceof Uint8Array ? [] : (ownPart(file, body.bytes) ?? []);
  return [file.name, names].flat().map((name) => walKey(systemId, needWalName(name)));
}
