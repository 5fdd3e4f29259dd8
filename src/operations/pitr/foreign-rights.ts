/** Before a recovery: may what it copies from hand out rights on the server that it is copied into? */
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { requireAuthority } from '../authority.ts';
import type { PitrRequest } from './request.ts';

/**
 * Throws `integrity` (14) where the backup `id`, for which nobody vouches, would be copied into a server with its
 * grants.
 */
export async function refuseForeignRights(
  repository: Repository,
  id: string,
  { intoDatabase }: Pick<PitrRequest, 'intoDatabase'>,
  { emit }: RunContext,
): Promise<void> {
  if (intoDatabase === undefined || (intoDatabase.noOwner === true && intoDatabase.noAcl === true)) return;
  const isVouchedFor = await repository.vouchesFor(await repository.readManifest(id));
  const hint = '--no-owner --no-acl leave them out';
  requireAuthority({ id, isVouchedFor, isForced: false }, 'owners and grants', hint, emit);
}
