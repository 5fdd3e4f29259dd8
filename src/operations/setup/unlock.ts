/** Takes away leases that dead runs left; live ones only when asked for, and by name. */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import { breakLease, judgedLeases } from '../../repository/leases/break.ts';
import type { ListedLease } from '../../repository/leases/record.ts';
import { audited } from '../audit/audited.ts';
import { withStorage } from '../open-repository.ts';
import type { Lease, UnlockOptions, UnlockRequest, UnlockResult } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';

export const unlock = audited('unlock', breakLeases);

export const unlockOperation: Operation<UnlockOptions, UnlockRequest, UnlockResult> = {
  need: () => repositoryNeeds,
  complete: (options, { confirm }) => ({ alive: false, confirm, ...given(options) }),
  run: unlock,
};

async function breakLeases(loaded: LoadedConfig, request: UnlockRequest, context: RunContext): Promise<UnlockResult> {
  return withStorage(loaded, context, async (storage) => {
    const leases = (await judgedLeases(storage, 'unlock')).filter(
      ({ status, scope }) => status !== 'broken' && (request.scope === undefined || request.scope === scope),
    );
    const alive = leases.filter(({ status }) => status === 'live');
    if (request.alive && alive.length > 0) {
      await request.confirm({
        name: request.scope ?? 'all',
        consequences: alive.map(
          (lease) =>
            `${lease.record?.command ?? 'the run'} that holds ${lease.scope} (${lease.id}) will stop within ` +
            'minutes and fail',
        ),
      });
    }
    const broken: ListedLease[] = [];
    for (const lease of leases) {
      if (request.alive || lease.status !== 'live') {
        broken.push(await breakLease(storage, lease.id, { force: request.alive }));
      }
    }
    return { broken: broken.map(shown), alive: request.alive ? [] : alive.map(shown) };
  });
}

function shown({ id, scope, status, record, renewedMs }: ListedLease): Lease {
  return {
    scope,
    id,
    command: record?.command ?? 'unknown',
    host: record?.host ?? 'unknown',
    pid: record?.pid ?? 0,
    user: record?.user ?? 'unknown',
    since: record?.since ?? new Date(renewedMs).toISOString(),
    stale: status !== 'live',
  };
}
