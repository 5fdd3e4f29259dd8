/**
 * The archived write-ahead log in the accounting: all that is missing of it, and a share that is read, another one each
 * time. Which comes next this host remembers; without that the day decides.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { partsOf, shareAfter, shareOfDay, type Share } from '../../lib/rotation.ts';
import type { Repository } from '../../repository/repository.ts';
import { readLogMemory, rememberLog } from '../../repository/wal/memory.ts';
import { readAllBases } from '../wal/bases.ts';
import { checkLog } from '../wal/check/check.ts';
import { tellDoubts } from '../wal/check/doubts.ts';
import type { Ledger } from './ledger.ts';
import type { RepositoryAccount } from './request.ts';

/** Faults go into the ledger; what no base backup needs is a warning there. */
export async function readLogShare(
  repository: Repository,
  { logPercent, jobs }: { readonly logPercent: number; readonly jobs: number },
  ledger: Ledger,
  context: RunContext,
): Promise<RepositoryAccount['log']> {
  const share = await nextShare(repository, logPercent);
  context.emit({ type: 'step', message: `reading part ${share.part} of ${share.parts} of the write-ahead log` });
  const bases = await readAllBases(repository);
  const found = await checkLog(repository, { level: 'stored', of: 'all', bases, share, jobs }, context);
  for (const { kind, object, problem, backups, isIdle } of found.faults) {
    if (isIdle) ledger.warning(kind, object, `${problem}; no base backup needs it`);
    else ledger.fault(kind, object, problem, backups);
  }
  tellDoubts(found, context);
  await turnTo(repository, shareAfter(share), context);
  return { ...share, files: found.files, bytes: found.bytes };
}

async function nextShare({ state }: Repository, percent: number): Promise<Share> {
  const parts = partsOf(percent);
  const { next } = await readLogMemory(state);
  // Of another share than last time the parts are others, so any will do.
  return next?.parts === parts ? next : shareOfDay(parts);
}

/** Only once the part has been read to its end. */
async function turnTo({ state }: Repository, next: Share, { emit }: RunContext): Promise<void> {
  try {
    await rememberLog(state, { read: new Set(), damaged: [], next });
  } catch (error) {
    if (!(error instanceof LifeboatError) || error.code !== 'usage') throw error;
    const message = `which part of the log was read cannot be remembered, so the day decides: ${error.message}`;
    emit({ type: 'warning', message });
  }
}
