/** What this host remembers of backups, held against what a cleanup finds. */
import { LifeboatError } from '../../lib/errors.ts';
import type { DeletedBackup } from '../../repository/deletion/collector.ts';
import { findVanished, vanishedText } from '../../repository/deletion/vanished.ts';
import type { Repository } from '../../repository/repository.ts';

/**
 * Why nothing is freed, undefined: no reason. What they need may be all that is left of them: nothing is freed until
 * somebody has looked. Those that are only hidden keep what they need by themselves.
 */
export async function vanishedAmong(repository: Repository, targets: readonly string[]): Promise<string | undefined> {
  try {
    for (const target of targets) {
      const [lost, ...others] = await findVanished(repository, target, 'there');
      if (lost !== undefined) return vanishedText(target, lost, others.length);
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof LifeboatError) || error.code !== 'usage') throw error;
    return `what this host remembers of earlier backups cannot be read: ${error.message}`;
  }
}

/** What was recorded as deleted is no longer missed; a state folder that cannot be written costs only time. */
export async function forgetDeleted(
  { seen }: Repository,
  targets: readonly string[],
  deleted: readonly DeletedBackup[],
): Promise<void> {
  const ids = new Set(deleted.map(({ id }) => id));
  for (const target of targets) await seen.forget(target, ids).catch(() => {});
}
