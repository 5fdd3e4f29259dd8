/**
 * Is the archived log what was stored, and is it all there? `validate` and `integrity` ask; nothing is changed but what
 * this host remembers of objects that are not what they should be.
 */
import { mapInOrder } from '../../../lib/concurrency.ts';
import type { RunContext } from '../../../lib/events.ts';
import { isInShare } from '../../../lib/rotation.ts';
import { listWal, listWalSystems, type WalObject } from '../../../repository/wal/archive.ts';
import { rememberLog, type SeenDamage } from '../../../repository/wal/memory.ts';
import { needWalName, parseWalKey, walKey } from '../../../repository/wal/names.ts';
import type { Repository } from '../../../repository/repository.ts';
import { segmentNumber } from '../../../source/postgres/wal/file-name.ts';
import { parseLsn } from '../../../source/postgres/wal/lsn.ts';
import type { KnownBase } from '../bases.ts';
import { lookAtSize, lookInside, type Looked } from './look.ts';
import { missingLog } from './missing.ts';
import { RecordCheck } from './records.ts';
import { usersOf } from './users.ts';
import type { LogCheck, LogCheckRequest, LogFault } from './request.ts';

/** So many answers are waited for at once where only ends of objects are read. */
const endsAtOnce = 16;

/** Throws what the storage throws; what is wrong with the log is in the result. */
export async function checkLog(
  repository: Repository,
  request: LogCheckRequest,
  context: RunContext,
): Promise<LogCheck> {
  const run = new LogRun(repository, request, context);
  for (const systemId of await systemsOf(repository, request)) await run.system(systemId);
  return run.result();
}

async function systemsOf({ storage }: Repository, { of, bases }: LogCheckRequest): Promise<Set<string>> {
  const ofBases = (of === 'all' ? bases : of).map(({ facts }) => facts.systemIdentifier);
  return new Set([...ofBases, ...(of === 'all' ? await listWalSystems(storage) : [])]);
}

class LogRun {
  readonly #repository: Repository;
  readonly #request: LogCheckRequest;
  readonly #context: RunContext;
  readonly #faults = new Map<string, LogFault>();
  readonly #read = new Set<string>();
  readonly #damaged: SeenDamage[] = [];
  readonly #records: RecordCheck;
  #files = 0;
  #bytes = 0;
  #doubts: { count: number; first: string | undefined } = { count: 0, first: undefined };

  constructor(repository: Repository, request: LogCheckRequest, context: RunContext) {
    this.#repository = repository;
    this.#request = request;
    this.#context = context;
    this.#records = new RecordCheck(context.signal);
  }

  async system(systemId: string): Promise<void> {
    const { level, jobs } = this.#request;
    const look = async (object: WalObject): Promise<readonly [WalObject, Looked]> => {
      this.#context.signal.throwIfAborted();
      const pages = level === 'deep';
      return [
        object,
        level === 'quick'
          ? await lookAtSize(this.#repository, object)
          : await lookInside(this.#repository, object, { pages }),
      ];
    };
    const atOnce = level === 'quick' ? endsAtOnce : Math.max(1, jobs);
    for await (const [object, looked] of mapInOrder(this.#wanted(systemId), look, atOnce)) {
      await this.#take(object, looked);
    }
    await this.#endRecords(systemId);
    for (const fault of await missingLog(this.#repository, systemId, this.#basesOf(systemId))) {
      if (this.#isInScope(systemId, parseWalKey(fault.object)?.file.segment)) this.#add(fault);
    }
  }

  async result(): Promise<LogCheck> {
    if (this.#request.level !== 'quick') {
      // A state folder that cannot be written costs a repeated look.
      await rememberLog(this.#repository.state, { read: this.#read, damaged: this.#damaged }).catch(() => {});
    }
    return {
      files: this.#files,
      bytes: this.#bytes,
      faults: [...this.#faults.values()].toSorted((a, b) => (a.object < b.object ? -1 : 1)),
      doubts: this.#doubts,
      notes: [...this.#records.notes],
    };
  }

  async *#wanted(systemId: string): AsyncGenerator<WalObject> {
    const { share } = this.#request;
    for await (const object of listWal(this.#repository.storage, systemId)) {
      if (share !== undefined && !isInShare(object.key, share)) continue;
      if (this.#isInScope(systemId, object.file.segment)) yield object;
    }
  }

  async #take(object: WalObject, { fault, doubt, isGone = false, content }: Looked): Promise<void> {
    if (isGone) return;
    this.#files++;
    if (this.#request.level !== 'quick') {
      this.#bytes += object.sizeBytes;
      this.#read.add(object.key);
    }
    if (doubt !== undefined) {
      this.#doubts = { count: this.#doubts.count + 1, first: this.#doubts.first ?? doubt };
      return;
    }
    if (fault !== undefined) {
      this.#damage(object, fault);
    } else if (this.#request.level === 'deep' && content !== undefined) {
      await this.#records.add(object, content);
    }
  }

  #damage(object: WalObject, fault: Pick<LogFault, 'kind' | 'problem'>): void {
    const { key, systemId, file, sizeBytes, modifiedMs } = object;
    this.#add({ object: key, ...fault, ...usersOf(this.#basesOf(systemId), file) });
    this.#damaged.push({ object: key, problem: fault.problem, sizeBytes, modifiedMs });
  }

  async #endRecords(systemId: string): Promise<void> {
    await this.#records.end();
    for (const { segment, problem } of this.#records.faults.splice(0)) {
      const file = needWalName(segment);
      const object = walKey(systemId, file);
      this.#add({ object, kind: 'content', problem, ...usersOf(this.#basesOf(systemId), file) });
    }
  }

  /** The first fault of an object is what is told of it. */
  #add(fault: LogFault): void {
    if (!this.#faults.has(fault.object)) this.#faults.set(fault.object, fault);
  }

  #basesOf(systemId: string): KnownBase[] {
    return this.#request.bases.filter(({ facts }) => facts.systemIdentifier === systemId);
  }

  /** Histories always are: every recovery over a promotion needs them. */
  #isInScope(systemId: string, segment: string | undefined): boolean {
    const { of } = this.#request;
    if (of === 'all' || segment === undefined) return true;
    return of.some(
      ({ facts }) =>
        facts.systemIdentifier === systemId &&
        segmentNumber(segment, facts.walSegmentBytes) >= parseLsn(facts.startLsn) / BigInt(facts.walSegmentBytes),
    );
  }
}
