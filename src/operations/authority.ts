/**
 * Who may hand out rights. A restore of roles and grants gives them to whomever the backup names, so that one needs a
 * key behind it that only trusted people have. Without encryption anybody who can write to the repository can make a
 * backup that is whole; then only the signature of this host, or of a listed writer, tells it from ours.
 */
import { LifeboatError } from '../lib/errors.ts';
import type { EventSink } from '../lib/events.ts';

export interface Authority {
  /** Full id. */
  readonly id: string;
  /** Repository.vouchesFor. */
  readonly isVouchedFor: boolean;
  /** Somebody has insisted on it, by its full id. */
  readonly isForced: boolean;
}

/**
 * Throws `integrity` (14) where `what` (such as "roles") would be taken from a backup that nobody vouches for; `hint`
 * says how else to get at it. One that was insisted on is told of.
 */
export function requireAuthority(
  { id, isVouchedFor, isForced }: Authority,
  what: string,
  hint: string,
  emit: EventSink,
): void {
  if (isVouchedFor) return;
  const reason = 'it is not encrypted, and signed neither by this host nor by a key in encryption.trustedKeys';
  if (isForced) {
    emit({ type: 'warning', message: `--force: ${what} are taken from backup ${id}, although ${reason}` });
    return;
  }
  throw new LifeboatError('integrity', `${what} of backup ${id} are not restored: ${reason}`, {
    state: 'nothing was changed',
    hint: `if you know who wrote it, list its key there (lifeboat init prints it on that host); ${hint}`,
  });
}
