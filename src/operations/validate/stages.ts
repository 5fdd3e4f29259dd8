/**
 * The stages of one validation, each measured: small objects, presence of packs, packs and indexes, archives, and what
 * the damage touches.
 */
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { isInShare, type Share } from '../../lib/rotation.ts';
import { packKey } from '../../repository/packs/index-part.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ValidateRequest } from './request.ts';
import { ArchiveCheck } from './archives.ts';
import { openBackup } from './choose.ts';
import type { DamageBook, Fault } from './damage.ts';
import { BadPack, findTouched } from './impact.ts';
import { compareIndexes } from './indexes.ts';
import { checkBeside, checkKeyFiles, hashIndexes, packsOfIndexes, type OpenBackup, type Tally } from './objects.ts';
import { addPack, checkPresence, readPacks, type PackEntry, type PackSet } from './packs.ts';
import { nextSample } from './sample.ts';
import { checkArchivedLog } from './log.ts';
import { factsKey } from '../../repository/object-keys.ts';

export interface Step {
  readonly name: string;
  readonly durationMs: number;
  readonly bytes: number;
}

/** Frames in memory at once: 16 bytes each. What is more takes another pass over the indexes. */
const maxFrames = 4_000_000;
/** Backups whose small objects are read side by side. */
const backupsAtOnce = 4;

export class Validation {
  readonly tally: Tally = { objects: 0, bytes: 0 };
  readonly steps: Step[] = [];
  readonly backups: readonly OpenBackup[];
  readonly request: ValidateRequest;
  readonly book: DamageBook;
  sample: Share | undefined;
  /** Of tools, by backup. */
  readonly versions = new Map<string, Readonly<Record<string, string>>>();
  readonly archivesOf = new Map<string, number>();
  readonly packsOf = new Map<string, number>();
  readonly #repository: Repository;
  readonly #jobs: number;
  readonly #context: RunContext;
  readonly #packs: PackSet = new Map();
  readonly #bad = new Map<string, BadPack>();
  #packsRead = 0;
  #logFiles = 0;
  #chunks = 0;
  #readBytes = 0;
  #totalBytes = 0;

  constructor(
    repository: Repository,
    backups: readonly OpenBackup[],
    request: ValidateRequest,
    jobs: number,
    book: DamageBook,
    context: RunContext,
  ) {
    this.#repository = repository;
    this.backups = backups;
    this.request = request;
    this.#jobs = jobs;
    this.book = book;
    this.#context = context;
  }

  async all(): Promise<void> {
    const { level, samplePercent } = this.request;
    await this.#step('objects', async () => this.#smallObjects());
    await this.#step('presence', async () => this.#presence());
    if (samplePercent !== undefined) this.sample = await nextSample(this.#repository, samplePercent);
    if (level !== 'quick') await this.#step('packs', async () => this.#packsAndIndexes());
    await this.#step('log', async () => this.#log());
    await this.#step('impact', async () => this.#impact());
    if (level === 'deep') await this.#step('archives', async () => this.#archives());
  }

  /** Damage to the backup's own objects; a lost key file, of which it holds a copy, does not count. */
  isDamaged(backupId: string): boolean {
    return this.book.of(backupId).some(({ object }) => !object.startsWith('keys/'));
  }

  counts(): Record<string, number> {
    const archives = [...this.archivesOf.values()].reduce((sum, each) => sum + each, 0);
    return {
      backups: this.backups.length,
      objects: this.tally.objects,
      packs: this.#packs.size,
      packsRead: this.#packsRead,
      chunks: this.#chunks,
      archives,
      logFiles: this.#logFiles,
    };
  }

  async #step(name: string, work: () => Promise<void>): Promise<void> {
    const began = performance.now();
    const before = this.tally.bytes;
    await work();
    this.steps.push({ name, durationMs: performance.now() - began, bytes: this.tally.bytes - before });
  }

  async #smallObjects(): Promise<void> {
    const { storage } = this.#repository;
    const check = async (backup: OpenBackup): Promise<void> => {
      const table = await checkBeside(storage, backup, this.book, this.tally);
      const packs =
        table ??
        (await packsOfIndexes(storage, backup, this.tally)).map((packId) => ({ packId, objectBytes: undefined }));
      for (const { packId, objectBytes } of packs) addPack(this.#packs, packId, objectBytes, backup.dataKey);
      this.packsOf.set(backup.id, packs.length);
      // The other levels open the indexes when the packs are known.
      if (this.request.level === 'quick') await hashIndexes(storage, backup, this.book, this.tally);
    };
    await forEachSideBySide(this.backups, backupsAtOnce, check, this.#context.signal);
    await checkKeyFiles(storage, this.backups, this.book, this.tally);
  }

  async #presence(): Promise<void> {
    for (const [pack, fault] of await checkPresence(this.#repository.storage, this.#packs, this.#context.signal)) {
      this.#badPack(pack.id, fault);
    }
    this.#totalBytes = this.#packs.values().reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
  }

  #badPack(packId: Buffer, fault: Fault): void {
    this.book.add(packKey(packId), fault);
    this.#bad.set(packId.toString('latin1'), new BadPack(this.#repository.storage, packId, fault.kind === 'missing'));
  }

