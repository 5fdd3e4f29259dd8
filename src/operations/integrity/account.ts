/**
 * Accounts for every object of a repository. What manifests name must be there with its size; what nobody names is an
 * orphan (cleanup takes it, once it is older than the grace time); a name that the format does not know is a stray; and
 * the past must be whole.
 */
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { NotFoundError, type ObjectInfo } from '../../storage/storage.ts';
import { readAuditLog } from '../audit/chain.ts';
import { DamageBook } from '../validate/damage.ts';
import { objectOf, readExpectation, type Expectation, type KnownBackup } from './expectation.ts';
import { Ledger } from './ledger.ts';
import { nameObject, objectKinds, type ObjectKind } from './objects.ts';
import { checkHidden, checkPast } from './past.ts';
import { checkKeys, checkLeases, checkRecords, checkRescue } from './records.ts';
import type { CountedObjects } from './request.ts';

/** So many orphans are named. */
const maxNamed = 100;

/** One pass over a repository: `run`, then what it found. */
export class Accounting {
  readonly ledger = new Ledger();
  readonly orphans: Counted = { count: 0, bytes: 0, first: [] };
  readonly young: Counted = { count: 0, bytes: 0, first: [] };
  readonly #repository: Repository;
  readonly #nowMs: number;
  readonly #youngMs: number;
  readonly #context: RunContext;
  readonly #byKind = new Map<ObjectKind, { count: number; bytes: number }>();
  readonly #evidence: string[] = [];
  /** And what lies of schedules. */
  readonly #notes: string[] = [];
  readonly #keys: string[] = [];
  readonly #audit = new Map<string, number[]>();

  /** `youngMs`: objects younger than this stay in a cleanup, for they may belong to a backup that is being taken. */
  constructor(
    repository: Repository,
    { nowMs, youngMs }: { readonly nowMs: number; readonly youngMs: number },
    context: RunContext,
  ) {
    this.#repository = repository;
    this.#nowMs = nowMs;
    this.#youngMs = youngMs;
    this.#context = context;
  }

  objects(): CountedObjects {
    return Object.fromEntries(
      objectKinds.flatMap((kind) =>
        this.#byKind.has(kind) ? [[kind, this.#byKind.get(kind) ?? { count: 0, bytes: 0 }]] : [],
      ),
    );
  }

