/**
 * Who needs what, in the one order that is safe beside running backups on other hosts (man lifeboat-repository(7),
 * "Deletion"): first what could go is listed, then leases are read and those of the dead marked, then live
 * manifests, then trash. A backup that began after our listing stores what we have not listed; one that was at work
 * then either still has its lease, or has its manifest, or is dead. Write-ahead log is not listed beforehand: only what
 * was stored before this order began goes of it (wal.ts).
 */
import { LifeboatError } from '../../lib/errors.ts';
import { isDenied, type Storage } from '../../storage/storage.ts';
import { listFolders, type FolderListing } from './folders.ts';
import { listPacks, type PackWindow } from './packs.ts';
import { readPins, type Pins } from './pins.ts';
import { findHiddenManifests, inTrash, type HiddenManifest, type HiddenManifests } from './hidden-manifests.ts';
import type { ListedManifest } from '../manifests/listing.ts';
import type { Manifest } from '../manifests/manifest.ts';
import type { Repository } from '../repository.ts';
import { readTable } from './trash.ts';
import { TrashRecords } from './trash-records.ts';
import type { WalBase } from '../wal/retention.ts';

export interface SurveyOptions {
  /** How long things rest before they go, in milliseconds. */
  readonly graceMs: number;
  /** The storage's present time, or a moment before it; milliseconds since 1970. */
  readonly nowMs: number;
  /** Mark dead leases; false: write nothing. */
  readonly act: boolean;
  /** Id of our own lease. */
  readonly ownLease: string | undefined;
  /** Live backups that are about to move to trash, for what that would free. */
  readonly leaving: ReadonlySet<string>;
  /** Backups in trash that were live when this run began. */
  readonly left?: ReadonlySet<string> | undefined;
  /** Which of these, whose grace time has passed, may leave trash now. */
  readonly mayLeave: (ids: readonly string[]) => ReadonlySet<string>;
  /**
   * Reads what a base backup needs of the log; undefined: it has none. Throws LifeboatErrors where it cannot be told.
   */
  readonly readBase: (manifest: Manifest) => Promise<Omit<WalBase, 'state'> | undefined>;
  /** Packs held at once. */
  readonly window?: number | undefined;
  readonly signal: AbortSignal;
}

export interface Survey {
  readonly packs: PackWindow;
  /** Undefined but in the first pass. */
  readonly folders: FolderListing | undefined;
  /** Only what was stored before this moment may go; milliseconds since 1970. */
  readonly beforeMs: number;
  /** Ids of backups that are live, or in trash for a while yet. */
  readonly known: ReadonlySet<string>;
  /** Their grace time has passed, and they may leave. */
  readonly expired: readonly ListedManifest[];
  /** Copies in trash of backups that are live, old enough to go: moves that were cut short. */
  readonly copies: readonly string[];
  /** Live backups that are recorded as moved: the same, whether the copy is there or not. */
  readonly unmoved: readonly ListedManifest[];
  /** By number in the packs' table: backups that are leaving or in trash. */
  readonly going: readonly string[];
  /** All of `known`; undefined but in the first pass. */
  readonly bases: SurveyedBases | undefined;
  /** Those that nothing explains, in trash too, need what they name, as live ones do. */
  readonly hidden: HiddenManifests;
}

export interface SurveyedBases {
  readonly found: readonly WalBase[];
  /** Why one could not be read, in one phrase. */
  readonly unreadable: string | undefined;
}

/** The packs of a lease may have been stamped by another machine of the storage than the lease itself. */
const stampToleranceMs = 10 * 60_000;

/**
 * One pass, over packs after the key `after`. Throws `integrity` or `locked` where it cannot be told what is needed,
 * `key` without a key.
 */
export async function takeSurvey(
  repository: Repository,
  options: SurveyOptions,
  after: string | undefined,
): Promise<Survey> {
  const { storage } = repository;
  const { graceMs, nowMs } = options;
  const packs = await listPacks(storage, after, options.window);
  const folders = after === undefined ? await listFolders(storage) : undefined;
  const pins = await readPins(storage, options.ownLease, options.act);
  const records = await TrashRecords.list(repository);
  const needs = new Needs(repository, packs, after === undefined ? new BaseReader(options.readBase) : undefined);
  const unmoved = await readLive(repository, options, records, needs);
  const live = new Set(needs.known);
  const hidden = await findHiddenManifests(repository, records).catch((error: unknown) =>
    noneIfDenied(error, options.act),
  );
  for (const { listed } of hidden.unexplained) await needs.add(listed, 'hidden');
  const trash = await readTrash(repository, options, records, live, pins);
  for (const each of trash.unexplained) await needs.add(each.listed, 'hidden');
  for (const listed of trash.stays) await needs.add(listed, options.left?.has(listed.id) === true ? 'left' : 'trash');
  for (const [id, who] of pins.parents) if (!needs.known.has(id)) throw lostParent(id, who);
  return {
    packs,
    folders,
    beforeMs: Math.min(nowMs - graceMs, pins.sinceMs - Math.min(graceMs, stampToleranceMs)),
    known: needs.known,
    expired: trash.expired,
    copies: trash.copies,
    unmoved,
    going: needs.going,
    bases: needs.bases,
    hidden: { ...hidden, unexplained: [...hidden.unexplained, ...trash.unexplained] },
  };
}

