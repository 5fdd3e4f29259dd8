/**
 * One emergency restore of a target at a time, over all hosts: a second one would swap what the first has just
 * restored.
 */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { type Lease } from '../../repository/leases/lease.ts';
import { acquireLease } from '../../repository/leases/acquire.ts';
import type { Repository } from '../../repository/repository.ts';
import { isDenied } from '../../storage/storage.ts';

/**
 * Runs `work` while the lease is held; losing it stops the work. Throws `locked` (11) if another run has it. Where
 * we may not write (a repository that was made read-only for its protection) it goes on without, with a warning.
 */
export async function withEmergencyLease<T>(
  repository: Repository,
  target: string,
  context: RunContext,
  work: (context: RunContext) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  await using _ = await take(repository, target, context, (error) => lost.abort(error));
  return await work({ ...context, signal: AbortSignal.any([context.signal, lost.signal]) });
}

async function take(
  { storage }: Repository,
  target: string,
  context: RunContext,
  onLost: (error: LifeboatError) => void,
): Promise<Lease | undefined> {
  try {
    return await acquireLease(storage, {
      scope: `emergency-${target}`,
      command: 'emergency-restore',
      signal: context.signal,
      onLost,
    });
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'locked') throw alreadyRunning(error, target);
    if (!isDenied(error)) throw error;
    context.emit({
      type: 'warning',
      message:
        `going on without a lease: make sure that nobody restores target ${target} from another host ` +
        `(${messageOf(error)})`,
    });
    return undefined;
  }
}

function alreadyRunning(error: LifeboatError, target: string): LifeboatError {
  return new LifeboatError('locked', `another emergency restore of target ${target} is under way: ${error.message}`, {
    state: 'nothing was changed by this run',
    hint:
      'wait until it has ended. If its process is surely dead, remove its lease, then go on on that host: ' +
      `lifeboat unlock emergency-${target} --alive; lifeboat emergency-restore restore --resume --target ${target}`,
    retryable: true,
    facts: error.facts,
    cause: error,
  });
}
