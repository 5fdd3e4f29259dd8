/**
 * Who needs what, in the one order that is safe beside running backups on other hosts (man lifeboat-repository(7),
 * "Deletion"): first what could go is listed, then leases are read and those of the dead marked, then live
 * manifests, then trash. A backup that began after our listing stores what we have not listed; one that was at work
 * then either still has its lease, or has its manifest, or is dead. Write-ahead log is not listed beforehand: only what
 * was stored before this order began goes of it (wal.ts).
 */
import { LifeboatError } from '../../lib/errors.ts';
import { isDenied } from '../../storage/storage.ts';
import { listFolders, type FolderListing } from './folders.ts';
import { listPacks, type PackWindow } from './packs.ts';
import { readPins } from './pins.ts';
import { findHiddenManifests, type HiddenManifests } from './hidden-manifests.ts';
import type { ListedManifest } from '../manifests/listing.ts';
import type { Manifest } from '../manifests/manifest.ts';
import type { Repository } from '../repository.ts';
import { readTable } from './trash.ts';
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
  /** Their grace time has passed. */
  readonly expired: readonly ListedManifest[];
  /** Copies in trash of backups that are live: moves that were cut short. */
  readonly copies: readonly string[];
  /** By number in the packs' table: backups that are leaving or in trash. */
  readonly going: readonly string[];
  /** All of `known`; undefined but in the first pass. */
  readonly bases: SurveyedBases | undefined;
  /** Those that nothing explains need what they name, as live ones do. */
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
  const { graceMs, nowMs, signal } = options;
  const packs = await listPacks(storage, after, options.window);
  const folders = after === undefined ? await listFolders(storage) : undefined;
  const pins = await readPins(storage, options.ownLease, options.act);
  const known = new Set<string>();
  const going: string[] = [];
  const bases = after === undefined ? new BaseReader(options.readBase) : undefined;
  for await (const listed of repository.listManifests()) {
    signal.throwIfAborted();
    const manifest = requireReadable(listed);
    const isLeaving = options.leaving.has(listed.id);
    packs.name(await readTable(storage, manifest), isLeaving ? going.push(listed.id) - 1 : 'stays');
    await bases?.read(manifest, isLeaving ? 'left' : 'live');
    known.add(listed.id);
  }
  const live = new Set(known);
  const hidden = await findHiddenManifests(repository).catch((error: unknown) => noneIfDenied(error, options.act));
  for (const { id, listed } of hidden.unexplained) {
    const manifest = requireReadable(listed);
    packs.name(await readTable(storage, manifest), 'stays');
    await bases?.read(manifest, 'hidden');
    known.add(id);
  }
  const expired: ListedManifest[] = [];
  const copies: string[] = [];
  for await (const listed of repository.listManifests({ folder: 'trash/' })) {
    signal.throwIfAborted();
    const isOver = nowMs - listed.modifiedMs >= graceMs && !pins.parents.has(listed.id);
    if (live.has(listed.id)) {
      if (isOver) copies.push(listed.object);
      continue;
    }
    if (isOver) {
      expired.push(listed);
      continue;
    }
    const manifest = requireReadable(listed);
    packs.name(await readTable(storage, manifest), going.push(listed.id) - 1);
    await bases?.read(manifest, options.left?.has(listed.id) === true ? 'left' : 'trash');
    known.add(listed.id);
  }
  for (const [id, who] of pins.parents) if (!known.has(id)) throw lostParent(id, who);
  const beforeMs = Math.min(nowMs - graceMs, pins.sinceMs - Math.min(graceMs, stampToleranceMs));
  return { packs, folders, beforeMs, known, expired, copies, going, bases, hidden };
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
