/**
 * The write-ahead log that belongs to what is validated: with --all all of it, with ids that of these base backups from
 * their beginning on, else that of the newest base backup of each target.
 */
import type { RunContext } from '../../lib/events.ts';
import type { Share } from '../../lib/rotation.ts';
import type { Repository } from '../../repository/repository.ts';
import { readAllBases, type KnownBase } from '../wal/bases.ts';
import { checkLog } from '../wal/check/check.ts';
import { tellDoubts } from '../wal/check/doubts.ts';
import type { LogCheckRequest } from '../wal/check/request.ts';
import type { DamageBook } from './damage.ts';
import type { OpenBackup, Tally } from './objects.ts';
import type { ValidateRequest } from './request.ts';

export interface LogToValidate extends Pick<ValidateRequest, 'ids' | 'all' | 'target' | 'level'> {
  readonly backups: readonly OpenBackup[];
  readonly sample: Share | undefined;
  readonly jobs: number;
}

/** Puts what is wrong into the book; returns how many files were looked at. */
export async function checkArchivedLog(
  repository: Repository,
  { backups, sample, jobs, ...request }: LogToValidate,
  book: DamageBook,
  tally: Tally,
  context: RunContext,
): Promise<number> {
  const bases = await readAllBases(repository);
  const of = logOf(request, bases, backups);
  if (of !== 'all' && of.length === 0) return 0;
  context.emit({ type: 'step', message: 'looking into the archived write-ahead log' });
  const found = await checkLog(repository, { level: request.level, of, bases, share: sample, jobs }, context);
  for (const { object, kind, problem, backups: useless } of found.faults) {
    book.add(object, { kind, problem });
    for (const id of useless) book.touchWhole(object, id);
  }
  tellDoubts(found, context);
  tally.objects += found.files;
  tally.bytes += found.bytes;
  return found.files;
}

function logOf(
  { ids, all, target }: Pick<ValidateRequest, 'ids' | 'all' | 'target'>,
  bases: readonly KnownBase[],
  backups: readonly OpenBackup[],
): LogCheckRequest['of'] {
  if (all && target === undefined) return 'all';
  if (ids.length > 0) return bases.filter(({ id }) => backups.some((each) => each.id === id));
  const wanted = bases.filter((each) => target === undefined || each.target === target);
  if (all) return wanted;
  return [...Map.groupBy(wanted, (each) => each.target).values()].flatMap((each) => each.at(-1) ?? []);
}