/** Notes what live backups need; returns those that are recorded as moved. */
async function readLive(
  repository: Repository,
  { leaving, signal }: SurveyOptions,
  records: TrashRecords,
  needs: Needs,
): Promise<ListedManifest[]> {
  const recorded = new Set(records.ids());
  const unmoved: ListedManifest[] = [];
  for await (const listed of repository.listManifests()) {
    signal.throwIfAborted();
    await needs.add(listed, leaving.has(listed.id) ? 'left' : 'live');
    if (recorded.has(listed.id) && (await records.movedMs(listed)) !== undefined) unmoved.push(listed);
  }
  return unmoved;
}

interface SurveyedTrash {
  readonly expired: readonly ListedManifest[];
  readonly stays: readonly ListedManifest[];
  readonly copies: readonly string[];
  readonly unexplained: readonly HiddenManifest[];
}

/** Only what we moved ourselves leaves trash: its time counts from the record of that. */
async function readTrash(
  repository: Repository,
  { graceMs, nowMs, mayLeave, signal }: SurveyOptions,
  records: TrashRecords,
  live: ReadonlySet<string>,
  { parents }: Pins,
): Promise<SurveyedTrash> {
  const stays: ListedManifest[] = [];
  const over: ListedManifest[] = [];
  const copies: string[] = [];
  const unexplained: HiddenManifest[] = [];
  for await (const listed of repository.listManifests({ folder: 'trash/' })) {
    signal.throwIfAborted();
    if (live.has(listed.id)) {
      if (nowMs - listed.modifiedMs >= graceMs && !parents.has(listed.id)) copies.push(listed.object);
      continue;
    }
    const movedMs = await records.movedMs(listed);
    if (movedMs === undefined) unexplained.push(inTrash(listed));
    else (nowMs - movedMs >= graceMs && !parents.has(listed.id) ? over : stays).push(listed);
  }
  const leaving = mayLeave(over.map(({ id }) => id));
  const expired = over.filter(({ id }) => leaving.has(id));
  return { expired, stays: [...stays, ...over.filter(({ id }) => !leaving.has(id))], copies, unexplained };
}

/** What the packs of a window, and log, are needed for. */
class Needs {
  /** Ids. */
  readonly known = new Set<string>();
  /** By number in the packs' table. */
  readonly going: string[] = [];
  readonly bases: BaseReader | undefined;
  readonly #storage: Storage;
  readonly #packs: PackWindow;

  constructor({ storage }: Repository, packs: PackWindow, bases: BaseReader | undefined) {
    this.#storage = storage;
    this.#packs = packs;
    this.bases = bases;
  }

  async add(listed: ListedManifest, state: WalBase['state']): Promise<void> {
    const manifest = requireReadable(listed);
    const stays = state === 'live' || state === 'hidden';
    this.#packs.name(await readTable(this.#storage, manifest), stays ? 'stays' : this.going.push(listed.id) - 1);
    await this.bases?.read(manifest, state);
    this.known.add(listed.id);
  }
}

/** Whoever may not list versions can neither delete nor hide anything for good; a dry run of theirs tells the rest. */
function noneIfDenied(error: unknown, act: boolean): HiddenManifests {
  if (act || !isDenied(error)) throw error;
  return { unexplained: [], recorded: [] };
}

/** One base backup that cannot be read may need any log of any cluster. */
class BaseReader implements SurveyedBases {
  readonly found: WalBase[] = [];
  unreadable: string | undefined;
  readonly #readBase: SurveyOptions['readBase'];

  constructor(readBase: SurveyOptions['readBase']) {
    this.#readBase = readBase;
  }

  async read(manifest: Manifest, state: WalBase['state']): Promise<void> {
    try {
      const base = await this.#readBase(manifest);
      if (base !== undefined) this.found.push({ ...base, state });
    } catch (error) {
      if (!(error instanceof LifeboatError) || !['integrity', 'key', 'not_found', 'usage'].includes(error.code)) {
        throw error;
      }
      this.unreadable ??= `it cannot be told what base backup ${manifest.id} needs: ${error.message}`;
    }
  }
}

/** One that nobody we trust has signed needs its packs all the same. */
function requireReadable({ object, manifest, trust, reason }: ListedManifest): Manifest {
  if (trust === 'unchecked') {
    throw new LifeboatError('key', `${object} cannot be checked: ${reason ?? 'no key opens it'}`, {
      hint: 'configure keys that open every data key: lifeboat keys list',
    });
  }
  if (manifest === undefined) {
    throw new LifeboatError('integrity', `it cannot be told what ${object} needs: ${reason ?? 'it is damaged'}`, {
      hint:
        'run: lifeboat validate --all --quick; one that no backup of yours made (lifeboat audit), somebody else put ' +
        'there: move it out of the repository, and so one that is lost for good',
    });
  }
  return manifest;
}

function lostParent(id: string, who: string): LifeboatError {
  return new LifeboatError('locked', `${who} needs backup ${id}, which is neither live nor in trash`, {
    hint: 'run cleanup again when that has ended',
    retryable: true,
  });
}