  async run(targets: readonly string[]): Promise<void> {
    const book = new DamageBook();
    const { emit, signal } = this.#context;
    emit({ type: 'step', message: 'reading the manifests and what they name' });
    const expected = await readExpectation(this.#repository, book, { objects: 0, bytes: 0 }, signal);
    const backups = new Map(expected.backups.toReversed().map((backup) => [backup.id, backup]));
    // What is beside the manifests was read: its faults are in the book, with those of sizes below.
    for (const { object, kind, problem, touched } of book.entries()) {
      expected.objects.delete(object);
      this.ledger.fault(kind, object, problem, [...touched.keys()]);
    }
    emit({ type: 'step', message: 'listing every object' });
    for await (const info of this.#repository.storage.list('')) {
      signal.throwIfAborted();
      this.#account(info, expected, backups);
    }
    await this.#missing(expected, backups);
    this.#distrust(expected.backups);
    await checkKeys(
      this.#repository,
      expected.backups,
      this.#keys,
      new Set(book.entries().map(({ object }) => object)),
      this.ledger,
    );
    await checkRecords(this.#repository, backups, this.#evidence, this.#notes, this.ledger);
    await checkLeases(this.#repository, this.#nowMs, this.ledger);
    await checkRescue(this.#repository, this.ledger);
    await checkPast(this.#repository, expected.backups, targets, this.#audit, this.ledger);
    await checkHidden(this.#repository, this.ledger);
    await this.#auditLog();
  }

  /** One object of the listing; what was expected and is there is taken off the list. */
  #account(info: ObjectInfo, expected: Expectation, backups: ReadonlyMap<string, KnownBackup>): void {
    const { kind, backupId = '', packId = '', audit } = nameObject(info.key);
    const counted = this.#byKind.get(kind) ?? { count: 0, bytes: 0 };
    this.#byKind.set(kind, { count: counted.count + 1, bytes: counted.bytes + info.sizeBytes });
    if (kind === 'strays') this.ledger.warning('stray', info.key, 'the format knows no object of this name');
    else if (kind === 'packs') this.#pack(info, packId, expected);
    else if (kind === 'backups') this.#part(info, backupId, expected, backups);
    else if (kind === 'keys') this.#keys.push(info.key);
    else if (kind === 'audit' && audit !== undefined) this.#auditRecord(audit);
    else if (kind === 'schedules') this.#notes.push(info.key);
    else if (kind === 'evidence' || kind === 'notes') {
      if (!backups.has(backupId)) this.#unnamed(info);
      else (kind === 'evidence' ? this.#evidence : this.#notes).push(info.key);
    }
  }

  #auditRecord({ host, number }: { readonly host: string; readonly number: number }): void {
    const numbers = this.#audit.get(host);
    if (numbers === undefined) this.#audit.set(host, [number]);
    else numbers.push(number);
  }

  #pack(info: ObjectInfo, packId: string, expected: Expectation): void {
    const pack = expected.packs.get(packId);
    if (pack === undefined) {
      if (expected.isComplete) this.#unnamed(info);
      return;
    }
    expected.packs.delete(packId);
    if (pack.bytes !== undefined && pack.bytes !== info.sizeBytes) {
      this.ledger.fault('size', info.key, `it has ${info.sizeBytes} bytes, not ${pack.bytes}`, pack.backups);
    }
  }

  #part(info: ObjectInfo, backupId: string, expected: Expectation, backups: ReadonlyMap<string, KnownBackup>): void {
    const part = expected.objects.get(info.key);
    const owner = backups.get(backupId);
    if (part === undefined) {
      // Of a damaged manifest nobody knows what it names; what was read already is off the list.
      const isRead = /\/(?:facts|packs|keys\.json)$/.test(info.key);
      if (owner === undefined || (owner.trust !== 'damaged' && !isRead)) this.#unnamed(info);
      return;
    }
    expected.objects.delete(info.key);
    if (part.bytes !== undefined && part.bytes !== info.sizeBytes) {
      this.ledger.fault('size', info.key, `it has ${info.sizeBytes} bytes, not ${part.bytes}`, [backupId]);
    }
  }

  #unnamed(info: ObjectInfo): void {
    const where = this.#nowMs - info.modifiedMs > this.#youngMs ? this.orphans : this.young;
    where.count++;
    where.bytes += info.sizeBytes;
    if (where.first.length < maxNamed) where.first.push(info.key);
  }

  /**
   * What the listing did not show is asked for once more, and so is the manifest that names it: a cleanup may have been
   * at work.
   */
  async #missing(expected: Expectation, backups: ReadonlyMap<string, KnownBackup>): Promise<void> {
    const still = async (ids: readonly string[]): Promise<string[]> => {
      const kept: string[] = [];
      for (const id of ids) {
        const backup = backups.get(id);
        if (backup !== undefined && (await this.#exists(objectOf(backup)))) kept.push(id);
      }
      return kept;
    };
    const lost = [
      ...[...expected.objects].map(([key, { backupId }]) => ({ key, ids: [backupId] })),
      ...[...expected.packs].map(([id, pack]) => ({ key: `packs/${id.slice(0, 2)}/${id}.pack`, ids: pack.backups })),
    ];
    for (const { key, ids } of lost) {
      if (await this.#exists(key)) continue;
      const kept = await still(ids);
      if (kept.length > 0) this.ledger.fault('missing', key, 'it is missing', kept);
    }
  }

  /** Every record is opened, and each must follow the one before it. */
  async #auditLog(): Promise<void> {
    this.#context.emit({ type: 'step', message: 'reading the audit log' });
    for (const { kind, weight, object, problem } of (await readAuditLog(this.#repository, this.#context.signal))
      .findings) {
      if (weight === 'warning') this.ledger.warning('untrusted', object, problem);
      else this.ledger.fault(kind === 'damaged' ? 'damaged' : 'chain', object, problem, []);
    }
  }

  #distrust(backups: readonly KnownBackup[]): void {
    for (const backup of backups) {
      if (backup.trust === 'untrusted') {
        this.ledger.warning('untrusted', objectOf(backup), 'nobody who is trusted has signed it', [backup.id]);
      }
      if (backup.trust === 'unchecked') {
        const problem = 'no configured key opens its data key, so it was not checked';
        this.ledger.warning('untrusted', objectOf(backup), problem, [backup.id]);
      }
    }
  }

  async #exists(key: string): Promise<boolean> {
    try {
      await this.#repository.storage.stat(key);
      return true;
    } catch (error) {
      if (error instanceof NotFoundError) return false;
      throw error;
    }
  }
}

interface Counted {
  count: number;
  bytes: number;
  readonly first: string[];
}
