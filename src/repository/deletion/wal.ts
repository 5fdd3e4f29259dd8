/**
 * Write-ahead log that nobody needs: per cluster, the base backups that may need it (those live and in trash; read
 * before anything is listed to go), the histories of its timelines, then one pass over its names. What was stored
 * since leases were read, or rests within its grace time, is not touched, so that nothing needs to be held of the
 * listing. A cluster goes untouched where it cannot be told what its base backups need.
 */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { Storage } from '../../storage/storage.ts';
import { listHistories, listWal, listWalSystems, readWalObject, type WalObject } from '../wal/archive.ts';
import type { WalHome } from '../wal/stored.ts';
import { type HistoryLine, parseHistory } from '../../source/postgres/wal/history.ts';
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';
import { earliestMoment, WalJudge, type WalBase, type WalRules, type WalVerdict } from '../wal/retention.ts';

/** Why nothing of a cluster's log goes, in one phrase; else since when it stays in any case. */
export type WalRule = { readonly keepSinceMs: number } | { readonly stays: string };

/** What becomes of one cluster's log. */
export interface CollectedWal {
  readonly systemId: string;
  /** Of its base backups. */
  readonly targets: readonly string[];
  /** The earliest moment that can be recovered, before and after this run, RFC 3339; undefined: none. */
  readonly from: string | undefined;
  readonly becomes: string | undefined;
  /** What goes now. */
  readonly segments: number;
  readonly bytes: number;
  /** What goes when the base backups in trash, or on their way there, are gone for good. */
  readonly laterSegments: number;
  readonly laterBytes: number;
  /** Why nothing of it goes. */
  readonly stays: string | undefined;
}

export interface WalGarbageOptions {
  /** Of every cluster; undefined with a reason where one could not be read: then no log goes at all. */
  readonly bases: readonly WalBase[];
  readonly unreadable: string | undefined;
  readonly beforeMs: number;
  /** The rule of a cluster by the targets of its base backups; none: it has no base backup here. */
  readonly ruleOf: (targets: readonly string[]) => WalRule;
  readonly signal: AbortSignal;
  readonly warn: (message: string) => void;
}

/**
 * Whoever removes: told of each object that goes, then of the end of a cluster. Resolves to what stayed all the same.
 */
export interface WalRemover {
  add(key: string, bytes: number): Promise<void>;
  /** Of what was added since the last time: how many segments, and bytes, are still there. */
  finish(): Promise<{ readonly segments: number; readonly bytes: number }>;
}

export async function collectWal(
  home: WalHome,
  options: WalGarbageOptions,
  remover: WalRemover,
): Promise<CollectedWal[]> {
  const found: CollectedWal[] = [];
  for (const systemId of await listWalSystems(home.storage)) {
    found.push(await collectSystem(home, systemId, options, remover));
  }
  return found;
}

async function collectSystem(
  home: WalHome,
  systemId: string,
  options: WalGarbageOptions,
  remover: WalRemover,
): Promise<CollectedWal> {
  const bases = options.bases.filter((each) => each.systemId === systemId);
  const targets = [...new Set(bases.map(({ target }) => target))].toSorted();
  const sizes = new Set(bases.map(({ segmentBytes }) => segmentBytes));
  const rule = options.ruleOf(targets);
  const stays =
    options.unreadable ??
    (sizes.size > 1 ? 'its base backups have segments of different sizes' : 'stays' in rule ? rule.stays : undefined);
  const keepSinceMs = stays !== undefined || 'stays' in rule ? -Infinity : rule.keepSinceMs;
  const rules: WalRules = {
    bases,
    histories: await readHistories(home, systemId, options.warn),
    keepSinceMs,
    beforeMs: options.beforeMs,
  };
  const whole = new WholeBases(bases);
  const total = { segments: 0, bytes: 0, laterSegments: 0, laterBytes: 0 };
  for await (const [verdict, { key, file, sizeBytes }] of judgeAll(home.storage, systemId, rules, whole)) {
    options.signal.throwIfAborted();
    const count = file.kind === 'segment' ? 1 : 0;
    if (verdict === 'later') {
      total.laterSegments += count;
      total.laterBytes += sizeBytes;
    }
    if (verdict !== 'goes') continue;
    await remover.add(key, sizeBytes);
    total.segments += count;
    total.bytes += sizeBytes;
  }
  const left = await remover.finish();
  const usable = whole.bases();
  return {
    systemId,
    targets,
    from: earliestMoment(usable, ['live', 'left']),
    becomes: earliestMoment(usable, ['live']),
    ...total,
    segments: total.segments - left.segments,
    bytes: total.bytes - left.bytes,
    stays,
  };
}

/** Each object with what becomes of it; histories come last in the listing. */
async function* judgeAll(
  storage: Storage,
  systemId: string,
  rules: WalRules,
  whole: WholeBases,
): AsyncGenerator<readonly [WalVerdict, WalObject]> {
  const judge = new WalJudge(rules);
  let group: WalObject[] = [];
  for await (const each of listWal(storage, systemId, { withParts: true })) {
    const [first] = group;
    if (first !== undefined && (each.file.segment !== first.file.segment || each.file.kind === 'backup')) {
      yield* judged(judge, group);
      group = [];
    }
    if (each.file.kind === 'history') yield [judge.judgeHistory(each), each];
    else if (each.file.kind === 'backup') yield [judge.judgeOne(each), each];
    else group.push(each);
    if (each.file.kind === 'segment') whole.see(each);
  }
  yield* judged(judge, group);
}

function* judged(judge: WalJudge, group: readonly WalObject[]): Generator<readonly [WalVerdict, WalObject]> {
  const verdicts = judge.judgeSegment(group);
  for (const [n, each] of group.entries()) yield [verdicts[n] ?? 'stays', each];
}

/** Which base backups have all of the log from their start to their stop. */
class WholeBases {
  readonly #counted: { readonly base: WalBase; readonly first: bigint; readonly last: bigint; missing: bigint }[];

  constructor(bases: readonly WalBase[]) {
    this.#counted = bases.map((base) => {
      const size = BigInt(base.segmentBytes);
      const [first, last] = [base.startLsn / size, (base.stopLsn - 1n) / size];
      return { base, first, last, missing: last - first + 1n };
    });
  }

  see({ file: { timeline, segment = '' } }: WalObject): void {
    for (const each of this.#counted) {
      if (each.base.timeline !== timeline) continue;
      const number = segmentNumber(segment, each.base.segmentBytes);
      if (number >= each.first && number <= each.last) each.missing--;
    }
  }

  bases(): WalBase[] {
    return this.#counted.filter(({ missing }) => missing === 0n).map(({ base }) => base);
  }
}

/** Those that cannot be read, or that nobody we trust has signed, stand as undefined. */
async function readHistories(
  home: WalHome,
  systemId: string,
  warn: (message: string) => void,
): Promise<Map<number, readonly HistoryLine[] | undefined>> {
  const histories = new Map<number, readonly HistoryLine[] | undefined>([[1, []]]);
  for (const { key, file } of await listHistories(home.storage, systemId)) {
    try {
      histories.set(file.timeline, parseHistory((await readWalObject(home, key)).toString(), key));
    } catch (error) {
      if (!(error instanceof LifeboatError) || !['integrity', 'key', 'not_found'].includes(error.code)) throw error;
      histories.set(file.timeline, undefined);
      warn(`log that may belong to timeline ${file.timeline} stays: ${messageOf(error)}`);
    }
  }
  return histories;
}