  /** Groups of packs, each read whole, then the indexes held against them. */
  async #packsAndIndexes(): Promise<void> {
    const { storage } = this.#repository;
    const { signal } = this.#context;
    const { sample } = this;
    const isWanted = (pack: PackEntry): boolean =>
      !this.#bad.has(pack.id.toString('latin1')) && (sample === undefined || isInShare(pack.id, sample));
    const wanted = [...this.#packs.values()].filter(isWanted);
    this.#totalBytes = wanted.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
    const queue = wanted.values();
    const reading = {
      storage,
      jobs: this.#jobs,
      signal,
      onBytes: (bytes: number) => this.#progress(bytes),
      onFault: (pack: PackEntry, fault: Fault) => this.#badPack(pack.id, fault),
    };
    for (let isFirst = true; ; isFirst = false) {
      const tables = await readPacks(reading, queue, maxFrames);
      if (tables.size === 0 && !isFirst) return;
      this.#chunks = 0;
      for (const backup of this.backups) {
        this.#chunks += await compareIndexes(storage, backup, this.#packs, tables, this.book, this.tally, signal);
      }
    }
  }

  #progress(bytes: number): void {
    this.#packsRead++;
    this.tally.objects++;
    this.tally.bytes += bytes;
    this.#readBytes += bytes;
    this.#context.emit({
      type: 'progress',
      component: 'validate',
      readBytes: this.#readBytes,
      newBytes: 0,
      storedBytes: 0,
      totalBytes: this.#totalBytes,
    });
  }

  /** Every backup of the repository that uses a damaged pack is named, whichever were asked for. */
  async #impact(): Promise<void> {
    await findTouched(
      this.#repository.storage,
      this.#allBackups(),
      this.#bad,
      this.book,
      this.tally,
      this.#context.signal,
    );
  }

  async *#allBackups(): AsyncGenerator<OpenBackup> {
    for await (const listed of this.#repository.listManifests()) {
      const open = await openBackup(this.#repository, listed);
      if (open !== undefined) yield open;
    }
  }

  async #log(): Promise<void> {
    this.#logFiles = await checkArchivedLog(
      this.#repository,
      { ...this.request, backups: this.backups, sample: this.sample, jobs: this.#jobs },
      this.book,
      this.tally,
      this.#context,
    );
  }

  async #archives(): Promise<void> {
    let readBytes = 0;
    const totalBytes = this.backups
      .flatMap(({ manifest }) => manifest.components.flatMap(({ artifacts }) => artifacts))
      .reduce((sum, { bytes }) => sum + bytes, 0);
    const check = new ArchiveCheck(this.#repository, this.#context, this.tally, (bytes) => {
      readBytes += bytes;
      this.#context.emit({
        type: 'progress',
        component: 'archives',
        readBytes,
        newBytes: 0,
        storedBytes: 0,
        totalBytes,
      });
    });
    const found = this.#bad.size;
    for (const backup of this.backups) {
      const touched = this.book.of(backup.id).flatMap(({ touched: all }) => all.get(backup.id) ?? []);
      // Without its facts nobody knows what its archives should hold.
      if (touched.some(({ whole }) => whole)) continue;
      await this.#archivesIn(backup, check, new Set(touched.flatMap(({ artifacts }) => [...artifacts.keys()])));
    }
    if (this.#bad.size > found) await this.#impact();
  }

  async #archivesIn(backup: OpenBackup, check: ArchiveCheck, damaged: ReadonlySet<string>): Promise<void> {
    try {
      const { archives, faults, versions } = await check.check(backup, damaged);
      this.archivesOf.set(backup.id, archives);
      this.versions.set(backup.id, versions);
      for (const { artifact, object, problem } of faults) this.#archiveFault(backup, artifact, object, problem);
    } catch (error) {
      if (!(error instanceof LifeboatError) || error.code !== 'integrity') throw error;
      // Authentic, yet not what a backup records: nothing can be held against them.
      this.book.add(factsKey(backup.id), { kind: 'content', problem: messageOf(error) });
      this.book.touchWhole(factsKey(backup.id), backup.id);
    }
  }

  #archiveFault(backup: OpenBackup, artifact: string, object: string | undefined, problem: string): void {
    const packId = /^packs\/[0-9a-f]{2}\/([0-9a-f]{32})\.pack$/.exec(object ?? '')?.[1];
    if (packId !== undefined) return this.#badPack(Buffer.from(packId, 'hex'), { kind: 'damaged', problem });
    // What is bad lies in no single object: the artifact is named by the first part of its index.
    const index =
      backup.manifest.components.flatMap(({ artifacts }) => artifacts).find(({ name }) => name === artifact)?.index[0]
        ?.object ?? `backups/${backup.id}/${artifact}`;
    this.book.add(index, { kind: 'content', problem });
    this.book.touchArtifact(index, backup.id, artifact, 'all');
  }
}
